"""Tables that must be refused: how each is made, the kind, and words of the message."""

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import checkpoints
import pyarrow as pa
import pyarrow.parquet as pq
from hand_tables import IDS, numbers, started, write_version
from log_writer import Action, LogWriter, delta_field, framed, vector_bytes, z85
from mapped_tables import mapped


@dataclass(frozen=True)
class Broken:
    make: Callable[[Path], None]
    kinds: tuple[str, ...]
    words: tuple[str, ...]


BROKEN: dict[str, Broken] = {}


def _refused(
    kinds: str, *words: str
) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    def register(make: Callable[[Path], None]) -> Callable[[Path], None]:
        BROKEN[make.__name__] = Broken(make, tuple(kinds.split()), words)
        return make

    return register


def _whole(root: Path, *features: str) -> LogWriter:
    table = started(root, *features)
    for number in range(3):
        table.commit(table.add(numbers(10 * number), f"{number}.parquet"))
    return table


def _name(version: int) -> str:
    return f"{version:020}"


# The log


@_refused("Corrupt", "2")
def gap_in_the_log(root: Path) -> None:
    _whole(root).forget(2)


@_refused("Corrupt NotFound", "version 3")
def log_that_begins_late(root: Path) -> None:
    _whole(root).forget(0)


@_refused("Corrupt", "2")
def gap_after_a_checkpoint(root: Path) -> None:
    table = _whole(root)
    checkpoints.classic(table, 1)
    table.forget(0, 1, 2)


@_refused("Corrupt", f"{_name(3)}.json")
def cut_line(root: Path) -> None:
    table = _whole(root)
    path = table.log / f"{_name(3)}.json"
    path.write_text(path.read_text()[:-40])


@_refused("Corrupt", f"{_name(2)}.json")
def line_that_is_not_json(root: Path) -> None:
    table = _whole(root)
    path = table.log / f"{_name(2)}.json"
    path.write_text("garbage\n" + path.read_text())


@_refused("Corrupt", f"{_name(4)}.json", "path")
def add_without_a_path(root: Path) -> None:
    table = _whole(root)
    add = table.add(numbers(50), "5.parquet")["add"]
    write_version(table, 4, [{"add": {k: v for k, v in add.items() if k != "path"}}])


@_refused("Corrupt", f"{_name(4)}.json", "path")
def path_that_is_a_number(root: Path) -> None:
    table = _whole(root)
    write_version(table, 4, [{"add": {"path": 5, "size": 1, "partitionValues": {}}}])


@_refused("Corrupt", "schema")
def no_metadata(root: Path) -> None:
    table = LogWriter(root)
    table.commit(table.protocol(), table.add(numbers(0), "a.parquet"))


@_refused("Corrupt", "protocol")
def no_protocol(root: Path) -> None:
    table = LogWriter(root)
    table.commit(table.metadata(IDS), table.add(numbers(0), "a.parquet"))


def _with_schema(root: Path, text: str) -> None:
    table = LogWriter(root)
    metadata = table.metadata(IDS)
    metadata["metaData"]["schemaString"] = text
    table.commit(table.protocol(), metadata, table.add(numbers(0), "a.parquet"))


@_refused("Corrupt", "schema")
def schema_that_is_not_json(root: Path) -> None:
    _with_schema(root, '{"type":"struct","fields":[')


@_refused("Unsupported Corrupt", "geometry", "where")
def type_that_is_not_known(root: Path) -> None:
    spec = {
        "name": "where",
        "type": "geometry(OGC:CRS84)",
        "nullable": True,
        "metadata": {},
    }
    _with_schema(root, json.dumps({"type": "struct", "fields": [spec]}))


@_refused("Corrupt", "absent")
def partition_column_that_is_not_in_the_schema(root: Path) -> None:
    table = LogWriter(root)
    table.commit(table.protocol(), table.metadata(IDS, ["absent"]))


@_refused("Corrupt", "day", "tomorrow")
def partition_value_of_another_type(root: Path) -> None:
    table = LogWriter(root)
    schema = pa.schema([*IDS, pa.field("day", pa.date32())])
    table.commit(table.protocol(), table.metadata(schema, ["day"]))
    table.commit(table.add(numbers(0), "a.parquet", partition={"day": "tomorrow"}))


# Protocol


def _features(root: Path, *features: str) -> None:
    table = LogWriter(root)
    table.commit(table.protocol(*features), table.metadata(IDS))
    table.commit(table.add(numbers(0), "a.parquet"))


@_refused("Unsupported", "featureOfTomorrow")
def unknown_reader_feature(root: Path) -> None:
    _features(root, "deletionVectors", "featureOfTomorrow")


@_refused("Unsupported", "variant", "v")
def variant_column(root: Path) -> None:
    """The feature alone says nothing: delta-rs names it in tables without variants."""
    table = LogWriter(root)
    spec = {"name": "v", "type": "variant", "nullable": True, "metadata": {}}
    metadata = table.metadata([delta_field(IDS.field("id")), spec])
    table.commit(table.protocol("variantType"), metadata)


@_refused("Unsupported", "void", "nothing")
def void_column(root: Path) -> None:
    """A type that engines keep, and that no file holds."""
    table = LogWriter(root)
    table.commit(
        table.protocol(),
        table.metadata(pa.schema([*IDS, pa.field("nothing", pa.null())])),
    )


@_refused("Unsupported", "catalogManaged")
def table_that_a_catalog_manages(root: Path) -> None:
    _features(root, "catalogManaged")


@_refused("Unsupported", "4")
def reader_version_of_tomorrow(root: Path) -> None:
    table = LogWriter(root)
    table.commit(table.protocol(reader=4, writer=7), table.metadata(IDS))
    table.commit(table.add(numbers(0), "a.parquet"))


@_refused("Unsupported", "csv")
def files_of_another_format(root: Path) -> None:
    table = LogWriter(root)
    metadata = table.metadata(IDS)
    metadata["metaData"]["format"]["provider"] = "csv"
    table.commit(table.protocol(), metadata)
    table.commit(table.add(numbers(0), "a.parquet"))


@_refused("Unsupported", "featureOfTomorrow")
def feature_that_came_with_an_upgrade(root: Path) -> None:
    """The version before can be read: the refusal is for what is read."""
    table = _whole(root)
    table.commit(table.protocol("featureOfTomorrow"))


# Checkpoints


def _checkpointed(root: Path) -> Path:
    table = _whole(root)
    checkpoints.classic(table, 3)
    table.forget(0, 1, 2, 3)
    return table.log / f"{_name(3)}.checkpoint.parquet"


@_refused("Corrupt", f"{_name(3)}.checkpoint.parquet")
def cut_checkpoint(root: Path) -> None:
    path = _checkpointed(root)
    path.write_bytes(path.read_bytes()[:-100])


@_refused("Corrupt", f"{_name(3)}.checkpoint.parquet")
def checkpoint_that_is_not_parquet(root: Path) -> None:
    _checkpointed(root).write_bytes(b"not Parquet at all")


@_refused("Corrupt", f"{_name(3)}.checkpoint.parquet")
def damaged_page_of_a_checkpoint(root: Path) -> None:
    path = _checkpointed(root)
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)


@_refused("Corrupt", "_delta_log", "protocol")
def checkpoint_of_other_columns(root: Path) -> None:
    """Parquet, but neither protocol nor metadata in it."""
    pq.write_table(numbers(0), _checkpointed(root))


@_refused("Corrupt NotFound")
def checkpoint_that_lacks_a_part(root: Path) -> None:
    table = _whole(root)
    checkpoints.classic(table, 3, parts=3)
    (table.log / f"{_name(3)}.checkpoint.{2:010}.{3:010}.parquet").unlink()
    table.forget(0, 1, 2, 3)


@_refused("Corrupt NotFound", "_sidecars")
def checkpoint_that_lacks_a_sidecar(root: Path) -> None:
    table = _whole(root, "v2Checkpoint")
    checkpoints.v2(table, 3, form="json")
    table.forget(0, 1, 2, 3)
    next((table.log / "_sidecars").iterdir()).unlink()


# Data files


@_refused("NotFound", "1.parquet")
def missing_data_file(root: Path) -> None:
    _whole(root)
    (root / "1.parquet").unlink()


@_refused("Corrupt Conflict", "1.parquet")
def data_file_of_another_size(root: Path) -> None:
    _whole(root)
    pq.write_table(numbers(70, 30), root / "1.parquet")


@_refused("SchemaMismatch", "x", "a.parquet")
def column_of_another_type(root: Path) -> None:
    table = started(root)
    rows = pa.table({"id": pa.array([1], pa.int64()), "x": ["text"]})
    table.commit(table.add(rows, "a.parquet", stats='{"numRecords":1}'))


@_refused("Corrupt", "x")
def mapped_column_without_a_physical_name(root: Path) -> None:
    table = LogWriter(root)
    fields = [mapped("id", 1, "col-1", pa.int64()), mapped("x", 2, "col-2", pa.int64())]
    del fields[1]["metadata"]["delta.columnMapping.physicalName"]
    metadata = table.metadata(fields, columnMapping__mode="name")
    table.commit(table.protocol("columnMapping"), metadata)
    table.commit(
        table.add(pa.table({"col-1": pa.array([1], pa.int64())}), "a.parquet", stats=None)
    )


@_refused("Unsupported Corrupt", "sideways")
def mapping_mode_that_is_not_known(root: Path) -> None:
    table = LogWriter(root)
    metadata = table.metadata(IDS, columnMapping__mode="sideways")
    table.commit(table.protocol("columnMapping"), metadata)
    table.commit(table.add(numbers(0), "a.parquet"))


# Deletion vectors


def _vector(root: Path, change: Callable[[LogWriter, Action], Any]) -> None:
    table = started(root, "deletionVectors")
    add = table.add(numbers(0), "a.parquet")
    (vector,) = table.stored_vectors([2, 3, 5])
    change(table, vector)
    table.commit(table.with_vector(add, vector))


def _file(table: LogWriter) -> Path:
    return next(table.root.glob("deletion_vector_*.bin"))


def _rewrite(table: LogWriter, content: Callable[[bytearray], Any]) -> None:
    data = bytearray(_file(table).read_bytes())
    content(data)
    _file(table).write_bytes(data)


@_refused("Corrupt", "deletion_vector_")
def vector_of_another_checksum(root: Path) -> None:
    def change(table: LogWriter, vector: Action) -> None:
        _rewrite(table, lambda data: data.__setitem__(-1, data[-1] ^ 1))

    _vector(root, change)


def _stored_as(root: Path, data: bytes, **descriptor: Any) -> None:
    """The vector's bytes replaced, in a frame that is right."""

    def change(table: LogWriter, vector: Action) -> None:
        content, _ = framed([data])
        _file(table).write_bytes(content)
        vector |= {"sizeInBytes": len(data)} | descriptor

    _vector(root, change)


@_refused("Corrupt Unsupported", "a.parquet")
def vector_of_another_magic_number(root: Path) -> None:
    data = vector_bytes([2, 3, 5])
    _stored_as(root, struct.pack("<I", 1681511376) + data[4:])


@_refused("Corrupt", "a.parquet")
def vector_of_garbage(root: Path) -> None:
    _stored_as(root, vector_bytes([2, 3, 5])[:4] + b"\xff" * 40)


@_refused("Corrupt", "a.parquet")
def vector_that_ends_early(root: Path) -> None:
    _stored_as(root, vector_bytes([2, 3, 5])[:-3])


@_refused("Corrupt", "a.parquet")
def vector_of_another_cardinality(root: Path) -> None:
    _stored_as(root, vector_bytes([2, 3, 5]), cardinality=4)


@_refused("Corrupt", "deletion_vector_")
def vector_of_another_size(root: Path) -> None:
    _vector(root, lambda table, vector: vector.update(sizeInBytes=8))


@_refused("Corrupt", "deletion_vector_")
def vector_beyond_its_file(root: Path) -> None:
    _vector(root, lambda table, vector: vector.update(offset=5000))


@_refused("Corrupt", "deletion_vector_")
def vector_in_a_cut_file(root: Path) -> None:
    _vector(
        root,
        lambda table, vector: _rewrite(
            table, lambda data: data.__delitem__(slice(20, None))
        ),
    )


@_refused("NotFound Corrupt", "deletion_vector_")
def missing_vector_file(root: Path) -> None:
    _vector(root, lambda table, vector: _file(table).unlink())


@_refused("Corrupt", "a.parquet")
def vector_of_rows_that_are_not_there(root: Path) -> None:
    data = vector_bytes([2, 3, 10])
    _inline(root, z85(data), len(data), 3)


def _inline(root: Path, text: str, size: int, cardinality: int) -> None:
    table = started(root, "deletionVectors")
    add = table.add(numbers(0), "a.parquet")
    vector = {
        "storageType": "i",
        "pathOrInlineDv": text,
        "sizeInBytes": size,
        "cardinality": cardinality,
    }
    table.commit(table.with_vector(add, vector))


@_refused("Corrupt", "a.parquet")
def inline_vector_that_is_not_base85(root: Path) -> None:
    _inline(root, 'wi5b"000010000siXQKl0rr91', 20, 3)


@_refused("Corrupt", "a.parquet")
def inline_vector_of_another_size(root: Path) -> None:
    _inline(root, z85(vector_bytes([2, 3, 5])), 4000, 3)


@_refused("Corrupt", "a.parquet")
def inline_vector_of_nothing(root: Path) -> None:
    _inline(root, "", 0, 3)


@_refused("Corrupt Unsupported", "a.parquet")
def vector_stored_in_another_way(root: Path) -> None:
    _vector(root, lambda table, vector: vector.update(storageType="x"))


@_refused("Corrupt", "a.parquet")
def vector_whose_name_is_too_short(root: Path) -> None:
    _vector(root, lambda table, vector: vector.update(pathOrInlineDv="abc"))


def names() -> Sequence[str]:
    return list(BROKEN)
