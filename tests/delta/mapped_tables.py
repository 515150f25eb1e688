"""Tables with column mapping, by name and by id."""

import datetime
from pathlib import Path

import checkpoints
import pyarrow as pa
from hand_tables import KERNEL, Hand, numbers, table_of_name
from log_writer import Action, LogWriter, delta_field


def mapped(name: str, id_: int, physical: str, type_: pa.DataType) -> Action:
    return delta_field(pa.field(name, type_), (id_, physical))


def with_id(name: str, id_: int, type_: pa.DataType) -> pa.Field:
    return pa.field(name, type_, metadata={"PARQUET:field_id": str(id_)})


P_ID, P_X, P_S, P_A, P_B, P_DAY, P_L, P_NEW = (
    f"col-{n:08}-53be-4cb0-b81a-f7e5240cfc49" for n in range(8)
)
STORED_STRUCT = pa.struct([with_id(P_A, 5, pa.int64())])
STORED_ELEMENT = pa.struct([with_id(P_B, 8, pa.int64())])
STORED = pa.schema(
    [
        with_id(P_ID, 1, pa.int64()),
        with_id(P_X, 2, pa.float64()),
        with_id(P_S, 3, STORED_STRUCT),
        with_id(P_L, 6, pa.list_(pa.field("element", STORED_ELEMENT))),
    ]
)


def _struct_of(inner: Action) -> Action:
    return {"type": "struct", "fields": [inner]}


def _mapped_fields(
    *, x: str | None = "x", inner: str = "a", new: bool = False
) -> list[Action]:
    struct = _struct_of(mapped(inner, 5, P_A, pa.int64()))
    element = _struct_of(mapped(inner, 8, P_B, pa.int64()))
    nested = mapped("s", 3, P_S, pa.int64()) | {"type": struct}
    array = {"type": "array", "elementType": element, "containsNull": True}
    fields = [
        mapped("id", 1, P_ID, pa.int64()),
        nested,
        mapped("day", 4, P_DAY, pa.date32()),
        mapped("l", 6, P_L, pa.int64()) | {"type": array},
    ]
    if x is not None:
        fields.insert(1, mapped(x, 2, P_X, pa.float64()))
    if new:
        fields.append(mapped("x", 7, P_NEW, pa.string()))
    return fields


def _mapped_rows(first: int, schema: pa.Schema = STORED) -> pa.Table:
    rows = [
        {
            P_ID: i,
            P_X: i / 2,
            P_S: {P_A: i * 10} if i % 3 else None,
            P_L: [{P_B: i}, None] if i % 2 else None,
            P_NEW: f"new {i}",
        }
        for i in range(first, first + 5)
    ]
    return pa.Table.from_pylist(rows, schema)


def _mapping(root: Path, mode: str, protocol: Action, *, ids: bool = True) -> Hand:
    """A rename, a drop, a new column of the old name, and nested renames."""
    table = LogWriter(root)
    fixed = {"columnMapping__mode": mode, "columnMapping__maxColumnId": "8"}
    metadata = table.metadata(_mapped_fields(), ["day"], **fixed)
    table.commit(protocol, metadata)
    day = {P_DAY: datetime.date(2026, 11, 1)}
    stored = STORED if ids else pa.schema([f.remove_metadata() for f in STORED])
    table.commit(table.add(_mapped_rows(0, stored), "xy/a.parquet", partition=day))
    table.commit(table.metadata(_mapped_fields(x="renamed", inner="z"), ["day"], **fixed))
    null = {P_DAY: None}
    table.commit(table.add(_mapped_rows(10, stored), "b.parquet", partition=null))
    table.commit(table.metadata(_mapped_fields(x=None), ["day"], **fixed))
    table.commit(table.metadata(_mapped_fields(x=None, new=True), ["day"], **fixed))
    newer = [f for f in stored if f.name != P_X]
    newer.insert(
        0, with_id(P_NEW, 7, pa.string()) if ids else pa.field(P_NEW, pa.string())
    )
    rows = _mapped_rows(20, pa.schema(newer))
    table.commit(table.add(rows, "c.parquet", partition=day))
    return Hand(table, KERNEL)


def _mapping_features(table_root: Path, mode: str, **options: bool) -> Hand:
    features = ["columnMapping"]
    protocol = {
        "protocol": {
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": features,
            "writerFeatures": features,
        }
    }
    return _mapping(table_root, mode, protocol, **options)


@table_of_name
def mapping_by_name(root: Path) -> Hand:
    return _mapping_features(root, "name")


@table_of_name
def mapping_by_name_without_ids(root: Path) -> Hand:
    """By name the ids in the files do not count: here are none."""
    return _mapping_features(root, "name", ids=False)


@table_of_name
def mapping_by_id(root: Path) -> Hand:
    return _mapping_features(root, "id")


@table_of_name
def mapping_by_id_of_other_names(root: Path) -> Hand:
    """By id the names in the files do not count: here are others."""
    table = LogWriter(root)
    fields = [mapped("id", 1, P_ID, pa.int64()), mapped("x", 2, P_X, pa.float64())]
    fixed = {"columnMapping__mode": "id", "columnMapping__maxColumnId": "2"}
    table.commit(table.protocol("columnMapping"), table.metadata(fields, **fixed))
    stored = pa.schema([with_id(P_X, 1, pa.int64()), with_id("q", 2, pa.float64())])
    rows = pa.table({P_X: [1, 2, 3], "q": [1.5, 2.5, None]}, stored)
    add = table.add(rows, "a.parquet", stats=None)
    # The account is by physical names, which these files do not have.
    renamed = [{P_ID: r[P_X], P_X: r["q"]} for r in rows.to_pylist()]
    table.files[add["add"]["path"]].rows[:] = renamed
    table.commit(add)
    return Hand(table, KERNEL)


@table_of_name
def mapping_of_reader_version_2(root: Path) -> Hand:
    table = {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}
    return _mapping(root, "name", table)


@table_of_name
def mapping_with_vectors(root: Path) -> Hand:
    table = LogWriter(root)
    fields = [mapped("id", 1, P_ID, pa.int64()), mapped("x", 2, P_X, pa.float64())]
    fixed = {"columnMapping__mode": "name", "columnMapping__maxColumnId": "2"}
    table.commit(
        table.protocol("columnMapping", "deletionVectors"),
        table.metadata(fields, **fixed),
    )
    stored = pa.schema([with_id(P_ID, 1, pa.int64()), with_id(P_X, 2, pa.float64())])
    rows = pa.table({P_ID: [1, 2, 3, 4], P_X: [1.5, 2.5, 3.5, 4.5]}, stored)
    add = table.add(rows, "a.parquet")
    table.commit(add)
    table.commit(table.remove(add), table.with_vector(add, table.inline_vector([1])))
    checkpoints.classic(table, 2, struct_stats=True)
    table.forget(0, 1, 2)
    return Hand(table, KERNEL, first=2)


@table_of_name
def mapping_property_without_the_feature(root: Path) -> Hand:
    """The mode counts only where the protocol has column mapping."""
    table = LogWriter(root)
    fields = [mapped("id", 1, P_ID, pa.int64()), mapped("x", 2, P_X, pa.float64())]
    # The account goes by physical names: give it those that count.
    for spec in fields:
        spec["metadata"] = {"comment": "plain"}
    fixed = {"columnMapping__mode": "name"}
    table.commit(table.protocol(), table.metadata(fields, **fixed))
    table.commit(table.add(numbers(0), "a.parquet"))
    return Hand(table, ())
