"""Iceberg tables by pyiceberg in a SqlCatalog, and deletes that it does not write, by hand."""

import time
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.table import Table
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    SetSnapshotRefUpdate,
)
from pyiceberg.typedef import Record

# The columns of files of position deletes, by the format's own ids.
POSITIONS = pa.schema(
    [
        pa.field("file_path", pa.string(), False, {"PARQUET:field_id": "2147483546"}),
        pa.field("pos", pa.int64(), False, {"PARQUET:field_id": "2147483545"}),
    ]
)


def catalog(folder: Path) -> SqlCatalog:
    folder.mkdir(parents=True, exist_ok=True)
    made = SqlCatalog(
        "lake", uri=f"sqlite:///{folder}/catalog.db", warehouse=folder.as_uri()
    )
    made.create_namespace_if_not_exists("db")
    return made


class _DeletesWriter(ManifestWriterV2):
    """A manifest of deletes; pyiceberg writes those of data alone."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


def _delete_file(
    table: Table, deletes: list[tuple[str, int]], equality: bool
) -> DataFile:
    path = f"{table.location()}/data/{uuid.uuid4()}-deletes.parquet"
    if equality:
        field = table.schema().find_field("id")
        metadata = {"PARQUET:field_id": str(field.field_id)}
        schema = pa.schema([pa.field("id", pa.int64(), metadata=metadata)])
        rows = pa.table({"id": [position for _, position in deletes]}, schema)
    else:
        names, positions = zip(*sorted(deletes), strict=True)
        rows = pa.table({"file_path": names, "pos": positions}, POSITIONS)
    local = Path(path.removeprefix("file://"))
    local.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, local)
    content = DataFileContent.POSITION_DELETES
    more: dict[str, Any] = {}
    if equality:
        content, more = (
            DataFileContent.EQUALITY_DELETES,
            {"equality_ids": [field.field_id]},
        )
    return DataFile.from_args(
        content=content,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=len(deletes),
        file_size_in_bytes=local.stat().st_size,
        **more,
    )


def commit_deletes(
    table: Table, deletes: list[tuple[str, int]], *, equality: bool = False
) -> int:
    """Commit a snapshot that deletes rows, (file, position) each, of an unpartitioned table."""
    parent = table.current_snapshot()
    assert parent is not None
    snapshot_id = parent.snapshot_id + 1
    sequence = table.last_sequence_number + 1
    output = table.io.new_output(f"{table.location()}/metadata/{uuid.uuid4()}-m0.avro")
    writer = _DeletesWriter(table.spec(), table.schema(), output, snapshot_id, "deflate")
    with writer:
        writer.add_entry(
            ManifestEntry.from_args(
                status=ManifestEntryStatus.ADDED,
                snapshot_id=snapshot_id,
                sequence_number=None,
                file_sequence_number=None,
                data_file=_delete_file(table, deletes, equality),
            )
        )
    path = f"{table.location()}/metadata/snap-{snapshot_id}.avro"
    with write_manifest_list(
        2, table.io.new_output(path), snapshot_id, parent.snapshot_id, sequence, "deflate"
    ) as manifests:
        manifests.add_manifests([*parent.manifests(table.io), writer.to_manifest_file()])
    snapshot = Snapshot(
        snapshot_id=snapshot_id,
        parent_snapshot_id=parent.snapshot_id,
        sequence_number=sequence,
        timestamp_ms=max(time.time_ns() // 1_000_000, parent.timestamp_ms + 1),
        manifest_list=path,
        summary=Summary(Operation.DELETE),
        schema_id=table.schema().schema_id,
    )
    table.catalog.commit_table(
        table,
        (),
        (
            AddSnapshotUpdate(snapshot=snapshot),
            SetSnapshotRefUpdate(
                ref_name="main", type=SnapshotRefType.BRANCH, snapshot_id=snapshot_id
            ),
        ),
    )
    table.refresh()
    return snapshot_id


def data_files(table: Table) -> list[str]:
    return sorted(task.file.file_path for task in table.scan().plan_files())
