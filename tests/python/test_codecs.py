"""Field codecs: what is encoded comes back, by loaders and by to_arrow."""

import io
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace.errors import Corrupt, InvalidArgument, SchemaMismatch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

DTYPES = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
)
RAGGED = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def write(folder: Path, schema: hr.Schema, columns: dict[str, Any]) -> hr.Dataset:
    """Write encoded columns as a table, in row groups of 3, and open it."""
    folder.mkdir(exist_ok=True)
    pq.write_table(schema.encode(columns), folder / "a.parquet", row_group_size=3)
    return hr.open(folder)


def stored_order(dataset: hr.Dataset, rows: int) -> dict[str, Any]:
    """Return all rows as one batch."""
    with dataset.loader(batch_size=rows, shuffle=False) as loader:
        (batch,) = loader
    assert isinstance(batch, dict)
    return batch


def equal(a: Any, b: Any) -> bool:
    """Return whether two arrays hold the same bits, of the same dtype and shape."""
    return (
        a.dtype == b.dtype
        and a.shape == b.shape
        and np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()
    )


@st.composite
def columns(draw: st.DrawFn) -> tuple[hr.Field, list[np.ndarray[Any, Any] | None]]:
    """Draw a field and some values of it."""
    codec = draw(st.sampled_from(["raw", "npy", "npz", "zstd"]))
    dtype = draw(st.sampled_from(DTYPES))
    sizes = draw(st.lists(st.integers(0, 4), max_size=3))
    most = 1 if codec in ("raw", "zstd") else 3
    varies = draw(
        st.sets(st.integers(0, len(sizes) - 1), max_size=most)
        if sizes
        else st.just(set())
    )
    # Elements tell how long the dimension is that varies, but not where there are none.
    if codec in ("raw", "zstd") and varies:
        sizes = [size if d in varies else size + 1 for d, size in enumerate(sizes)]
    shape = tuple(None if d in varies else size for d, size in enumerate(sizes))
    field = hr.Field("x", dtype, shape, codec=codec)
    values = []
    for _ in range(draw(st.integers(1, 7))):
        found = [draw(st.integers(0, 4)) if d is None else d for d in shape]
        array = draw(npst.arrays(dtype, tuple(found)))
        values.append(np.asarray(array, order=draw(st.sampled_from("CF"))))
        if draw(st.integers(0, 5)) == 0:
            values[-1] = None
    return field, values


@RAGGED
@given(columns())
def test_round_trips(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: tuple[hr.Field, list[np.ndarray[Any, Any] | None]],
) -> None:
    field, values = drawn
    dataset = write(
        tmp_path_factory.mktemp("lake"), hr.Schema([field]), {"x": values}
    ).nulls({"x": "mask"})
    if None not in field.shape:
        batch = stored_order(dataset, len(values))
        for i, value in enumerate(values):
            assert bool(batch["x_mask"][i]) == (value is not None)
            wanted = np.zeros(field.shape, field.dtype) if value is None else value
            assert equal(batch["x"][i], wanted)
    else:
        batch = stored_order(dataset.ragged({"x": "ragged"}), len(values))
        for i, value in enumerate(values):
            at = slice(batch["x_offsets"][i], batch["x_offsets"][i + 1])
            if value is None:
                assert at.start == at.stop
                continue
            assert equal(batch["x"][at].reshape(batch["x_shape"][i]), value)


@RAGGED
@given(columns())
def test_to_arrow_decodes(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: tuple[hr.Field, list[np.ndarray[Any, Any] | None]],
) -> None:
    field, values = drawn
    dataset = write(tmp_path_factory.mktemp("lake"), hr.Schema([field]), {"x": values})
    assert dataset.to_arrow().schema.field("x").type == pa.binary()
    column = dataset.to_arrow(decode=True)["x"].combine_chunks()
    assert column.is_null().to_pylist() == [value is None for value in values]
    storage = column.storage if isinstance(column, pa.ExtensionArray) else column
    for cell, value in zip(storage.to_pylist(), values, strict=True):
        if value is None:
            continue
        flat = cell["data"] if isinstance(cell, dict) else cell
        if isinstance(cell, dict):
            assert cell["shape"] == list(value.shape)
        found = np.array(flat, field.dtype).reshape(-1)
        np.testing.assert_array_equal(found, value.reshape(-1))


@pytest.mark.parametrize("codec", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_images_come_back(
    tmp_path: Path, codec: str, channels: int | None, dtype: str
) -> None:
    shape = (None, None) if channels is None else (None, None, channels)
    try:
        field = hr.Field("x", dtype, shape, codec=codec)
    except InvalidArgument as error:
        assert codec != "png"
        assert "found" in str(error)
        return
    rng = np.random.default_rng(7)
    values = []
    for height, width in ((1, 1), (5, 9), (16, 16), (33, 7)):
        found = (height, width) if channels is None else (height, width, channels)
        smooth = np.add.outer(np.arange(height), np.arange(width)).reshape(
            (height, width) + (1,) * (len(found) - 2)
        )
        noise = rng.integers(0, np.iinfo(dtype).max, found, dtype)
        values.append(
            noise if codec == "png" else np.broadcast_to(smooth, found).astype(dtype)
        )
    dataset = write(tmp_path, hr.Schema([field]), {"x": values}).ragged({"x": "ragged"})
    batch = stored_order(dataset, len(values))
    for i, value in enumerate(values):
        at = slice(batch["x_offsets"][i], batch["x_offsets"][i + 1])
        found = batch["x"][at].reshape(batch["x_shape"][i])
        assert found.shape == value.shape
        if codec == "png":
            assert equal(found, value)
        else:
            assert abs(found.astype(int) - value.astype(int)).max() <= 12


def test_numpy_reads_what_is_encoded() -> None:
    schema = hr.Schema(
        [
            hr.Field("y", "int16", (2, 3), codec="npy"),
            hr.Field("z", "int16", (2, 3), codec="npz"),
        ]
    )
    value = np.arange(6, dtype=np.int16).reshape(2, 3)
    table = schema.encode({"y": [value], "z": [value]})
    assert (np.load(io.BytesIO(table["y"][0].as_py())) == value).all()
    assert (np.load(io.BytesIO(table["z"][0].as_py()))["arr"] == value).all()
    by_numpy = io.BytesIO()
    np.save(by_numpy, value)
    assert table["y"][0].as_py() == by_numpy.getvalue()


def test_a_wrong_value_is_named() -> None:
    schema = hr.Schema([hr.Field("features", "float32", (4, 3), nullable=False)])
    good = np.zeros((4, 3), np.float32)
    with pytest.raises(
        InvalidArgument,
        match=r"field features must be the shape \(4, 3\), found \(4, 2\) in row 17",
    ):
        schema.encode({"features": [good] * 17 + [np.zeros((4, 2), np.float32), good]})
    with pytest.raises(
        InvalidArgument, match=r"must be of dtype float32, found float64 in row 1"
    ):
        schema.encode({"features": [good, np.zeros((4, 3))]})
    with pytest.raises(InvalidArgument, match=r"must have a value, found null in row 0"):
        schema.encode({"features": [None]})
    with pytest.raises(InvalidArgument, match=r"found complex64 in row 0"):
        schema.encode({"features": [np.zeros((4, 3), np.complex64)]})
    with pytest.raises(InvalidArgument, match=r"expected .* the schema's fields"):
        schema.encode({})
    with pytest.raises(InvalidArgument, match="one for all"):
        hr.Schema([hr.Field("a", "int8"), hr.Field("b", "int8")]).encode(
            {"a": [1], "b": [1, 2]}
        )


def test_which_row_is_wrong_does_not_depend_on_threads() -> None:
    schema = hr.Schema([hr.Field("x", "uint8", (2,))])
    values = [np.zeros(2, np.uint8)] * 1000
    for bad in (3, 500, 900):
        values[bad] = np.zeros(3, np.uint8)
    for num_threads in (1, 4):
        with pytest.raises(InvalidArgument, match=r"in row 3$"):
            schema.encode({"x": values}, num_threads=num_threads)


def test_unequal_shapes_follow_the_policy(tmp_path: Path) -> None:
    field = hr.Field("x", "uint8", (None, None, 3), codec="png")
    values = [np.full((h, w, 3), 7, np.uint8) for h, w in ((2, 3), (2, 3), (4, 1))]
    dataset = write(tmp_path, hr.Schema([field]), {"x": values})
    with pytest.raises(
        InvalidArgument, match=r"differ in shape, found \(2, 3, 3\).*and \(4, 1, 3\)"
    ):
        stored_order(dataset, 3)
    padded = stored_order(dataset.ragged({"x": hr.pad(9)}), 3)["x"]
    assert padded.shape == (3, 4, 3, 3)
    assert (padded[2, :, :1] == 7).all()
    assert (padded[2, :, 1:] == 9).all()
    assert (padded[0, 2:] == 9).all()


def test_cells_are_cast_once_decoded(tmp_path: Path) -> None:
    schema = hr.Schema([hr.Field("x", "uint8", (2,), codec="npy")])
    values = [np.array([1, 200], np.uint8), np.array([3, 4], np.uint8)]
    dataset = write(tmp_path, schema, {"x": values})
    batch = stored_order(dataset.cast({"x": "float32"}), 2)
    assert batch["x"].dtype == np.float32
    assert batch["x"].tolist() == [[1, 200], [3, 4]]
    with pytest.raises(InvalidArgument, match=r"200 is no int8"):
        stored_order(dataset.cast({"x": "int8"}), 2)


def test_damaged_cells_follow_on_error(tmp_path: Path) -> None:
    schema = hr.Schema([hr.Field("x", "float32", (2,), codec="npz")])
    values = [np.full(2, i, np.float32) for i in range(6)]
    table = schema.encode({"x": values})
    cells = [cell.as_py() for cell in table["x"]]
    cells[1] = cells[1][:-30]
    cells[4] = b""
    pq.write_table(
        pa.table({"x": pa.array(cells, pa.binary())}, schema=table.schema),
        tmp_path / "a.parquet",
    )
    dataset = hr.open(tmp_path)
    with pytest.raises(Corrupt, match=r'"x".*row 1.*a damaged npz archive'):
        stored_order(dataset, 6)
    with dataset.on_error("skip").loader(batch_size=6, shuffle=False) as loader:
        (batch,) = loader
        assert batch["x"][:, 0].tolist() == [0, 2, 3, 5]
        assert loader.stats()["rows_skipped"] == 2
    nulls = dataset.on_error("null").nulls({"x": hr.fill(-1)})
    assert stored_order(nulls, 6)["x"][:, 0].tolist() == [0, -1, 2, 3, -1, 5]


def test_a_schema_can_be_given_to_open(tmp_path: Path) -> None:
    arrays = [np.arange(i + 1, dtype=np.int32) for i in range(4)]
    cells = []
    for array in arrays:
        by_numpy = io.BytesIO()
        np.save(by_numpy, array)
        cells.append(by_numpy.getvalue())
    table = pa.table(
        {"s": pa.StructArray.from_arrays([pa.array(cells)], ["x"]), "n": [1] * 4}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    schema = hr.Schema([hr.Field("s.x", "int32", (None,), codec="npy")])
    dataset = hr.open(tmp_path, schema=schema).select("s.x").ragged({"s.x": hr.pad(-1)})
    wanted = [[*a.tolist(), *[-1] * (4 - len(a))] for a in arrays]
    assert stored_order(dataset, 4)["s.x"].tolist() == wanted
    import pickle

    assert stored_order(pickle.loads(pickle.dumps(dataset)), 4)["s.x"].tolist() == wanted
    with pytest.raises(hr.errors.NotFound, match="the schema given to open"):
        hr.open(tmp_path, schema=hr.Schema([hr.Field("y", "int32", (2,))]))
    with pytest.raises(SchemaMismatch, match=r'"n" is int64, expected'):
        hr.open(tmp_path, schema=hr.Schema([hr.Field("n", "float32")]))
    with pytest.raises(SchemaMismatch, match=r"int64, expected binary"):
        hr.open(tmp_path, schema=hr.Schema([hr.Field("n", "int32", (2,))]))


def test_a_cell_that_is_not_as_declared_is_named(tmp_path: Path) -> None:
    by_numpy = io.BytesIO()
    np.save(by_numpy, np.zeros((2, 2), np.float64))
    pq.write_table(pa.table({"x": [by_numpy.getvalue()]}), tmp_path / "a.parquet")
    schema = hr.Schema([hr.Field("x", "float32", (2, 2), codec="npy")])
    with pytest.raises(
        SchemaMismatch,
        match=r'"x".*row 0.*found float64 of shape \(2, 2\), expected float32',
    ):
        stored_order(hr.open(tmp_path, schema=schema), 1)


def test_files_that_declare_differently_are_refused(tmp_path: Path) -> None:
    for name, codec in (("a", "npy"), ("b", "zstd")):
        schema = hr.Schema([hr.Field("x", "uint8", (2,), codec=codec)])
        pq.write_table(
            schema.encode({"x": [np.zeros(2, np.uint8)]}), tmp_path / f"{name}.parquet"
        )
    with pytest.raises(
        SchemaMismatch, match=r'b\.parquet: column "x" is declared otherwise'
    ):
        hr.open(tmp_path)


def test_shuffled_batches_hold_the_same_cells(tmp_path: Path) -> None:
    schema = hr.Schema(
        [hr.Field("i", "int64"), hr.Field("x", "int64", (None,), codec="zstd")]
    )
    rows = 200
    values = [np.full(i % 5, i) for i in range(rows)]
    dataset = write(tmp_path, schema, {"i": list(range(rows)), "x": values})
    dataset = dataset.ragged({"x": "ragged"})
    for num_threads in (1, 3):
        with dataset.loader(batch_size=7, seed=3, num_threads=num_threads) as loader:
            seen = []
            for batch in loader:
                for k, i in enumerate(batch["i"]):
                    at = slice(batch["x_offsets"][k], batch["x_offsets"][k + 1])
                    assert (batch["x"][at] == values[i]).all()
                    assert at.stop - at.start == i % 5
                    seen.append(int(i))
            stats = loader.stats()
            assert stats["memory_peak"] <= stats["memory_budget"]
        assert sorted(seen) == list(range(rows))
