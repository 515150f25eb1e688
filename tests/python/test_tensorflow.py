"""Loaders as tf.data. TensorFlow runs in processes of its own: it does not share well."""

import json
import subprocess
import sys
from pathlib import Path

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = 1050

BEGIN = """
import itertools
import sys
import time
sys.path.insert(0, sys.argv[2])
import headrace as hr
import numpy as np
import tensorflow as tf

dataset = hr.open(sys.argv[1])
def make(chosen, **options):
    options = {"batch_size": 100, "seed": 5, "to": "tensorflow", **options}
    return chosen.loader(**options)
def ids(batches):
    return [int(i) for batch in batches for i in batch["id"]]
"""

SPEC = """
chosen = (
    dataset.select("id", "maybe", "a", "b", "vector", "tags", "pairs", "name")
    .ragged({"tags": "ragged", "pairs": hr.pad(0)})
    .nulls({"maybe": "mask"})
    .pack("x", ["a", "b"])
)
with make(chosen) as loader:
    spec = loader.to_tf_dataset().element_spec
    shapes = {name: (of.shape.as_list(), of.dtype.name) for name, of in spec.items()}
    assert shapes == {
        "id": ([None], "int64"),
        "maybe": ([None], "int32"),
        "maybe_mask": ([None], "bool"),
        "x": ([None, 2], "float32"),
        "vector": ([None, 4], "float32"),
        "tags": ([None], "int16"),
        "tags_offsets": ([None], "int64"),
        "pairs": ([None, None], "int16"),
        "name": ([None], "string"),
    }, shapes
    for batch in loader.to_tf_dataset():
        assert batch["tags_offsets"].shape[0] == batch["id"].shape[0] + 1
        for name, tensor in batch.items():
            assert spec[name].is_compatible_with(tensor), name

# Where every batch is whole, its rows are known beforehand, as XLA wants them.
with make(chosen, drop_last=True) as loader:
    batches = loader.to_tf_dataset()
    spec = batches.element_spec
    assert spec["x"].shape == [100, 2] and spec["name"].shape == [100]
    assert spec["pairs"].shape.as_list() == [100, None]
    assert spec["tags"].shape.as_list() == [None]
    assert spec["tags_offsets"].shape == [101]
    assert [len(batch["id"]) for batch in batches] == [100] * 10
    next(iter(loader))
    state = loader.state_dict()
with make(chosen, drop_last=True, batch_size=70) as loader:
    loader.load_state_dict(state)
    assert [len(batch["id"]) for batch in loader.to_tf_dataset()] == [70] * 13
with make(chosen.on_error("skip"), drop_last=True) as loader:
    assert loader.to_tf_dataset().element_spec["x"].shape.as_list() == [None, 2]
with make(chosen, pad_last=True) as loader:
    spec = loader.to_tf_dataset().element_spec
    assert spec["valid"].shape.as_list() == [None] and spec["valid"].dtype == tf.bool
"""

FUNCTIONS = """
from mapping import declare

def function(batch):
    x = batch["a"] + batch["b"]
    return {"y": np.stack([x, x], 1), "z": x[:, None] * np.ones(3), "t": batch["name"]}

schema = declare(y=("float32", 2), z=("float64", None), t="string")
mapped = dataset.select("id", "a", "b", "name").map_batches(
    function, columns=["a", "b", "name"], schema=schema, processes=1
)
with make(mapped) as loader:
    batches = loader.to_tf_dataset()
    spec = batches.element_spec
    shapes = {name: (of.shape.as_list(), of.dtype.name) for name, of in spec.items()}
    assert shapes == {
        "id": ([None], "int64"),
        "y": ([None, 2], "float32"),
        "z": ([None, None], "float64"),
        "t": ([None], "string"),
    }, shapes
    expected = ids(make(dataset.select("id")))
    came = list(batches)
    assert ids(came) == expected
    assert all(batch["z"].shape[1] == 3 for batch in came)
    assert loader.epoch == 1
"""

EPOCHS = """
chosen = dataset.select("id", "name")
with make(chosen) as loader:
    expected = [list(loader) for _ in range(4)]
with make(chosen) as loader:
    batches = loader.to_tf_dataset()
    for wanted in expected[:2]:
        came = list(batches)
        assert ids(came) == ids(wanted)
        for one, other in zip(came, wanted, strict=True):
            assert one["name"].numpy().tolist() == other["name"].numpy().tolist()
    assert loader.epoch == 2
    assert ids(batches.repeat(2)) == ids(expected[2]) + ids(expected[3])
"""

STATE = """
chosen = dataset.select("id", "y")
with make(chosen) as loader:
    whole, following = ids(loader), ids(loader)
for taken in range(12):
    with make(chosen) as loader:
        batches = loader.to_tf_dataset().map(lambda batch: {"id": batch["id"]})
        begun = list(itertools.islice(batches, taken))
        time.sleep(0.02)  # whatever runs ahead may do so now
        state = loader.state_dict()  # of what came out of tf.data, to the sample
    with make(chosen) as loader:
        loader.load_state_dict(state)
        batches = loader.to_tf_dataset()
        rest = ids(batches)
        if taken < 11:
            assert ids(begun) + rest == whole and ids(batches) == following
        else:
            assert rest == following
with make(chosen) as loader:
    prefetched = iter(loader.to_tf_dataset().prefetch(3))
    next(prefetched)
    while loader.state_dict()["samples"] < 400:
        time.sleep(0.01)  # as documented: what prefetch took counts
"""

PASSES = """
def refused(iterator, *facts):
    try:
        for _ in range(20):
            next(iterator)
    except tf.errors.OpError as error:
        for fact in facts:
            assert fact in str(error), error
    else:
        raise AssertionError("it went on")

with make(dataset.select("id")) as loader:
    batches = loader.to_tf_dataset()
    older = iter(batches)
    next(older)
    newer = iter(batches)
    assert len(next(newer)["id"]) == 100
    refused(older, "Conflict", "one pass at a time")
    assert len(ids(newer)) == 950
    left = iter(batches)
    next(left)
    assert len(ids(batches)) == 1050  # a pass that was left begins anew
    running = iter(batches)
    next(running)
refused(running, "closed")
refused(iter(batches), "Conflict", "closed")
"""

FIT = """
import keras
chosen = dataset.select("a", "b", "y").pack("x", ["a", "b"]).cast({"y": "float32"})
keras.utils.set_random_seed(1)
model = keras.Sequential([keras.layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.1), "mse")
with make(chosen) as loader:
    pairs = loader.to_tf_dataset().map(lambda batch: (batch["x"], batch["y"]))
    positions = []
    def position(batch, logs):
        state = loader.state_dict()
        positions.append((state["epoch"], state["samples"]))
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=position)
    fitted = model.fit(pairs, epochs=20, verbose=0, callbacks=[watch])
    history = fitted.history["loss"]
    assert loader.epoch == 20
steps = [(e, 100 * s) for e in range(20) for s in range(1, 11)]
steps = [step for e in range(20) for step in [*steps[10 * e : 10 * e + 10], (e + 1, 0)]]
assert positions == steps, positions  # Keras takes no batch ahead
assert history[-1] < history[0] / 20, history
"""

FAILS = """
with make(dataset.select("id", "hole"), shuffle=False) as loader:
    came = []
    try:
        for batch in loader.to_tf_dataset():
            came += ids([batch])
    except tf.errors.OpError as error:
        assert "row 444" in str(error) and "hole" in str(error)
    else:
        raise AssertionError("the null passed")
    assert came == list(range(400))
"""

# Python that exited amid a prefetch used to wait for TensorFlow's thread, and that for Python.
EXITS = """
running = []
for seed in range(4):
    loader = make(dataset.select("id"), batch_size=10, seed=seed)
    running.append(iter(loader.to_tf_dataset().repeat().prefetch(100_000)))
    next(running[-1])
"""

NO_COPY = """
with make(dataset.select("id", "y", "vector")) as loader:
    convert, seen = loader._convert, []
    def spy(rows, columns):
        seen.append([np.from_dlpack(column).ctypes.data for _, column in columns])
        return convert(rows, columns)
    batches = loader.to_tf_dataset()
    loader._convert = spy
    for batch, pointers in zip(batches, seen):
        came = [np.asarray(memoryview(x)).ctypes.data for x in batch.values()]
        assert came == pointers
    assert len(seen) == 11
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    a, b = rng.random((2, ROWS), np.float32)
    columns = {
        "id": pa.array(range(ROWS)),
        "maybe": pa.array([None if i % 3 else i for i in range(ROWS)], pa.int32()),
        "a": pa.array(a),
        "b": pa.array(b),
        "y": pa.array(3.0 * a - b),
        "vector": pa.FixedSizeListArray.from_arrays(
            pa.array(np.arange(4 * ROWS, dtype=np.float32)), 4
        ),
        "tags": pa.array([[i] * (i % 3) for i in range(ROWS)], pa.list_(pa.int16())),
        "pairs": pa.array([[i] * (i % 3) for i in range(ROWS)], pa.list_(pa.int16())),
        "name": pa.array([f"name {i}" for i in range(ROWS)]),
        "hole": pa.array([None if i == 444 else i for i in range(ROWS)]),
    }
    path = tmp_path_factory.mktemp("tf") / "table.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=200)
    return path


def run(program: str, path: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a program, which has to succeed."""
    helpers = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program, str(path), helpers, *arguments],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done


PROGRAMS = {
    "element_spec": SPEC,
    "what functions return": FUNCTIONS,
    "an iteration is a pass": EPOCHS,
    "resumes at every batch": STATE,
    "older and closed passes are refused": PASSES,
    "no copies": NO_COPY,
    "keras fits": FIT,
    "errors reach the caller": FAILS,
}

# All in one process, as to import TensorFlow takes longer than any of them.
EACH = """
import json, traceback
begun, failed = dict(globals()), {}
for name, program in json.loads(sys.argv[3]).items():
    try:
        exec(compile(program, name, "exec"), dict(begun))
    except Exception:
        failed[name] = traceback.format_exc()
print(json.dumps(failed))
"""


def test_tf_data(path: Path, subtests: pytest.Subtests) -> None:
    failed = json.loads(run(EACH, path, json.dumps(PROGRAMS)).stdout)
    for name in PROGRAMS:
        with subtests.test(msg=name):
            assert name not in failed, failed[name]


def test_exits_amid_a_prefetch_without_a_word(path: Path) -> None:
    assert "Traceback" not in run(EXITS, path).stderr


def test_other_forms_have_no_tf_dataset(path: Path) -> None:
    with (
        hr.open(path).select("id").loader() as loader,
        pytest.raises(hr.errors.Unsupported, match='to="tensorflow"'),
    ):
        loader.to_tf_dataset()
