"""Iceberg tables, planned by pyiceberg: its catalog names the files, we read them.

A snapshot is handed to the core as one version of a Delta table would be: its files with
their statistics, the columns by field id, deleted rows as deletion vectors.
"""

import datetime
import decimal
import json
import struct
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pyarrow.parquet as pq

from . import _validate
from .errors import Corrupt, InvalidArgument, NotFound, Unavailable, Unsupported
from .opening import open_planned

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import FileScanTask, Table

    from .dataset import Dataset

__all__ = ["open"]

VECTOR_MAGIC = 1681511377
Z85 = np.frombuffer(
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#",
    np.uint8,
)
PRIMITIVES = {
    "boolean": "boolean",
    "int": "integer",
    "long": "long",
    "float": "float",
    "double": "double",
    "date": "date",
    "timestamp": "timestamp_ntz",
    "timestamptz": "timestamp",
    "string": "string",
    "binary": "binary",
}
# What pyiceberg calls the ways to S3, and we.
S3_OPTIONS = {
    "s3.access-key-id": "access_key",
    "s3.secret-access-key": "secret_key",
    "s3.session-token": "session_token",
    "s3.region": "region",
    "s3.endpoint": "endpoint_override",
}

Action = dict[str, Any]


def open(
    catalog: "str | Catalog",
    table: str,
    *,
    snapshot_id: int | str | None = None,
    storage_options: Mapping[str, str] | None = None,
) -> "Dataset":
    """Open one snapshot of an Iceberg table. Needs pyiceberg: `headrace[iceberg]`.

    Parameters
    ----------
    catalog : str or pyiceberg.catalog.Catalog
        A catalog, or its name in pyiceberg's configuration (`~/.pyiceberg.yaml`, or
        `PYICEBERG_CATALOG__...` in the environment).
    table : str
        The table's name in it, with its namespace: "db.flights".
    snapshot_id : int or str, optional
        A snapshot's id, or the name of a tag or branch; the current one if not given.
    storage_options : dict of str to str, optional
        As for `headrace.open`. If not given, what the catalog says of S3 is taken.

    Returns
    -------
    Dataset
        All columns and rows of the snapshot.

    Raises
    ------
    NotFound
        There is no such table or snapshot, or a file of it is gone.
    Unsupported
        pyiceberg is not installed; or the table has equality deletes, files that are no
        Parquet, or columns of types that cannot be read (time, uuid, fixed).
    InvalidArgument
        An argument is not of the types above, or the catalog is not configured.
    Unavailable
        The catalog failed.

    Notes
    -----
    Rows that position deletes or deletion vectors name are left out. Columns are found by
    field id, so that renamed, added, dropped and moved ones are as Iceberg has them.
    `Dataset.version` is the snapshot's id. May be called from any thread.

    Examples
    --------
    >>> flights = hr.iceberg.open("prod", "db.flights")  # doctest: +SKIP
    >>> flights = hr.open("iceberg:prod.db.flights@train-2026-11")  # doctest: +SKIP
    """
    _validate.text("table", table, 'a name such as "db.flights"')
    if snapshot_id is not None and not isinstance(snapshot_id, str):
        snapshot_id = _validate.integer("snapshot_id", snapshot_id, 0)
    if storage_options is not None:
        _validate.text_mapping("storage_options", storage_options)
    _validate.installed("Iceberg", "pyiceberg")
    loaded = _load(catalog, table)
    lines, version = _plan(loaded, table, snapshot_id)
    if storage_options is None:
        storage_options = _s3_options(loaded)
    return open_planned(
        loaded.location(), lines, version=version, storage_options=storage_options
    )


def _load(catalog: "str | Catalog", name: str) -> "Table":
    from pyiceberg.catalog import Catalog, load_catalog
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

    if not isinstance(catalog, str | Catalog):
        raise _validate.rejected("catalog", catalog, "a name or a pyiceberg Catalog")
    if isinstance(catalog, str):
        try:
            catalog = load_catalog(catalog)
        except Exception as error:
            raise InvalidArgument(
                f"the Iceberg catalog {catalog!r} cannot be loaded "
                f"({type(error).__name__}): configure it in ~/.pyiceberg.yaml"
            ) from error
    try:
        return catalog.load_table(name)
    except (NoSuchTableError, NoSuchNamespaceError) as error:
        raise NotFound(
            f"the Iceberg catalog {catalog.name!r} has no table {name!r}"
        ) from error
    except Exception as error:
        # The catalog's own message may hold its credentials.
        raise Unavailable(
            f"the Iceberg catalog {catalog.name!r} failed to load {name!r} "
            f"({type(error).__name__})"
        ) from error


def _snapshot(table: "Table", name: str, wanted: int | str) -> int:
    """Find the id of a snapshot, tag or branch."""
    if isinstance(wanted, str):
        found = table.snapshot_by_name(wanted)
        if found is None and wanted.isdecimal():
            found = table.snapshot_by_id(int(wanted))
    else:
        found = table.snapshot_by_id(wanted)
    if found is None:
        ids = [str(s.snapshot_id) for s in table.metadata.snapshots]
        known = ", ".join([*table.refs(), *ids][:10]) or "none"
        raise NotFound(
            f"the Iceberg table {name!r} has no snapshot, tag or branch {wanted!r}, "
            f"expected one of {known}"
        )
    return found.snapshot_id


def _plan(table: "Table", name: str, wanted: int | str | None) -> tuple[str, int]:
    """Make the actions of a version that is this snapshot, and its number."""
    if wanted is None:
        # The newest rows under the table's schema, which may be newer than they are.
        scan, current = table.scan(), table.current_snapshot()
        snapshot = 0 if current is None else current.snapshot_id
    else:
        snapshot = _snapshot(table, name, wanted)
        scan = table.scan(snapshot_id=snapshot)
    schema = scan.projection()
    tasks = _tasks(scan.plan_files, name) if snapshot else []
    deleted = _deleted_rows(table, name, tasks)
    actions: list[Action] = [
        {
            "protocol": {
                "minReaderVersion": 3,
                "minWriterVersion": 7,
                "readerFeatures": ["columnMapping", "deletionVectors", "timestampNtz"],
                "writerFeatures": ["columnMapping", "deletionVectors", "timestampNtz"],
            }
        },
        _metadata(table, name, schema),
    ]
    actions += [_add(task.file, schema, name, deleted) for task in tasks]
    lines = "".join(json.dumps(action) + "\n" for action in actions)
    return lines, snapshot


def _tasks(plan: Any, name: str) -> "list[FileScanTask]":
    try:
        return list(plan())
    except (ValueError, NotImplementedError) as error:
        if "equality delete" in str(error).lower():
            raise Unsupported(
                f"the Iceberg table {name!r} has equality deletes, which are not read: "
                "rewrite its data files, or have its writer use position deletes"
            ) from error
        raise Corrupt(f"the Iceberg table {name!r} cannot be planned: {error}") from error


# Columns


def _metadata(table: "Table", name: str, schema: "Schema") -> Action:
    mode = "id"
    if table.name_mapping() is not None:
        _names_never_changed(table, name)
        mode = "name"  # files that others wrote have no ids
    fields = [_field(field, name) for field in schema.fields]
    return {
        "metaData": {
            # With the schema: one snapshot may be seen under several.
            "id": f"{table.metadata.table_uuid}/{schema.schema_id}",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": json.dumps({"type": "struct", "fields": fields}),
            "partitionColumns": [],
            "configuration": {"delta.columnMapping.mode": mode},
        }
    }


def _names_never_changed(table: "Table", name: str) -> None:
    """Refuse to read files by name where a name has changed hands."""
    by_id: dict[int, str] = {}
    by_name: dict[str, int] = {}
    for schema in table.metadata.schemas:
        for field_id in schema.field_ids:
            column = schema.find_column_name(field_id) or ""
            if (
                by_id.setdefault(field_id, column) != column
                or by_name.setdefault(column, field_id) != field_id
            ):
                raise Unsupported(
                    f"the Iceberg table {name!r} finds columns of files by a name mapping, "
                    f"and column {column!r} was renamed or replaced: rewrite its data files"
                )


def _field(field: Any, table: str) -> Action:
    return {
        "name": field.name,
        "type": _type(field.field_type, field.name, table),
        "nullable": not field.required,
        "metadata": {
            "delta.columnMapping.id": field.field_id,
            "delta.columnMapping.physicalName": field.name,
        },
    }


def _type(type_: Any, column: str, table: str) -> Any:
    from pyiceberg.types import DecimalType, ListType, MapType, StructType

    if isinstance(type_, StructType):
        return {"type": "struct", "fields": [_field(f, table) for f in type_.fields]}
    if isinstance(type_, ListType):
        return {
            "type": "array",
            "elementType": _type(type_.element_type, column, table),
            "containsNull": not type_.element_required,
        }
    if isinstance(type_, MapType):
        return {
            "type": "map",
            "keyType": _type(type_.key_type, column, table),
            "valueType": _type(type_.value_type, column, table),
            "valueContainsNull": not type_.value_required,
        }
    if isinstance(type_, DecimalType):
        return f"decimal({type_.precision},{type_.scale})"
    if str(type_) not in PRIMITIVES:
        raise Unsupported(
            f"the Iceberg table {table!r} has column {column!r} of type {type_}, which is "
            "not read"
        )
    return PRIMITIVES[str(type_)]


# Files


def _add(
    file: "DataFile",
    schema: "Schema",
    name: str,
    deleted: Mapping[str, "np.ndarray[Any, Any]"],
) -> Action:
    _check_parquet(file, name)
    content: Action = {
        "path": quote(file.file_path, safe="/:@!$&'()*+,;=~"),
        "partitionValues": {},
        "size": file.file_size_in_bytes,
        "modificationTime": 0,
        "dataChange": True,
        "stats": json.dumps(_stats(file, schema)),
    }
    rows = deleted.get(file.file_path)
    if rows is not None and len(rows):
        content["deletionVector"] = _vector(rows)
    return {"add": content}


def _check_parquet(file: "DataFile", name: str) -> None:
    if file.file_format.name != "PARQUET":
        raise Unsupported(
            f"the Iceberg table {name!r} has {file.file_path}, which is "
            f"{file.file_format.name} and not Parquet"
        )


def _stats(file: "DataFile", schema: "Schema") -> Action:
    stats: Action = {"numRecords": file.record_count, "tightBounds": False}
    for key, found in (
        ("minValues", file.lower_bounds),
        ("maxValues", file.upper_bounds),
    ):
        bounds = {}
        for field in schema.fields:
            value = _bound(field.field_type, (found or {}).get(field.field_id))
            if value is not None:
                bounds[field.name] = value
        stats[key] = bounds
    counts = file.null_value_counts or {}
    stats["nullCount"] = {
        f.name: counts[f.field_id] for f in schema.fields if f.field_id in counts
    }
    return stats


def _bound(type_: Any, data: bytes | None) -> Any:
    """Write a bound as Delta's statistics have it; None where it says nothing."""
    from pyiceberg.conversions import from_bytes

    if data is None or not type_.is_primitive or str(type_) == "binary":
        return None
    try:
        return _stat(from_bytes(type_, data), str(type_))
    except (ValueError, OverflowError, struct.error):
        return None  # of a narrower type, that was widened since; or of no calendar


def _stat(value: Any, type_: str) -> Any:
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, decimal.Decimal):
        return str(value)
    if type_ == "date":
        return (datetime.date(1970, 1, 1) + datetime.timedelta(value)).isoformat()
    if type_.startswith("timestamp"):
        at = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=value)
        return at.isoformat() + ("Z" if type_ == "timestamptz" else "")
    return value


# Deleted rows


def _deleted_rows(
    table: "Table", name: str, tasks: "Iterable[FileScanTask]"
) -> dict[str, "np.ndarray[Any, Any]"]:
    """Collect the deleted positions by data file; a file of deletes is read once."""
    read: dict[str, dict[str, list[np.ndarray[Any, Any]]]] = {}
    deleted = {}
    for task in tasks:
        parts: list[np.ndarray[Any, Any]] = []
        for file in task.delete_files:
            if file.content.name == "EQUALITY_DELETES":
                raise Unsupported(
                    f"the Iceberg table {name!r} has the equality deletes {file.file_path}, "
                    "which are not read: rewrite its data files"
                )
            key = file.file_path
            if key not in read:
                read[key] = _read_deletes(table, file, name)
            parts += read[key].get(task.file.file_path, [])
        if parts:
            deleted[task.file.file_path] = np.unique(np.concatenate(parts))
    return deleted


def _read_deletes(
    table: "Table", file: "DataFile", name: str
) -> dict[str, list["np.ndarray[Any, Any]"]]:
    if file.file_format.name == "PUFFIN":
        return _read_puffin(table, file)
    _check_parquet(file, name)
    with table.io.new_input(file.file_path).open() as stream:
        rows = pq.read_table(stream, columns=["file_path", "pos"])
    paths = rows["file_path"].combine_chunks().dictionary_encode()
    codes = paths.indices.to_numpy()
    positions = rows["pos"].to_numpy()
    return {
        path: [positions[codes == code]]
        for code, path in enumerate(paths.dictionary.to_pylist())
    }


def _read_puffin(
    table: "Table", file: "DataFile"
) -> dict[str, list["np.ndarray[Any, Any]"]]:
    from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
    from pyiceberg.table.puffin import PuffinFile

    with table.io.new_input(file.file_path).open() as stream:
        puffin = PuffinFile(stream.read())
    return {
        vector.referenced_data_file: [vector.to_vector().to_numpy()]
        for vector in deletion_vectors_from_puffin_file(puffin)
    }


def _vector(rows: "np.ndarray[Any, Any]") -> Action:
    """Make an inline deletion vector."""
    from pyroaring import BitMap64

    bitmap = BitMap64(rows.astype(np.uint64))
    data = struct.pack("<I", VECTOR_MAGIC) + bitmap.serialize()
    return {
        "storageType": "i",
        "pathOrInlineDv": _z85(data),
        "sizeInBytes": len(data),
        "cardinality": len(rows),
    }


def _z85(data: bytes) -> str:
    words = np.frombuffer(data + b"\0" * (-len(data) % 4), ">u4").astype(np.int64)
    powers = 85 ** np.arange(4, -1, -1)
    digits = words[:, None] // powers % 85
    return str(Z85[digits].tobytes(), "ascii")


# Storage


def _s3_options(table: "Table") -> dict[str, str]:
    """Take over what the catalog says of S3, if the table lies there."""
    if not table.location().startswith(("s3://", "s3a://")):
        return {}
    options = {
        ours: str(table.io.properties[theirs])
        for theirs, ours in S3_OPTIONS.items()
        if theirs in table.io.properties
    }
    endpoint = options.get("endpoint_override", "")
    if "://" in endpoint:
        options["scheme"], options["endpoint_override"] = endpoint.split("://", 1)
    return options
