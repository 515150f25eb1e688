"""A Delta log written by hand, for what delta-rs does not write.

Everything is as PROTOCOL.md of delta-io/delta says. A `LogWriter` also keeps the rows that
each version should have, replayed from what it committed in the plainest way.
"""

import datetime
import decimal
import json
import math
import struct
import uuid
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap64

Action = dict[str, Any]

START_MS = 1_790_000_000_000  # times in the log are fixed: tables are the same each time
DV_MAGIC = 1681511377
Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
PRIMITIVES = {
    pa.string(): "string",
    pa.int64(): "long",
    pa.int32(): "integer",
    pa.int16(): "short",
    pa.int8(): "byte",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.binary(): "binary",
    pa.date32(): "date",
    pa.timestamp("us", "UTC"): "timestamp",
    pa.timestamp("us"): "timestamp_ntz",
    pa.null(): "void",
}


def z85(data: bytes) -> str:
    """Four bytes as five characters, padded as Spark pads inline vectors."""
    data += b"\0" * (-len(data) % 4)
    text = ""
    for (word,) in struct.iter_unpack(">I", data):
        digits = []
        for _ in range(5):
            word, digit = divmod(word, 85)  # noqa: PLW2901
            digits.append(Z85[digit])
        text += "".join(reversed(digits))
    return text


def vector_bytes(positions: Iterable[int]) -> bytes:
    """RoaringBitmapArray: the magic number and a portable 64-bit Roaring bitmap."""
    bitmap = BitMap64(positions)
    bitmap.run_optimize()
    return struct.pack("<I", DV_MAGIC) + bitmap.serialize()


def framed(vectors: Sequence[bytes]) -> tuple[bytes, list[int]]:
    """A file of vectors, and where each begins."""
    content, offsets = b"\x01", []
    for data in vectors:
        offsets.append(len(content))
        content += (
            struct.pack(">i", len(data)) + data + struct.pack(">I", zlib.crc32(data))
        )
    return content, offsets


def delta_type(type_: pa.DataType) -> Any:
    """A type as the schema string spells it."""
    if pa.types.is_decimal(type_):
        return f"decimal({type_.precision},{type_.scale})"
    if pa.types.is_struct(type_):
        return {"type": "struct", "fields": [delta_field(f) for f in type_]}
    if pa.types.is_list(type_):
        return {
            "type": "array",
            "elementType": delta_type(type_.value_type),
            "containsNull": True,
        }
    if pa.types.is_map(type_):
        return {
            "type": "map",
            "keyType": delta_type(type_.key_type),
            "valueType": delta_type(type_.item_type),
            "valueContainsNull": True,
        }
    return PRIMITIVES[type_]


def delta_field(
    arrow: pa.Field, mapping: "tuple[int, str] | None" = None, name: str | None = None
) -> Action:
    """A field as the schema string has it; with an id and a physical name if mapped."""
    metadata: Action = {}
    if mapping is not None:
        metadata = {
            "delta.columnMapping.id": mapping[0],
            "delta.columnMapping.physicalName": mapping[1],
        }
    return {
        "name": name or arrow.name,
        "type": delta_type(arrow.type),
        "nullable": arrow.nullable,
        "metadata": metadata,
    }


def physical(spec: Mapping[str, Any]) -> str:
    return spec["metadata"].get("delta.columnMapping.physicalName", spec["name"])


def partition_text(value: Any) -> str | None:
    """A partition value as the log has it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    if isinstance(value, bytes):
        return "".join(map(chr, value))
    return str(value)


def json_value(value: Any) -> Any:
    """A value as statistics have it."""
    if isinstance(value, datetime.datetime):
        zone = "Z" if value.tzinfo else ""
        return value.replace(tzinfo=None).isoformat(timespec="milliseconds") + zone
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    return value


def _comparable(type_: pa.DataType) -> bool:
    return not (
        pa.types.is_nested(type_) or pa.types.is_binary(type_) or pa.types.is_null(type_)
    )


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def statistics(rows: pa.Table, **more: Any) -> str:
    """Delta's statistics of flat columns, under the names that the file has."""
    low, high, nulls = {}, {}, {}
    for name in rows.schema.names:
        column = rows[name]
        if not _comparable(column.type):
            continue
        nulls[name] = column.null_count
        values = [v for v in column.to_pylist() if v is not None and not _is_nan(v)]
        if values and column.type != pa.bool_():
            low[name], high[name] = json_value(min(values)), json_value(max(values))
    content = {
        "numRecords": rows.num_rows,
        "minValues": low,
        "maxValues": high,
        "nullCount": nulls,
    }
    return json.dumps(content | more, ensure_ascii=False)


@dataclass
class _File:
    """What a data file holds, under physical names, partition values included."""

    rows: list[dict[str, Any]]


@dataclass
class LogWriter:
    """A table that is written action by action."""

    root: Path
    versions: list[list[Action]] = field(default_factory=list)
    files: dict[str, _File] = field(default_factory=dict)
    deleted: dict[str, set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log.mkdir(parents=True)

    @property
    def log(self) -> Path:
        return self.root / "_delta_log"

    @property
    def uri(self) -> str:
        return str(self.root)

    # Actions

    def protocol(self, *features: str, reader: int = 1, writer: int = 2) -> Action:
        if not features:
            return {"protocol": {"minReaderVersion": reader, "minWriterVersion": writer}}
        return {
            "protocol": {
                "minReaderVersion": 3,
                "minWriterVersion": 7,
                "readerFeatures": list(features),
                "writerFeatures": list(features),
            }
        }

    def metadata(
        self,
        schema: "pa.Schema | list[Action]",
        partition_by: Sequence[str] = (),
        **configuration: str,
    ) -> Action:
        fields = (
            [delta_field(f) for f in schema] if isinstance(schema, pa.Schema) else schema
        )
        text = json.dumps({"type": "struct", "fields": fields}, ensure_ascii=False)
        return {
            "metaData": {
                "id": str(uuid.uuid5(uuid.NAMESPACE_URL, self.root.name)),
                "format": {"provider": "parquet", "options": {}},
                "schemaString": text,
                "partitionColumns": list(partition_by),
                "configuration": {
                    "delta." + k.replace("__", "."): v for k, v in configuration.items()
                },
                "createdTime": START_MS,
            }
        }

    def add(
        self,
        rows: pa.Table,
        path: str,
        *,
        partition: Mapping[str, Any] | None = None,
        stats: str | None = "",
        folder: Path | None = None,
        logged_path: str | None = None,
        **options: Any,
    ) -> Action:
        """Write a data file; the action that adds it.

        `path` is where the file is, below the root or below `folder`; `logged_path` what
        the log calls it, if it is not that, escaped. `stats` empty: computed; None: absent.
        """
        where = (folder or self.root) / path
        where.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, where, **options)
        name = logged_path or quote(path, safe="/-_.~!$&'()*+,;:@")
        partition = dict(partition or {})
        self.files[name] = _File([row | partition for row in rows.to_pylist()])
        content: Action = {
            "path": name,
            "partitionValues": {k: partition_text(v) for k, v in partition.items()},
            "size": where.stat().st_size,
            "modificationTime": START_MS,
            "dataChange": True,
        }
        if stats is not None:
            content["stats"] = stats or statistics(rows)
        return {"add": content}

    def remove(self, add: Action, **more: Any) -> Action:
        """What removes a file as an add named it, deletion vector and all."""
        content = {
            "path": add["add"]["path"],
            "deletionTimestamp": START_MS,
            "dataChange": True,
            "extendedFileMetadata": True,
            "partitionValues": add["add"]["partitionValues"],
            "size": add["add"]["size"],
        }
        if "deletionVector" in add["add"]:
            content["deletionVector"] = add["add"]["deletionVector"]
        return {"remove": content | more}

    # Deletion vectors

    def inline_vector(self, positions: Sequence[int]) -> Action:
        data = vector_bytes(positions)
        return self._vector("i", z85(data), data, positions)

    def stored_vectors(
        self, *deleted: Sequence[int], prefix: str = "", absolute: bool = False
    ) -> list[Action]:
        """One file of several vectors; `u` descriptors, or `p` if absolute."""
        data = [vector_bytes(positions) for positions in deleted]
        content, offsets = framed(data)
        name = uuid.uuid5(uuid.NAMESPACE_URL, f"{self.root.name}{prefix}{deleted}")
        path = self.root / prefix / f"deletion_vector_{name}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        kind = "p" if absolute else "u"
        where = path.as_uri() if absolute else prefix + z85(name.bytes)
        return [
            self._vector(kind, where, d, positions, offset)
            for d, positions, offset in zip(data, deleted, offsets, strict=True)
        ]

    def _vector(
        self,
        kind: str,
        where: str,
        data: bytes,
        positions: Sequence[int],
        offset: int | None = None,
    ) -> Action:
        vector = {"storageType": kind, "pathOrInlineDv": where}
        content = vector | ({} if offset is None else {"offset": offset})
        self.deleted[json.dumps(content)] = set(positions)
        return content | {"sizeInBytes": len(data), "cardinality": len(set(positions))}

    @staticmethod
    def with_vector(add: Action, vector: Action) -> Action:
        """The same file, with rows deleted; its bounds are no longer tight."""
        stats = json.loads(add["add"]["stats"]) | {"tightBounds": False}
        return {
            "add": add["add"] | {"deletionVector": vector, "stats": json.dumps(stats)}
        }

    # Commits

    def commit(self, *actions: Action, info: Mapping[str, Any] | None = None) -> int:
        version = len(self.versions)
        first = {
            "commitInfo": {
                "timestamp": START_MS + version * 1000,
                "operation": "WRITE",
                "engineInfo": "by hand",
            }
            | dict(info or {})
        }
        self.versions.append([first, *actions])
        write_lines(self.log / f"{version:020}.json", self.versions[-1])
        return version

    def state(self, version: int) -> list[Action]:
        """The actions that hold at a version: what a checkpoint holds."""
        return reconcile(self.versions[: version + 1], tombstones=True)

    def compact(self, first: int, last: int) -> None:
        """A log compaction file, as the protocol defines it."""
        content = reconcile(self.versions[first : last + 1], tombstones=True)
        write_lines(self.log / f"{first:020}.{last:020}.compacted.json", content)

    def forget(self, *versions: int) -> None:
        """Clean up the log: these versions' JSON files are gone."""
        for version in versions:
            (self.log / f"{version:020}.json").unlink()

    # The rows that a version should have

    def expected(self, version: int) -> pa.Table:
        """The rows of a version, by a replay that knows nothing but the protocol."""
        actions = reconcile(self.versions[: version + 1])
        meta = next(a["metaData"] for a in actions if "metaData" in a)
        fields = json.loads(meta["schemaString"])["fields"]
        rows = []
        for add in (a["add"] for a in actions if "add" in a):
            vector = add.get("deletionVector")
            gone = set() if vector is None else self.deleted[_vector_key(vector)]
            for position, row in enumerate(self.files[add["path"]].rows):
                if position not in gone:
                    rows.append(_logical(row, fields))
        return pa.Table.from_pylist(rows, schema=arrow_schema(fields))


def _vector_key(vector: Mapping[str, Any]) -> str:
    names = ("storageType", "pathOrInlineDv", "offset")
    return json.dumps({name: vector[name] for name in names if name in vector})


def _logical(row: Mapping[str, Any], fields: list[Action]) -> dict[str, Any]:
    """A row under logical names, columns that are not there as null."""
    return {f["name"]: _logical_value(row.get(physical(f)), f["type"]) for f in fields}


def _logical_value(value: Any, type_: Any) -> Any:
    if value is None or isinstance(type_, str):
        return value
    if type_["type"] == "struct":
        return _logical(value, type_["fields"])
    if type_["type"] == "array":
        return [_logical_value(v, type_["elementType"]) for v in value]
    return [
        (_logical_value(k, type_["keyType"]), _logical_value(v, type_["valueType"]))
        for k, v in value
    ]


def arrow_schema(fields: list[Action]) -> pa.Schema:
    """The Arrow schema that a Delta schema means."""
    return pa.schema([_arrow_field(f) for f in fields])


def _arrow_field(spec: Mapping[str, Any]) -> pa.Field:
    return pa.field(spec["name"], _arrow_type(spec["type"]), spec["nullable"])


def _arrow_type(type_: Any) -> pa.DataType:
    if isinstance(type_, str):
        if type_.startswith("decimal"):
            precision, scale = type_[8:-1].split(",")
            return pa.decimal128(int(precision), int(scale))
        return {name: arrow for arrow, name in PRIMITIVES.items()}[type_]
    if type_["type"] == "struct":
        return pa.struct([_arrow_field(f) for f in type_["fields"]])
    if type_["type"] == "array":
        return pa.list_(_arrow_type(type_["elementType"]))
    return pa.map_(_arrow_type(type_["keyType"]), _arrow_type(type_["valueType"]))


def _file_key(content: Mapping[str, Any]) -> tuple[str, str]:
    vector = content.get("deletionVector")
    return content["path"], "" if vector is None else _vector_key(vector)


def reconcile(versions: list[list[Action]], *, tombstones: bool = False) -> list[Action]:
    """Action reconciliation: the newest of each kind, the newest of each logical file."""
    newest: dict[str, Action] = {}
    files: dict[tuple[str, str], Action] = {}
    for actions in versions:
        # Removes first: a commit may remove a file and add it with another vector.
        for action in sorted(actions, key=lambda a: "remove" not in a):
            name, content = next(iter(action.items()))
            if name in ("add", "remove"):
                files[_file_key(content)] = action
            elif name in ("protocol", "metaData"):
                newest[name] = action
            elif name == "txn":
                newest["txn" + content["appId"]] = action
    kept = [a for a in files.values() if tombstones or "add" in a]
    return [*newest.values(), *kept]


def write_lines(path: Path, actions: Iterable[Action]) -> None:
    lines = (json.dumps(a, ensure_ascii=False, separators=(",", ":")) for a in actions)
    path.write_text("".join(line + "\n" for line in lines))
