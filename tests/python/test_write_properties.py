"""hr.write, on random tables: pyarrow reads back what was given."""

import tempfile
from pathlib import Path
from typing import Any

import headrace as hr
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lakes import VALUES

SORTED_TYPES = [
    type_
    for type_ in VALUES
    if not pa.types.is_nested(type_)
    and not pa.types.is_dictionary(type_)
    and not pa.types.is_float16(type_)
]


def plain(type_: pa.DataType) -> pa.DataType:
    """Return the type that a column of the type is stored as."""
    if pa.types.is_dictionary(type_):
        return type_.value_type
    if pa.types.is_large_string(type_):
        return pa.string()
    if pa.types.is_large_list(type_):
        return pa.list_(plain(type_.value_type))
    return type_


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(1, 40))
    types = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4))
    columns = {}
    for i, type_ in enumerate(types):
        values = st.sampled_from([None, *VALUES[type_]])
        column = draw(st.lists(values, min_size=rows, max_size=rows))
        columns[f"c{i}"] = pa.array(column, type_)
    return pa.table(columns)


def options() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "row_group_bytes": st.sampled_from([4096, 2**25]),
            "compression": st.sampled_from(["zstd", "snappy", "none"]),
            "num_threads": st.integers(1, 2),
        }
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=tables(), chosen=options(), chunk=st.integers(1, 50))
def test_pyarrow_reads_what_was_written(
    table: pa.Table, chosen: dict[str, Any], chunk: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "table"
        hr.write(table.to_reader(chunk), target, format="parquet", **chosen)
        found = pq.ParquetDataset(target).read()
    expected = table.cast(
        pa.schema([(name, plain(table[name].type)) for name in table.column_names])
    )
    assert found.schema.equals(expected.schema)
    assert found.to_pylist() == expected.to_pylist() or repr(found.to_pylist()) == repr(
        expected.to_pylist()
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), type_=st.sampled_from(SORTED_TYPES))
def test_sorts_as_a_stable_sort_does(data: st.DataObject, type_: pa.DataType) -> None:
    values = data.draw(st.lists(st.sampled_from([None, *VALUES[type_]]), min_size=1))
    table = pa.table({"key": pa.array(values, type_), "id": range(len(values))})
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "table"
        hr.write(table, target, format="parquet", sort_by=["key"])
        found = pq.ParquetDataset(target).read()["id"].to_pylist()
    numbers = table["key"]
    if pa.types.is_duration(type_) or pa.types.is_time(type_):
        width = pa.int32() if type_.bit_width == 32 else pa.int64()
        numbers = numbers.cast(width)
    expected = pc.sort_indices(pa.table({"key": numbers}), [("key", "ascending")])
    assert found == expected.to_pylist()
