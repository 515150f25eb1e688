"""What a batch holds: types, nulls, lists, codes, casts and packs (docs/guide/batches.md)."""

import datetime
import decimal
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

ROWS = 6
DAY = datetime.date(1970, 1, 2)
SECOND = datetime.datetime(1970, 1, 1, 0, 0, 1)


def open_table(tmp_path: Path, columns: dict[str, Any]) -> hr.Dataset:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=4)
    return hr.open(path)


def batch_of(dataset: hr.Dataset, to: str = "numpy", **options: Any) -> Any:
    """All rows, in stored order, as one batch."""
    options = {"shuffle": False, "batch_size": 100, **options}
    with dataset.loader(to=to, **options) as loader:
        (batch,) = loader
        stats = loader.stats()
    assert stats["memory_peak"] <= stats["memory_budget"]
    return batch


TENSORS = [
    *[
        (getattr(pa, f"{sign}int{bits}")(), list(range(ROWS)), f"{sign}int{bits}")
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    ],
    (pa.float16(), [0.5] * ROWS, "float16"),
    (pa.float32(), [0.5] * ROWS, "float32"),
    (pa.float64(), [0.5] * ROWS, "float64"),
    (pa.bool_(), [True, False] * 3, "bool"),
    (pa.date32(), [DAY] * ROWS, "int32"),
    (pa.time32("ms"), [datetime.time(0, 0, 1)] * ROWS, "int32"),
    (pa.time64("us"), [datetime.time(0, 0, 1)] * ROWS, "int64"),
    (pa.timestamp("ms"), [SECOND] * ROWS, "int64"),
    (pa.timestamp("ns", tz="UTC"), [SECOND] * ROWS, "int64"),
    (pa.duration("us"), [datetime.timedelta(seconds=1)] * ROWS, "int64"),
]


@pytest.mark.parametrize(("type_", "values", "dtype"), TENSORS, ids=lambda v: str(v)[:20])
def test_a_stored_type_keeps_its_dtype(
    tmp_path: Path, type_: pa.DataType, values: list[Any], dtype: str
) -> None:
    stored = pa.array(values, type_)
    dataset = open_table(tmp_path, {"x": stored})
    x = batch_of(dataset)["x"]
    assert (x.dtype, x.shape) == (np.dtype(dtype), (ROWS,))
    if pa.types.is_temporal(type_):
        integer = pa.int32() if dtype == "int32" else pa.int64()
        assert x.tolist() == stored.view(integer).to_pylist()
    else:
        assert x.tolist() == values
    tensor = batch_of(dataset, to="torch")["x"]
    assert tensor.dtype == getattr(torch, dtype)
    assert tensor.tolist() == x.tolist()


def test_timestamps_are_integers_of_the_stored_unit(tmp_path: Path) -> None:
    units = {"ms": 1000, "us": 10**6, "ns": 10**9}
    dataset = open_table(
        tmp_path, {unit: pa.array([SECOND], pa.timestamp(unit)) for unit in units}
    )
    batch = batch_of(dataset)
    assert {unit: batch[unit].item() for unit in units} == units


def test_text_comes_as_objects_and_as_lists(tmp_path: Path) -> None:
    columns = {
        "s": pa.array(["a", "", "ß"]),
        "l": pa.array(["a", "b", "c"], pa.large_string()),
        "b": pa.array([b"a", b"", b"\xff"]),
        "f": pa.array([b"ab", b"cd", b"ef"], pa.binary(2)),
        "d": pa.array(["x", "y", "x"]).dictionary_encode(),
    }
    dataset = open_table(tmp_path, columns)
    batch = batch_of(dataset)
    for name, column in columns.items():
        assert batch[name].dtype == object
        assert batch[name].tolist() == column.to_pylist()
    assert batch_of(dataset, to="torch")["s"] == ["a", "", "ß"]


def test_tensors_are_aligned_contiguous_writable_and_outlive_the_loader(
    tmp_path: Path,
) -> None:
    dataset = open_table(
        tmp_path,
        {"x": np.arange(1000), "y": np.ones(1000, np.float32), "z": [[1.0, 2.0]] * 1000},
    )
    loader = dataset.loader(batch_size=100, seed=1)
    kept = list(loader)
    copies = [{name: column.copy() for name, column in batch.items()} for batch in kept]
    loader.close()
    del loader
    for batch, copy in zip(kept, copies, strict=True):
        for name, column in batch.items():
            assert column.ctypes.data % 64 == 0
            assert column.flags.c_contiguous and column.flags.writeable
            assert np.array_equal(column, copy[name])
            column[...] = 0


def test_numpy_and_torch_share_the_memory_of_the_batch(tmp_path: Path) -> None:
    batch = batch_of(open_table(tmp_path, {"x": np.arange(8)}))
    shared = torch.from_dlpack(batch["x"])
    shared[0] = 77
    assert batch["x"][0] == 77
    tensor = batch_of(open_table(tmp_path, {"x": np.arange(8)}), to="torch")["x"]
    assert tensor.data_ptr() % 64 == 0
    assert tensor.is_contiguous()


NUMBERS = pa.array([1, None, 3, None], pa.int16())


def test_a_null_is_an_error_unless_told_otherwise(tmp_path: Path) -> None:
    dataset = open_table(tmp_path, {"x": NUMBERS})
    with pytest.raises(hr.errors.InvalidArgument, match=r'"x" is null .*row 1'):
        batch_of(dataset)
    with pytest.raises(hr.errors.InvalidArgument, match=r'"x" is null .*row 1'):
        batch_of(dataset.nulls({"x": "mask"}).nulls({"x": "error"}))


def test_nulls_are_filled(tmp_path: Path) -> None:
    columns = {"x": NUMBERS, "s": ["a", None, "c", None], "b": [True, None, False, None]}
    dataset = open_table(tmp_path, columns)
    fills = {"x": hr.fill(-7), "s": hr.fill("none"), "b": hr.fill(True)}
    batch = batch_of(dataset.nulls(fills))
    assert batch["x"].tolist() == [1, -7, 3, -7]
    assert batch["x"].dtype == np.int16
    assert batch["s"].tolist() == ["a", "none", "c", "none"]
    assert batch["b"].tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    ("fill", "found"), [(0.5, "0.5"), (40_000, "40000"), ("text", "text")]
)
def test_a_fill_that_the_type_cannot_hold_is_refused(
    tmp_path: Path, fill: Any, found: str
) -> None:
    dataset = open_table(tmp_path, {"x": NUMBERS}).nulls({"x": hr.fill(fill)})
    with pytest.raises(hr.errors.InvalidArgument, match=rf'"x".*{found}'):
        dataset.loader()
    if fill == 0.5:
        assert batch_of(dataset.cast({"x": "float32"}))["x"].tolist() == [1, 0.5, 3, 0.5]


def test_masks_are_true_where_the_value_is_there(tmp_path: Path) -> None:
    columns = {"x": NUMBERS, "s": ["a", None, "c", None], "l": [[1], None, [2], None]}
    dataset = open_table(tmp_path, columns).ragged({"l": hr.pad(9)})
    batch = batch_of(dataset.nulls(dict.fromkeys(columns, "mask")))
    for name in columns:
        assert batch[f"{name}_mask"].dtype == bool
        assert batch[f"{name}_mask"].tolist() == [True, False, True, False]
    assert batch["x"].tolist() == [1, 0, 3, 0]
    assert batch["s"].tolist() == ["a", "", "c", ""]


LISTS = [[1, 2], [], [3, 4, 5]]


def test_lists_of_one_length_are_a_tensor_and_others_an_error(tmp_path: Path) -> None:
    equal = batch_of(open_table(tmp_path, {"l": [[1, 2], [3, 4]]}))
    assert equal["l"].tolist() == [[1, 2], [3, 4]]
    with pytest.raises(
        hr.errors.InvalidArgument, match=r"lists differ in length.*ragged"
    ):
        batch_of(open_table(tmp_path, {"l": LISTS}))


@pytest.mark.parametrize("make", [pa.list_, pa.large_list])
def test_lists_are_padded_to_the_longest_or_to_a_length(
    tmp_path: Path, make: Any
) -> None:
    dataset = open_table(tmp_path, {"l": pa.array(LISTS, make(pa.int32()))})
    padded = batch_of(dataset.ragged({"l": hr.pad(-1)}))["l"]
    assert padded.dtype == np.int32
    assert padded.tolist() == [[1, 2, -1], [-1, -1, -1], [3, 4, 5]]
    longer = batch_of(dataset.ragged({"l": hr.pad(0, length=4)}))["l"]
    assert longer.tolist() == [[1, 2, 0, 0], [0, 0, 0, 0], [3, 4, 5, 0]]
    with pytest.raises(
        hr.errors.InvalidArgument, match=r"a list of 3 .*row 2.* longer than .* 2"
    ):
        batch_of(dataset.ragged({"l": hr.pad(0, length=2)}))


def test_ragged_lists_are_values_and_offsets(tmp_path: Path) -> None:
    batch = batch_of(open_table(tmp_path, {"l": LISTS}).ragged({"l": "ragged"}))
    assert batch["l"].tolist() == [1, 2, 3, 4, 5]
    assert batch["l_offsets"].dtype == np.int64
    assert batch["l_offsets"].tolist() == [0, 2, 2, 5]


def test_null_elements_are_an_error_or_filled(tmp_path: Path) -> None:
    dataset = open_table(tmp_path, {"l": [[1, None], [3, 4]]})
    with pytest.raises(hr.errors.InvalidArgument, match=r"element 1.*row 0.*is null"):
        batch_of(dataset)
    filled = batch_of(dataset.nulls({"l": hr.fill(9)}))
    assert filled["l"].tolist() == [[1, 9], [3, 4]]


def test_fixed_size_lists_nest(tmp_path: Path) -> None:
    matrix = pa.list_(pa.list_(pa.float32(), 2), 3)
    values = [[[1.0, 2.0]] * 3, [[3.0, 4.0]] * 3]
    x = batch_of(open_table(tmp_path, {"x": pa.array(values, matrix)}))["x"]
    assert (x.dtype, x.shape) == (np.float32, (2, 3, 2))
    assert x.tolist() == values


def test_tensors_of_fixed_shape_keep_it(tmp_path: Path) -> None:
    arrays = np.arange(24, dtype=np.int16).reshape(4, 2, 3)
    stored = pa.FixedShapeTensorArray.from_numpy_ndarray(arrays)
    dataset = open_table(tmp_path, {"x": stored})
    assert np.array_equal(batch_of(dataset)["x"], arrays)
    shuffled = batch_of(dataset, shuffle=True)["x"]
    assert sorted(shuffled[:, 0, 0].tolist()) == [0, 6, 12, 18]


def variable_shapes() -> pa.ExtensionArray:
    storage = pa.array(
        [{"data": [1, 2, 3, 4], "shape": [2, 2]}, {"data": [5, 6, 7], "shape": [1, 3]}],
        pa.struct({"data": pa.list_(pa.int32()), "shape": pa.list_(pa.int32(), 2)}),
    )
    json = b'{"permutation":[0,1]}'
    metadata = {"ARROW:extension:name": "arrow.variable_shape_tensor"}
    field = pa.field(
        "x", storage.type, metadata={**metadata, "ARROW:extension:metadata": json}
    )
    return pa.table([storage], schema=pa.schema([field]))


def test_tensors_of_variable_shape_are_padded_or_ragged(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(variable_shapes(), path)
    dataset = hr.open(path)
    assert "variable_shape_tensor" in str(dataset.schema.field("x"))
    with pytest.raises(hr.errors.InvalidArgument, match="differ in shape"):
        batch_of(dataset)
    padded = batch_of(dataset.ragged({"x": hr.pad(0)}))["x"]
    assert padded.tolist() == [[[1, 2, 0], [3, 4, 0]], [[5, 6, 7], [0, 0, 0]]]
    ragged = batch_of(dataset.ragged({"x": "ragged"}))
    assert ragged["x"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert ragged["x_offsets"].tolist() == [0, 4, 7]
    assert ragged["x_shape"].tolist() == [[2, 2], [1, 3]]


def test_codes_are_places_in_a_vocabulary(tmp_path: Path) -> None:
    columns = {"s": ["b", "a", "b"], "b": [b"\xff", b"", b"\xff"], "n": ["x", None, "x"]}
    dataset = open_table(tmp_path, columns)
    batch = batch_of(
        dataset.nulls({"n": hr.fill(5)}).codes({"s": ["a", "b"], "b": None, "n": ["x"]})
    )
    assert batch["s"].dtype == np.int32
    assert batch["s"].tolist() == [1, 0, 1]
    assert batch["b"].tolist() == [1, 0, 1]  # sorted, distinct: b"", b"\xff"
    assert batch["n"].tolist() == [0, 5, 0]
    with pytest.raises(hr.errors.InvalidArgument, match=r"'b' .*row 0.* vocabulary"):
        batch_of(dataset.select("s").codes({"s": ["a"]}))


@pytest.mark.parametrize(
    "dtype",
    ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
     "float16", "float32", "float64", "bfloat16"],
)  # fmt: skip
def test_casts_go_to_every_dtype(tmp_path: Path, dtype: str) -> None:
    dataset = open_table(tmp_path, {"x": pa.array([0, 1], pa.int64())}).cast({"x": dtype})
    tensor = batch_of(dataset, to="torch")["x"]
    assert tensor.dtype == getattr(torch, dtype)
    assert tensor.tolist() == [0, 1]
    if dtype == "bfloat16":
        with pytest.raises(hr.errors.Unsupported, match=r'"x" is bfloat16.*float32'):
            batch_of(dataset)
    else:
        assert batch_of(dataset)["x"].dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(128, "int8"), (-1, "uint64"), (2**40, "int32"), (0.5, "int64"), (float("nan"), "int32"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_an_error(
    tmp_path: Path, value: float, dtype: str
) -> None:
    dataset = open_table(tmp_path, {"x": [1, value]}).cast({"x": dtype})
    for read in (
        lambda: batch_of(dataset),
        dataset.to_arrow,
        lambda: batch_of(dataset, "arrow"),
    ):
        with pytest.raises(hr.errors.InvalidArgument, match=rf'"x".*is no {dtype}'):
            read()


def test_floats_are_rounded_to_nearest_everywhere_alike(tmp_path: Path) -> None:
    values = [2**53 + 1, 2**24 + 1, 1]
    dataset = open_table(tmp_path, {"x": values}).cast({"x": "float32"})
    expected = np.array(values).astype(np.float32)
    assert np.array_equal(batch_of(dataset)["x"], expected)
    assert np.array_equal(dataset.to_arrow()["x"].to_numpy(), expected)
    assert np.array_equal(batch_of(dataset, "arrow")["x"].to_numpy(), expected)


def test_decimals_are_float64_only_if_asked_for(tmp_path: Path) -> None:
    values = [decimal.Decimal("1.25"), None, decimal.Decimal("-7.5")]
    columns = {"x": pa.array(values, pa.decimal128(9, 2))}
    dataset = open_table(tmp_path, columns).nulls({"x": hr.fill(0)})
    with pytest.raises(
        hr.errors.Unsupported, match=r'"x".*decimal.*cast\(\{"x": "float64"'
    ):
        dataset.loader()
    batch = batch_of(dataset.cast({"x": "float64"}))
    assert batch["x"].tolist() == [1.25, 0, -7.5]
    assert batch["x"].dtype == np.float64


def test_packs_are_row_major_in_the_order_given(tmp_path: Path) -> None:
    columns = {"a": [1, 2], "b": [3, None], "c": [5.0, 6.0], "d": ["x", "y"]}
    dataset = open_table(tmp_path, columns).nulls({"b": "mask"}).cast({"c": "int64"})
    batch = batch_of(dataset.pack("m", ["c", "a", "b"]))
    assert list(batch) == ["m", "b_mask", "d"]
    assert batch["m"].tolist() == [[5, 1, 3], [6, 2, 0]]
    assert batch["m"].flags.c_contiguous
    assert batch["b_mask"].tolist() == [True, False]


def test_a_pack_takes_scalars_of_one_dtype(tmp_path: Path) -> None:
    dataset = open_table(tmp_path, {"a": [1], "b": [1.0], "s": ["x"], "l": [[1]]})
    with pytest.raises(
        hr.errors.InvalidArgument, match=r'"b" is float64, expected int64'
    ):
        dataset.pack("m", ["a", "b"]).loader()
    for name in ("s", "l"):
        with pytest.raises(hr.errors.InvalidArgument, match=rf'"{name}".*scalar'):
            dataset.pack("m", ["a", name])
    with pytest.raises(hr.errors.InvalidArgument, match='two columns "b"'):
        dataset.pack("b", ["a"])


def test_fields_of_structs_have_dotted_names(tmp_path: Path) -> None:
    places = [{"lat": 1.0, "at": {"x": 7}}, {"lat": 2.0, "at": {"x": 8}}]
    batch = batch_of(open_table(tmp_path, {"p": places}).select("p.at.x", "p.lat"))
    assert list(batch) == ["p.at.x", "p.lat"]
    assert batch["p.at.x"].tolist() == [7, 8]
    assert batch["p.lat"].tolist() == [1, 2]


def test_arrow_batches_keep_stored_types_and_nulls_where_no_policy_is_given(
    tmp_path: Path,
) -> None:
    columns = {
        "x": pa.array([1, None, 3], pa.int16()),
        "d": pa.array([decimal.Decimal("1.25")] * 3, pa.decimal128(9, 2)),
        "p": pa.array([{"a": 1}, None, {"a": None}]),
        "t": pa.array([SECOND] * 3, pa.timestamp("us", tz="UTC")),
        "l": pa.array([[1, None], [], None], pa.list_(pa.int64())),
    }
    batch = batch_of(open_table(tmp_path, columns), to="arrow")
    assert isinstance(batch, pa.RecordBatch)
    for name, column in columns.items():
        assert batch[name].type == column.type
        assert batch[name].to_pylist() == column.to_pylist()
    filled = open_table(tmp_path, columns).select("x").nulls({"x": hr.fill(0)})
    assert batch_of(filled, to="arrow")["x"].to_pylist() == [1, 0, 3]
