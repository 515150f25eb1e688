"""Loaders as tf.data. TensorFlow runs in processes of its own: it does not share well."""

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
with make(chosen, pad_last=True) as loader:
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
        "valid": ([None], "bool"),
    }, shapes
    for batch in loader.to_tf_dataset():
        assert batch["tags_offsets"].shape[0] == batch["id"].shape[0] + 1
        for name, tensor in batch.items():
            assert spec[name].is_compatible_with(tensor), name
"""

EPOCHS = """
with make(dataset.select("id", "name")) as loader:
    expected = [list(loader), list(loader)]
with make(dataset.select("id", "name")) as loader:
    batches = loader.to_tf_dataset()
    for wanted in expected:
        came = list(batches)
        assert ids(came) == ids(wanted)
        for one, other in zip(came, wanted, strict=True):
            assert one["name"].numpy().tolist() == other["name"].numpy().tolist()
    assert loader.epoch == 2
    state = None
    for batch in batches.prefetch(2):
        break
    begun = list(itertools.islice(batches, 3))
    state = loader.state_dict()
with make(dataset.select("id", "name")) as loader:
    loader.load_state_dict(state)
    rest = ids(loader.to_tf_dataset())
assert sorted(ids(begun) + rest) == list(range(1050))
"""

FIT = """
import keras
chosen = dataset.select("a", "b", "y").pack("x", ["a", "b"]).cast({"y": "float32"})
keras.utils.set_random_seed(1)
model = keras.Sequential([keras.layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.1), "mse")
with make(chosen) as loader:
    pairs = loader.to_tf_dataset().map(lambda batch: (batch["x"], batch["y"]))
    history = model.fit(pairs, epochs=20, verbose=0).history["loss"]
    assert loader.epoch == 20
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


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(SPEC, id="element_spec"),
        pytest.param(EPOCHS, id="an_iteration_is_a_pass_and_resumes"),
        pytest.param(FIT, id="keras_fits"),
        pytest.param(FAILS, id="errors_reach_the_caller"),
    ],
)
def test_tf_data(program: str, path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program, str(path)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def test_other_forms_have_no_tf_dataset(path: Path) -> None:
    with (
        hr.open(path).select("id").loader() as loader,
        pytest.raises(hr.errors.Unsupported, match='to="tensorflow"'),
    ):
        loader.to_tf_dataset()
