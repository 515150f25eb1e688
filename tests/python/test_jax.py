"""Batches as pytrees of JAX, which runs in processes of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = 1000

BEGIN = """
import sys
import headrace as hr
import jax
import numpy as np

dataset = hr.open(sys.argv[1])
def make(chosen, **options):
    return chosen.loader(**{"batch_size": 100, "seed": 5, "to": "jax", **options})
"""

PYTREE = """
chosen = dataset.select("id", "x", "tags").ragged({"tags": "ragged"})
mesh = jax.make_mesh((2,), ("data",))
rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
double = jax.jit(lambda batch: jax.tree.map(lambda x: 2 * x, batch))
with make(chosen) as loader:
    for batch in loader:
        assert all(x.device.platform == "cpu" for x in jax.tree.leaves(batch))
        doubled = double(jax.device_put(batch))
        for name, tensor in batch.items():
            np.testing.assert_array_equal(doubled[name], 2 * np.asarray(tensor))
        parts = jax.device_put({name: batch[name] for name in ("id", "x")}, rows)
        assert len(parts["x"].addressable_shards) == 2
        np.testing.assert_array_equal(parts["x"], batch["x"])
"""

TRAINS = """
def loss(weight, batch):
    return ((batch["x"] @ weight - batch["y"]) ** 2).mean()

@jax.jit
def step(weight, batch):
    return weight - 0.5 * jax.grad(loss)(weight, batch)

def train(weight, loader, epochs):
    while loader.epoch < epochs:
        for batch in loader:
            weight = step(weight, batch)
    return weight

chosen = dataset.select("x", "y")
start = jax.numpy.zeros(4)
with make(chosen) as loader:
    whole = train(start, loader, 3)
np.testing.assert_allclose(whole, [1, -2, 3, 0.5], atol=0.05)
with make(chosen) as loader:
    stopped = start
    for taken, batch in enumerate(loader, start=1):
        stopped = step(stopped, batch)
        if taken == 4:
            break
    state = loader.state_dict()
with make(chosen) as loader:
    loader.load_state_dict(state)
    resumed = train(stopped, loader, 3)
assert (resumed == whole).all()
"""

DONATED = """
add = jax.jit(lambda x: x + 1, donate_argnums=0)
with make(dataset.select("id", "x"), shuffle=False) as loader:
    batches = list(loader)
    for batch in batches:  # of one batch, and of the next, tensors share a slab
        before = [np.array(batch["x"]) for batch in batches]
        ids = np.array(batch["id"])
        added = add(batch["id"])
        np.testing.assert_array_equal(added, ids + 1)
        for other, x in zip(batches, before, strict=True):
            np.testing.assert_array_equal(other["x"], x)
"""

FUNCTIONS = """
def function(batch):
    return {"id": batch["id"], "x": batch["x"].astype("float64")}

class Schema:
    class Id:
        name, dtype, shape = "id", "int32", ()
    class X:
        name, dtype, shape = "x", "float64", (4,)
    fields = [Id, X]

mapped = dataset.select("id", "x").map_batches(function, schema=Schema)
try:
    make(mapped)  # what a function returns is looked at before the first batch
except hr.errors.InvalidArgument as error:
    assert '"x" (float64)' in str(error)
else:
    raise AssertionError("it was narrowed")
with jax.enable_x64(True), make(mapped) as loader:
    assert next(iter(loader))["x"].dtype == "float64"
"""

X64 = """
chosen = dataset.select("wide")
with jax.enable_x64(True):
    loader = make(chosen)
    batches = iter(loader)
    assert next(batches)["wide"].dtype == "int64"
try:
    next(batches)  # JAX would cut the values off
except hr.errors.InvalidArgument as error:
    assert '"wide" (int64)' in str(error)
else:
    raise AssertionError("it was narrowed")
loader.close()
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((ROWS, 4)).astype(np.float32)
    columns = {
        "id": pa.array(range(ROWS), pa.int32()),
        "wide": pa.array(np.arange(ROWS) + (1 << 40)),
        "x": pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), 4),
        "y": pa.array(x @ np.float32([1, -2, 3, 0.5])),
        "tags": pa.array([[i] * (i % 3) for i in range(ROWS)], pa.list_(pa.int16())),
    }
    path = tmp_path_factory.mktemp("jax") / "table.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=200)
    return path


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(PYTREE, id="batches_are_pytrees"),
        pytest.param(TRAINS, id="training_resumes_to_equal_weights"),
        pytest.param(DONATED, id="donated_arrays_hurt_no_others"),
        pytest.param(FUNCTIONS, id="64_bits_that_functions_return_are_refused"),
        pytest.param(X64, id="64_bits_are_looked_at_in_every_batch"),
    ],
)
def test_jax(program: str, path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program, str(path)],
        env={**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
