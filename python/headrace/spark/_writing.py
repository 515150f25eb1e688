"""Writing a DataFrame as a table: Spark's tasks stage files, the driver commits them."""

import logging
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from .. import _validate, errors
from .._staged import StagedWrite
from ..schema import Schema
from ..writing import WriteSummary
from ._advice import advise
from ._columns import StoredColumns, quoted
from .source import LATE_FILES_S, TASK_MEMORY, stage

__all__ = ["write", "write_columns"]

_STAGED = "staged string"

_log = logging.getLogger("headrace.spark")


def write(
    df: DataFrame,
    uri: str,
    *,
    mode: str = "error",
    schema: Schema | None = None,
    dtype: str | None = None,
    partition_by: Iterable[str] = (),
    sort_by: Iterable[str] = (),
    row_group_bytes: int | None = None,
    file_bytes: int | None = None,
    compression: str = "zstd",
    compression_level: int | None = None,
    bloom_filters: Iterable[str] = (),
    memory_budget: int | None = None,
    storage_options: Mapping[str, str] | None = None,
) -> WriteSummary:
    """Write a DataFrame as a table, by Spark's tasks.

    Each task hands its rows as Arrow batches to the C++ writer, which writes files below
    the table; the driver commits them as one version. A task that Spark runs twice, or
    that fails, adds no row; if the job fails, what was written is deleted, and seconds later
    what tasks still wrote that Spark had given up. No connector of Hadoop's is needed for
    any storage that Headrace knows.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
        Of classic Spark or of Spark Connect.
    uri : str
        The table's folder, as every executor reaches it. Or "catalog:prod.flights": where
        the table of that name lies, in the driver's catalog, which is told of the write.
    mode : str, optional
        "error", "append", "overwrite" or "overwrite_partitions", as for `headrace.write`.
    schema : Schema, optional
        How columns are stored: fields of tensors for arrays, images for binary columns.
    dtype : str, optional
        "float32" or "float64": what all columns of floating-point numbers become, alone, in
        arrays and in vectors. If not given, they stay as they are.
    partition_by : list of str, optional
        Columns that become directories. Spark brings the rows of a directory together.
    sort_by : list of str, optional
        Columns that the rows are sorted by, ascending, nulls last; within a partition if
        there are any.
    row_group_bytes, file_bytes, compression, compression_level, bloom_filters : optional
        As for `headrace.write`.
    memory_budget : int, optional
        Bytes that a task's writer holds at most; 512 MiB if not given.
    storage_options : dict of str to str, optional
        How storage is reached, as for `headrace.open`. They go to the executors.

    Returns
    -------
    WriteSummary
        Rows, files, sizes, version.

    Raises
    ------
    InvalidArgument, Conflict, NotFound, Unsupported, SchemaMismatch
        As `headrace.write`: most of them before a task runs.
    pyspark.errors.PySparkException
        What failed in Spark: the DataFrame's own computing.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.spark.write(df, "s3://lake/flights", mode="append")  # doctest: +SKIP
    """
    partitions = _validate.names("partition_by", partition_by)
    order = _validate.names("sort_by", sort_by)
    if order and not partitions:
        df = df.orderBy(*(df[quoted(name)].asc_nulls_last() for name in order))
    elif partitions:
        df = df.repartition(*(df[quoted(name)] for name in partitions))
    columns = StoredColumns.of(df.schema, dtype=dtype, schema=schema)
    return write_columns(
        df,
        _validate.text("uri", uri),
        columns,
        mode=mode,
        partition_by=partitions,
        sort_by=order if partitions else (),
        row_group_bytes=row_group_bytes,
        file_bytes=file_bytes,
        compression=compression,
        compression_level=compression_level,
        bloom_filters=bloom_filters,
        memory_budget=memory_budget,
        storage_options=storage_options,
    )


def write_columns(
    df: DataFrame, uri: str, columns: StoredColumns, **options: Any
) -> WriteSummary:
    """Write a DataFrame, whose rows lie as they are to be stored."""
    if options.get("memory_budget") is None:
        options["memory_budget"] = TASK_MEMORY
    planned = StagedWrite(
        uri, columns.arrow_schema, columns.schema, num_threads=1, **options
    )
    task = _Task(planned, columns)
    try:
        found = df.mapInArrow(task, _STAGED).collect()
    except BaseException as error:
        _discard(planned)
        ours = _ours(error)
        if ours is None:
            raise
        raise ours from error
    texts = [row[0] for row in found]
    if not texts:  # a DataFrame without partitions has no tasks
        texts = [stage(planned, columns, iter(()), task=0)]
    summary = planned.commit(texts)
    advise(summary, [planned.bytes_of(text) for text in texts])
    return summary


def _discard(planned: StagedWrite) -> None:
    """Delete what was staged, and once more when tasks that were given up have ended.

    What fails is logged: the cause of it all is what is raised.
    """

    def delete() -> None:
        try:
            planned.discard()
        except errors.HeadraceError as error:
            _log.warning("files of a write that failed may be left: %s", error)

    delete()
    threading.Timer(LATE_FILES_S, delete).start()


@dataclass
class _Task:
    """What `mapInArrow` runs."""

    planned: StagedWrite
    columns: StoredColumns

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        text = stage(self.planned, self.columns, batches)
        yield pa.RecordBatch.from_pydict({"staged": [text]})


def _ours(error: BaseException) -> errors.HeadraceError | None:
    """Return the error of ours that a task raised; None if Spark's own is the cause."""
    if not isinstance(error, PySparkException):
        return None
    found = re.findall(
        r"^headrace\.errors\.(\w+): (.*?)(?=\n\S*\n|\n\tat |\Z)", str(error), re.M | re.S
    )
    if not found:
        return None
    name, message = found[-1]
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.HeadraceError)):
        return None
    return kind(message.strip())
