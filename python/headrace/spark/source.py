"""The Spark data source "headrace": `spark.read` and `df.write` on tables of ours.

Spark finds it by itself where Headrace is installed (module `pyspark_headrace`).
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import datasource
from pyspark.sql.types import StructType

from .. import opening
from .._staged import StagedWrite
from ..dataset import Dataset
from ..errors import InvalidArgument, Unsupported
from ..writing import WRITE_OPTIONS
from ._columns import StoredColumns
from ._types import spark_schema, to_spark

__all__ = ["LATE_FILES_S", "TASK_MEMORY", "HeadraceSource", "stage"]

_READ_OPTIONS = {"path", "version", "as_of", "columns", "where", "partitions"}
_WRITE_OPTIONS = {"path", "schema", "dtype", *WRITE_OPTIONS} - {
    "format",
    "num_threads",
    "storage_options",
}
_LISTS = {"columns", "partition_by", "sort_by", "bloom_filters"}
_INTEGERS = {
    "version",
    "partitions",
    "row_group_bytes",
    "file_bytes",
    "compression_level",
    "memory_budget",
}
_STORAGE = "storage."
TASK_MEMORY = 512 << 20
# After a job has failed, tasks may write until Spark ends their Python, 2 s after it gave
# them up (spark.python.task.killTimeout).
LATE_FILES_S = 3.0
_ALL = -1


class HeadraceSource(datasource.DataSource):
    """Tables of Headrace in Spark.

    Options of reading: `version`, `as_of`, `columns` (names with commas between, or a JSON
    list: Spark does not tell a Python source which ones it needs), `where` (filter text,
    docs/guide/filters.md: what cannot pass is not read), `partitions` (how many tasks at
    most), `storage.<name>` (as `storage_options`).

    Options of writing: those of `headrace.write`, lists and the schema as JSON.
    """

    @classmethod
    def name(cls) -> str:
        """Return what `format` takes."""
        return "headrace"

    def schema(self) -> StructType:
        """Return the columns of the table, or those of the option `columns`."""
        return spark_schema(_open(_parse(self.options, _READ_OPTIONS))[1])

    def reader(self, schema: StructType) -> datasource.DataSourceReader:
        """Return what reads a version, which is pinned now."""
        return _Reader(_parse(self.options, _READ_OPTIONS), schema)

    def writer(
        self, schema: StructType, overwrite: bool
    ) -> datasource.DataSourceArrowWriter:
        """Return what writes one version."""
        options = _parse(self.options, _WRITE_OPTIONS)
        options.setdefault("mode", "overwrite" if overwrite else "append")
        return _Writer(schema, options)


@dataclass
class _Ids(datasource.InputPartition):
    """Rows by their ids, from `first` up to but not including `end`."""

    first: int
    end: int


class _Reader(datasource.DataSourceReader):
    # It has no pushFilters: Spark 4.3 keeps one plan of reading for all queries of a
    # DataFrame, so that one query's filters would take rows from the others (ADR 12).

    def __init__(self, options: Mapping[str, Any], schema: StructType) -> None:
        self._dataset, columns = _open(options)
        expected = spark_schema(columns)
        if schema.simpleString() != expected.simpleString():
            raise InvalidArgument(
                f"the schema given is {schema.simpleString()}, and the table has "
                f"{expected.simpleString()}: leave the schema out, and cast columns after "
                "reading"
            )
        self._partitions = options.get("partitions", 0)

    def partitions(self) -> list[datasource.InputPartition]:
        try:
            ranges = self._dataset._native.scan_ranges(self._partitions)
        except Unsupported:  # the table stores a column of that name
            return [_Ids(0, _ALL)]
        # Of no partition at all Spark would make one of its own.
        return [_Ids(first, end) for first, end in ranges or [(0, 0)]]

    def read(self, partition: datasource.InputPartition) -> Iterator[pa.RecordBatch]:
        assert isinstance(partition, _Ids)
        part = self._dataset
        if partition.end != _ALL:
            part = part.where(f"row_id >= {partition.first} and row_id < {partition.end}")
        scan = part._native.scan(True)
        while (rows := scan.next()) is not None:
            batch = pa.record_batch(rows)
            if batch.num_rows:
                yield to_spark(batch)


@dataclass
class _Staged(datasource.WriterCommitMessage):
    text: str


class _Writer(datasource.DataSourceArrowWriter):
    def __init__(self, schema: StructType, options: dict[str, Any]) -> None:
        options.setdefault("memory_budget", TASK_MEMORY)
        self._columns = StoredColumns.of(
            schema, dtype=options.pop("dtype", None), schema=options.pop("schema", None)
        )
        self._write = StagedWrite(
            options.pop("path"),
            self._columns.arrow_schema,
            self._columns.schema,
            num_threads=1,
            **options,
        )

    def write(self, iterator: Iterator[pa.RecordBatch]) -> datasource.WriterCommitMessage:
        return _Staged(stage(self._write, self._columns, iterator))

    def commit(self, messages: list[datasource.WriterCommitMessage | None]) -> None:
        texts = [one.text for one in messages if isinstance(one, _Staged)]
        if not texts:  # Spark has no task for a frame without partitions
            texts = [stage(self._write, self._columns, iter(()), task=0)]
        self._write.commit(texts)

    def abort(self, messages: list[datasource.WriterCommitMessage | None]) -> None:
        self._write.discard()
        time.sleep(LATE_FILES_S)  # here: the process ends with this call
        self._write.discard()


def stage(
    write: StagedWrite,
    columns: StoredColumns,
    batches: Iterator[pa.RecordBatch],
    task: int | None = None,
) -> str:
    """Stage one task's batches, as Spark hands them over; the task is this one's."""
    if task is None:
        from pyspark import TaskContext

        context = TaskContext.get()
        task = context.partitionId() if context is not None else 0
    rows = (columns.convert(batch) for batch in batches)
    return write.stage(task, columns.arrow_schema, rows)


def _open(options: Mapping[str, Any]) -> tuple[Dataset, pa.Schema]:
    """Return the table, and its columns as they are read."""
    dataset = opening.open(
        options["path"],
        version=options.get("version"),
        as_of=options.get("as_of"),
        storage_options=options.get("storage_options"),
    )
    columns = options.get("columns")
    if columns:
        dataset = dataset.select(*columns)
    if "where" in options:
        dataset = dataset.where(options["where"])
    return dataset, pa.schema(dataset._native.scan(True))


def _parse(given: Mapping[str, str], known: set[str]) -> dict[str, Any]:
    """Return Spark's options, all text and of any case, as the values they stand for."""
    storage: dict[str, str] = {}
    options: dict[str, Any] = {}
    for name, text in given.items():
        if name.lower().startswith(_STORAGE):
            storage[name.lower().removeprefix(_STORAGE)] = text
        elif name.lower() not in known:
            raise InvalidArgument(
                f'the data source "headrace" has no option "{name}": expected '
                f"{', '.join(sorted(known - {'path'}))} or {_STORAGE}<name>"
            )
        else:
            options[name.lower()] = _value(name.lower(), text)
    if "path" not in options:
        raise InvalidArgument(
            "no path was given: expected the table's URI, as in "
            'spark.read.format("headrace").load("lake/flights")'
        )
    if storage:
        options["storage_options"] = storage
    return options


def _value(name: str, text: str) -> Any:
    if name in _LISTS:
        names = json.loads(text) if text.startswith("[") else text.split(",")
        return [str(one).strip() for one in names]
    if name in _INTEGERS:
        try:
            return int(text)
        except ValueError:
            raise InvalidArgument(
                f'option "{name}" is "{text}", expected an integer'
            ) from None
    if name == "schema":
        from ..schema import Schema

        return Schema.from_json(text)
    return text
