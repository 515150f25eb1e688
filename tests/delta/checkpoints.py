"""Checkpoints of a log written by hand, in every form that the protocol has."""

import datetime
import decimal
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from log_writer import START_MS, Action, LogWriter, arrow_schema, physical, write_lines

TEXT_MAP = pa.map_(pa.string(), pa.string())
VECTOR = pa.struct(
    {
        "storageType": pa.string(),
        "pathOrInlineDv": pa.string(),
        "offset": pa.int32(),
        "sizeInBytes": pa.int32(),
        "cardinality": pa.int64(),
    }
)
REMOVE = pa.struct(
    {
        "path": pa.string(),
        "deletionTimestamp": pa.int64(),
        "dataChange": pa.bool_(),
        "extendedFileMetadata": pa.bool_(),
        "partitionValues": TEXT_MAP,
        "size": pa.int64(),
        "deletionVector": VECTOR,
    }
)
ADD = {
    "path": pa.string(),
    "partitionValues": TEXT_MAP,
    "size": pa.int64(),
    "modificationTime": pa.int64(),
    "dataChange": pa.bool_(),
    "tags": TEXT_MAP,
    "deletionVector": VECTOR,
}
OTHERS = {
    "txn": pa.struct({"appId": pa.string(), "version": pa.int64()}),
    "metaData": pa.struct(
        {
            "id": pa.string(),
            "name": pa.string(),
            "description": pa.string(),
            "format": pa.struct({"provider": pa.string(), "options": TEXT_MAP}),
            "schemaString": pa.string(),
            "partitionColumns": pa.list_(pa.string()),
            "createdTime": pa.int64(),
            "configuration": TEXT_MAP,
        }
    ),
    "protocol": pa.struct(
        {
            "minReaderVersion": pa.int32(),
            "minWriterVersion": pa.int32(),
            "readerFeatures": pa.list_(pa.string()),
            "writerFeatures": pa.list_(pa.string()),
        }
    ),
}
V2 = {
    "checkpointMetadata": pa.struct({"version": pa.int64(), "tags": TEXT_MAP}),
    "sidecar": pa.struct(
        {
            "path": pa.string(),
            "sizeInBytes": pa.int64(),
            "modificationTime": pa.int64(),
            "tags": TEXT_MAP,
        }
    ),
}


def _parsed(value: Any, type_: pa.DataType) -> Any:
    """A partition value's text, or a bound in JSON, as a value of its type."""
    if value is None or (value == "" and not pa.types.is_string(type_)):
        return None
    if pa.types.is_timestamp(type_):
        return datetime.datetime.fromisoformat(value)
    if pa.types.is_date(type_):
        return datetime.date.fromisoformat(value)
    if pa.types.is_decimal(type_):
        return decimal.Decimal(str(value)).quantize(
            decimal.Decimal(1).scaleb(-type_.scale)
        )
    if pa.types.is_integer(type_):
        return int(value)
    if pa.types.is_floating(type_):
        return float(value)
    if pa.types.is_boolean(type_):
        return value == "true"
    return value


def _struct_of(
    fields: Sequence[Action], type_: "pa.DataType | None" = None
) -> pa.StructType:
    schema = arrow_schema(list(fields))
    return pa.struct(
        [
            (physical(spec), type_ or arrow.type)
            for spec, arrow in zip(fields, schema, strict=True)
        ]
    )


class _Parsed:
    """`stats_parsed` and `partitionValues_parsed` of a table's adds."""

    def __init__(self, meta: Mapping[str, Any]) -> None:
        fields = json.loads(meta["schemaString"])["fields"]
        flat = [f for f in fields if isinstance(f["type"], str) and f["type"] != "binary"]
        partitions = meta["partitionColumns"]
        self.bounded = _struct_of(
            [f for f in flat if f["name"] not in partitions and f["type"] != "boolean"]
        )
        counted = _struct_of([f for f in flat if f["name"] not in partitions], pa.int64())
        self.partitions = _struct_of([f for f in flat if f["name"] in partitions])
        self.stats = pa.struct(
            {
                "numRecords": pa.int64(),
                "tightBounds": pa.bool_(),
                "minValues": self.bounded,
                "maxValues": self.bounded,
                "nullCount": counted,
            }
        )

    def of(self, add: Mapping[str, Any]) -> dict[str, Any]:
        values = add["partitionValues"]
        more: dict[str, Any] = {
            "partitionValues_parsed": {
                f.name: _parsed(values.get(f.name), f.type) for f in self.partitions
            }
        }
        if "stats" in add:
            stats = json.loads(add["stats"])
            for name in ("minValues", "maxValues"):
                stats[name] = {
                    f.name: _parsed(stats[name].get(f.name), f.type) for f in self.bounded
                }
            more["stats_parsed"] = stats
        return more


def _plain(value: Any, type_: pa.DataType) -> Any:
    """Dicts where the type is a map as the pairs that pyarrow wants."""
    if value is None:
        return None
    if pa.types.is_map(type_):
        return list(value.items())
    if pa.types.is_struct(type_):
        return {f.name: _plain(value.get(f.name), f.type) for f in type_}
    return value


def action_table(
    actions: Sequence[Action], kinds: Mapping[str, pa.DataType], parsed: "_Parsed | None"
) -> pa.Table:
    """Actions as rows, each in the column of its kind."""
    add = dict(ADD)
    if parsed is None:
        add["stats"] = pa.string()
    else:
        add["stats_parsed"] = parsed.stats
        if parsed.partitions.num_fields:
            add["partitionValues_parsed"] = parsed.partitions
    types = {"add": pa.struct(add), "remove": REMOVE} | dict(kinds)
    rows = []
    for action in actions:
        kind, content = next(iter(action.items()))
        if kind == "add" and parsed is not None:
            content = content | parsed.of(content)
        rows.append({kind: _plain(content, types[kind])})
    return pa.Table.from_pylist(rows, schema=pa.schema(types))


def last_checkpoint(table: LogWriter, version: int, size: int, **more: Any) -> None:
    content = {"version": version, "size": size} | more
    (table.log / "_last_checkpoint").write_text(json.dumps(content))


def _parse(actions: Sequence[Action], struct_stats: bool) -> "_Parsed | None":
    if not struct_stats:
        return None
    return _Parsed(next(a["metaData"] for a in actions if "metaData" in a))


def classic(
    table: LogWriter, version: int, *, parts: int = 1, struct_stats: bool = False
) -> None:
    """A V1 checkpoint, in one file or in several."""
    actions = table.state(version)
    parsed = _parse(actions, struct_stats)
    for part in range(parts):
        name = f"{version:020}.checkpoint"
        if parts > 1:
            name += f".{part + 1:010}.{parts:010}"
        rows = action_table(actions[part::parts], OTHERS, parsed)
        pq.write_table(rows, table.log / f"{name}.parquet")
    more = {"parts": parts} if parts > 1 else {}
    last_checkpoint(table, version, len(actions), **more)


def v2(
    table: LogWriter,
    version: int,
    *,
    form: str,
    sidecars: int = 2,
    struct_stats: bool = False,
    named_classic: bool = False,
) -> None:
    """A V2 checkpoint: JSON or Parquet on top, its files in sidecars or within."""
    state = table.state(version)
    parsed = _parse(state, struct_stats)
    files = [a for a in state if "add" in a or "remove" in a]
    top = [{"checkpointMetadata": {"version": version, "tags": {}}}]
    top += [a for a in state if a not in files]
    for number in range(sidecars):
        name = (
            f"{uuid.uuid5(uuid.NAMESPACE_URL, f'{table.uri}{version}{number}')}.parquet"
        )
        path = table.log / "_sidecars" / name
        path.parent.mkdir(exist_ok=True)
        pq.write_table(action_table(files[number::sidecars], {}, parsed), path)
        size = path.stat().st_size
        top.append(
            {
                "sidecar": {
                    "path": name,
                    "sizeInBytes": size,
                    "modificationTime": START_MS,
                    "tags": {},
                }
            }
        )
    if sidecars == 0:
        top += files
    unique = uuid.uuid5(uuid.NAMESPACE_URL, f"{table.uri}{version}{form}")
    name = f"{version:020}.checkpoint.{unique}.{form}"
    if named_classic:
        name = f"{version:020}.checkpoint.parquet"
    if form == "json":
        write_lines(table.log / name, top)
    else:
        pq.write_table(action_table(top, OTHERS | V2, parsed), table.log / name)
    more = {} if named_classic else {"v2Checkpoint": {"path": name}}
    last_checkpoint(table, version, len(top), **more)
