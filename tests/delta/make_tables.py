"""All tables by name: those of delta-rs here, those by hand in hand_tables.py.

`python tests/delta/make_tables.py FOLDER` makes them all.
"""

import datetime
import decimal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hand_tables
import mapped_tables  # noqa: F401  each registers its tables
import pyarrow as pa
import value_tables  # noqa: F401
from deltalake import DeltaTable, PostCommitHookProperties, write_deltalake
from log_writer import LogWriter

DAY = datetime.date(2026, 2, 28)
INSTANT = datetime.datetime(2026, 2, 28, 23, 59, 59, 123456)
UTC_INSTANT = INSTANT.replace(tzinfo=datetime.UTC)
ODD_TEXTS = [
    "plain",
    "two words",
    "x=y",
    "50%",
    "a/b",
    "%20",
    "a+b&c#d?e",
    "quote'\"",
    "tab\there",
    "back\\slash",
    "São Paulo ß 雪",
    "__HIVE_DEFAULT_PARTITION__ ",
    "null",
    "{}[]:;,",
]


@dataclass
class Case:
    """A table, which of its versions can be read, and who else reads it."""

    name: str
    uri: str
    versions: list[int]
    oracles: tuple[str, ...] = ("deltalake", "kernel")
    writer: LogWriter | None = None
    gone: list[int] = field(default_factory=list)  # versions that are no more


Made = tuple[list[int], list[int]]  # versions that are there, versions that are gone
MAKERS: dict[str, Callable[[Path], Made]] = {}


def _table(make: Callable[[Path], Made]) -> Callable[[Path], Made]:
    MAKERS["rs_" + make.__name__] = make
    return make


def _numbers(first: int, count: int = 5, **more: Any) -> pa.Table:
    ids = range(first, first + count)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "x": pa.array([None if i % 4 == 3 else i * 1.5 for i in ids], pa.float64()),
            "name": pa.array([f"n{i}" for i in ids]),
        }
        | more
    )


def _all(root: Path) -> Made:
    return list(range(DeltaTable(root).version() + 1)), []


@_table
def history(root: Path) -> Made:
    """One of each operation."""
    write_deltalake(root, _numbers(0))
    write_deltalake(root, _numbers(5), mode="append")
    write_deltalake(root, _numbers(10, 20), mode="append")
    DeltaTable(root).delete("id % 3 = 1")
    DeltaTable(root).update(updates={"name": "'changed'"}, predicate="id > 20")
    write_deltalake(root, _numbers(100), mode="overwrite")
    write_deltalake(root, _numbers(90), mode="overwrite", predicate="id < 102")
    DeltaTable(root).restore(3)
    DeltaTable(root).merge(
        _numbers(0, 3), "t.id = s.id", source_alias="s", target_alias="t"
    ).when_matched_delete().when_not_matched_insert_all().execute()
    return _all(root)


@_table
def compacted(root: Path) -> Made:
    """Files rearranged by actions with dataChange = false, then vacuumed."""
    for first in range(0, 30, 5):
        write_deltalake(root, _numbers(first), mode="append")
    DeltaTable(root).optimize.compact()
    DeltaTable(root).optimize.z_order(["x"])
    DeltaTable(root).vacuum(
        retention_hours=0, dry_run=False, enforce_retention_duration=False
    )
    # Of the versions before, the log is there and their files are gone.
    last = DeltaTable(root).version()
    return [v for v in range(last + 1) if _files_are_there(root, v)], []


def _files_are_there(root: Path, version: int) -> bool:
    uris = DeltaTable(root, version=version).file_uris()
    return all(Path(uri.removeprefix("file://")).exists() for uri in uris)


def _many(root: Path, *, forget: int) -> Made:
    quiet = PostCommitHookProperties(create_checkpoint=False)
    for version in range(24):
        write_deltalake(
            root,
            _numbers(10 * version, 3),
            mode="overwrite" if version == 7 else "append",
            post_commithook_properties=quiet,
        )
        if version in (10, 20):
            DeltaTable(root).create_checkpoint()
    for version in range(forget):
        (root / "_delta_log" / f"{version:020}.json").unlink()
    # What a checkpoint covers can be read from it on.
    first = 0 if forget == 0 else next(v for v in (10, 20) if v >= forget - 1)
    return list(range(first, 24)), list(range(first))


@_table
def checkpoints(root: Path) -> Made:
    return _many(root, forget=0)


@_table
def cleaned(root: Path) -> Made:
    """Versions 0 to 9 are only in the checkpoint of version 10."""
    return _many(root, forget=10)


@_table
def cleaned_to_checkpoint(root: Path) -> Made:
    """The JSON of the checkpoint's own version is gone too."""
    return _many(root, forget=21)


@_table
def struct_checkpoint(root: Path) -> Made:
    """Statistics as a struct beside those in JSON, in the checkpoint."""
    config: dict[str, str | None] = {"delta.checkpoint.writeStatsAsStruct": "true"}
    write_deltalake(root, _numbers(0), configuration=config)
    write_deltalake(root, _numbers(5), mode="append")
    DeltaTable(root).create_checkpoint()
    write_deltalake(root, _numbers(10), mode="append")
    return _all(root)


@_table
def evolved(root: Path) -> Made:
    """Columns come, and then the schema is another altogether."""
    write_deltalake(root, _numbers(0))
    more = _numbers(5).append_column("extra", pa.array([DAY] * 5))
    write_deltalake(root, more, mode="append", schema_mode="merge")
    write_deltalake(
        root,
        pa.table({"id": pa.array([50], pa.int64())}),
        mode="append",
        schema_mode="merge",
    )
    write_deltalake(
        root,
        pa.table({"key": ["a", "b"], "id": pa.array(["1", "2"])}),
        mode="overwrite",
        schema_mode="overwrite",
    )
    return _all(root)


@_table
def nested(root: Path) -> Made:
    inner = pa.struct({"a": pa.int64(), "b": pa.list_(pa.string())})
    table = pa.table(
        {
            "id": pa.array([1, 2, 3, 4], pa.int64()),
            "s": pa.array(
                [
                    {"a": 1, "b": ["x", None]},
                    None,
                    {"a": None, "b": []},
                    {"a": 4, "b": None},
                ],
                inner,
            ),
            "l": pa.array(
                [[1, 2], [], None, [None]],
                pa.list_(pa.int32()),
            ),
            "ls": pa.array(
                [[{"a": 1, "b": None}, None], [], None, [{"a": 2, "b": ["q"]}]],
                pa.list_(inner),
            ),
            "m": pa.array(
                [[("k", 1.5)], [], None, [("a", None), ("b", 2.0)]],
                pa.map_(pa.string(), pa.float64()),
            ),
        }
    )
    write_deltalake(root, table)
    write_deltalake(root, table, mode="append")
    return _all(root)


def _typed_columns() -> dict[str, pa.Array]:
    D = decimal.Decimal  # noqa: N806
    columns: list[tuple[str, pa.DataType, list[Any]]] = [
        ("i8", pa.int8(), [-128, None, 127]),
        ("i16", pa.int16(), [-(2**15), None, 2**15 - 1]),
        ("i32", pa.int32(), [-(2**31), None, 2**31 - 1]),
        ("i64", pa.int64(), [-(2**63), None, 2**63 - 1]),
        ("f32", pa.float32(), [-0.0, None, float("inf")]),
        ("f64", pa.float64(), [float("nan"), None, 1e300]),
        ("b", pa.bool_(), [True, None, False]),
        ("s", pa.string(), ["", None, "ß雪" * 40]),
        ("bin", pa.binary(), [b"", None, b"\x00\xff"]),
        ("d", pa.date32(), [datetime.date(1, 1, 1), None, DAY]),
        ("ts", pa.timestamp("us", "UTC"), [UTC_INSTANT, None, UTC_INSTANT]),
        ("ntz", pa.timestamp("us"), [INSTANT, None, datetime.datetime(1900, 1, 1)]),
        ("d9", pa.decimal128(9, 2), [D("-1234567.89"), None, D("0.00")]),
        ("d18", pa.decimal128(18, 0), [D(10) ** 17, None, D(0)]),
        ("d38", pa.decimal128(38, 10), [D("1e27"), None, D("-1e-10")]),
    ]
    return {name: pa.array(values, type_) for name, type_, values in columns}


@_table
def types(root: Path) -> Made:
    write_deltalake(root, pa.table(_typed_columns()))
    write_deltalake(root, pa.table(_typed_columns()).slice(0, 1), mode="append")
    DeltaTable(root).create_checkpoint()
    return _all(root)


PARTITIONS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "string": (pa.string(), ODD_TEXTS),
    "byte": (pa.int8(), [-128, 0, 127]),
    "short": (pa.int16(), [-(2**15), 7]),
    "integer": (pa.int32(), [-(2**31), 0, 12]),
    "long": (pa.int64(), [-(2**63), 2**63 - 1]),
    "float": (pa.float32(), [0.5, -1e20]),
    "double": (pa.float64(), [0.1, -1e-200, 3.0]),
    "boolean": (pa.bool_(), [True, False]),
    "date": (pa.date32(), [DAY, datetime.date(1969, 12, 31)]),
    "timestamp": (
        pa.timestamp("us", "UTC"),
        [UTC_INSTANT, UTC_INSTANT.replace(microsecond=0)],
    ),
    "ntz": (pa.timestamp("us"), [INSTANT, INSTANT.replace(microsecond=0)]),
    "decimal": (pa.decimal128(10, 3), [decimal.Decimal("1.500"), decimal.Decimal("-7")]),
}


def _partitioned(type_: pa.DataType, values: list[Any]) -> Callable[[Path], Made]:
    def make(root: Path) -> Made:
        column = pa.array([*values, None, values[0]], type_)
        ids = pa.array(range(len(column)), pa.int64())
        write_deltalake(root, pa.table({"id": ids, "p": column}), partition_by=["p"])
        # The partition column first, and each value again.
        again = pa.table({"p": column, "id": pa.array(range(100, 100 + len(column)))})
        write_deltalake(root, again.select(["id", "p"]), mode="append")
        DeltaTable(root).delete("id = 1")
        DeltaTable(root).create_checkpoint()
        return _all(root)

    return make


for _name, (_type, _values) in PARTITIONS.items():
    MAKERS[f"rs_partitioned_by_{_name}"] = _partitioned(_type, _values)


@_table
def partitioned_twice(root: Path) -> Made:
    """Two partition columns between the others; a whole partition is overwritten."""
    table = pa.table(
        {
            "day": pa.array([DAY, DAY, None, DAY + datetime.timedelta(1)]),
            "id": pa.array([1, 2, 3, 4], pa.int64()),
            "city": pa.array(["a b", None, "c", "a b"]),
            "x": pa.array([1.0, 2.0, 3.0, 4.0]),
        }
    )
    write_deltalake(root, table, partition_by=["city", "day"])
    write_deltalake(root, table.slice(2), mode="append")
    write_deltalake(root, table.slice(0, 1), mode="overwrite", predicate="city = 'a b'")
    return _all(root)


@_table
def empty(root: Path) -> Made:
    """Without rows: never written to, and all deleted."""
    schema = pa.schema({"id": pa.int64(), "x": pa.float64()})
    DeltaTable.create(root, schema)
    write_deltalake(root, pa.table({"id": [1], "x": [1.0]}, schema), mode="append")
    DeltaTable(root).delete()
    write_deltalake(root, pa.table({"id": [2], "x": [2.0]}, schema), mode="append")
    return _all(root)


@_table
def vectors_enabled(root: Path) -> Made:
    """The protocol says deletion vectors, and there are none."""
    config: dict[str, str | None] = {"delta.enableDeletionVectors": "true"}
    write_deltalake(root, _numbers(0, 20), configuration=config)
    DeltaTable(root).delete("id < 7")
    return _all(root)


@_table
def writer_features(root: Path) -> Made:
    """What only writers must honour: constraints, change data, append-only."""
    config: dict[str, str | None] = {"delta.enableChangeDataFeed": "true"}
    write_deltalake(root, _numbers(0), configuration=config)
    DeltaTable(root).alter.add_constraint({"positive": "id >= 0"})
    DeltaTable(root).update(updates={"name": "'u'"}, predicate="id = 2")
    DeltaTable(root).delete("id = 3")  # writes _change_data as well
    DeltaTable(root).alter.set_table_properties({"delta.appendOnly": "true"})
    return _all(root)


@_table
def log_compacted(root: Path) -> Made:
    """delta-rs's own compaction of the log."""
    for first in range(0, 25, 5):
        write_deltalake(root, _numbers(first), mode="append")
    DeltaTable(root).delete("id = 3")
    DeltaTable(root).compact_logs(1, 4)
    return _all(root)


# deltalake refuses these, or reads them wrongly: delta-kernel-rs reads them alone.
KERNEL_ALONE = {"rs_vectors_enabled"}


def names() -> list[str]:
    return [*MAKERS, *hand_tables.MAKERS]


def make(name: str, folder: Path) -> Case:
    root = folder / name
    if name in MAKERS:
        versions, gone = MAKERS[name](root)
        oracles = ("kernel",) if name in KERNEL_ALONE else ("deltalake", "kernel")
        return Case(name, str(root), versions, oracles, gone=gone)
    made = hand_tables.MAKERS[name](root)
    last = len(made.writer.versions)
    kept = [v for v in range(made.first, last) if v not in made.unreadable]
    return Case(name, str(root), kept, made.oracles, made.writer, list(range(made.first)))


class Tables:
    """Tables by name; each is made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Case] = {}

    def __getitem__(self, name: str) -> Case:
        if name not in self._made:
            self._made[name] = make(name, self._folder)
        return self._made[name]


if __name__ == "__main__":
    for name in names():
        case = make(name, Path(sys.argv[1]))
        print(case.name, case.versions, ", ".join(case.oracles))
