"""Writing tables."""

import contextlib
import inspect
import itertools
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from . import _native, _validate
from .errors import HeadraceError, InvalidArgument
from .opening import default_catalog
from .progress import shown
from .schema import Field, Schema

__all__ = ["WriteSummary", "compact", "write"]

_Progress = Callable[[int, int], None] | None
_EXPECTED = (
    "rows: a pyarrow Table or RecordBatchReader, or another object with "
    "__arrow_c_stream__ (pandas, Polars, DuckDB, a Dataset), a dict of column to values, "
    "or an iterable of record batches or of such dicts"
)


class WriteSummary:
    """What was written, as `write` gives it.

    Prints as text. Thread-safety: immutable.
    """

    def __init__(self, native: _native.WriteSummary) -> None:
        self._text = str(native)
        self._values: dict[str, Any] = json.loads(native.to_json())

    @property
    def rows(self) -> int:
        """Rows written."""
        return int(self._values["rows"])

    @property
    def files(self) -> int:
        """Files written."""
        return int(self._values["files"])

    @property
    def row_groups(self) -> int:
        """Row groups of those files."""
        return int(self._values["row_groups"])

    @property
    def bytes(self) -> int:
        """Bytes of those files."""
        return int(self._values["bytes"])

    @property
    def version(self) -> int | None:
        """The table's version that the write made; None for a table without versions."""
        found = self._values["version"]
        return None if found is None else int(found)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it: rows, files, sizes in bytes, seconds, memory.

        Returns
        -------
        dict
            JSON-able. `memory_peak` is what the writer held at most, `memory_floor` the
            smallest `memory_budget` that would have been accepted.
        """
        return dict(self._values)

    def __repr__(self) -> str:
        return self._text


def write(
    data: Any,
    uri: "str | os.PathLike[str]",
    *,
    mode: str = "error",
    schema: Schema | None = None,
    partition_by: Iterable[str] = (),
    sort_by: Iterable[str] = (),
    row_group_bytes: int | None = None,
    file_bytes: int | None = None,
    compression: str = "zstd",
    compression_level: int | None = None,
    bloom_filters: Iterable[str] = (),
    memory_budget: int | None = None,
    num_threads: int | None = None,
    storage_options: Mapping[str, str] | None = None,
    format: str = "delta",
    progress: bool | None = None,
) -> WriteSummary:
    """Write rows as a table.

    Parameters
    ----------
    data : object
        A pyarrow Table or RecordBatchReader; any object with `__arrow_c_stream__`, as
        pandas and Polars frames, DuckDB relations and a `Dataset` have; a dict of column
        to values (numpy arrays, or lists of scalars or arrays); or an iterable of record
        batches or of such dicts, which is drawn from as it is written.
    uri : str or PathLike
        The table's folder: a local path, or a URI of the storage systems in
        docs/guide/storage.md. Or "catalog:prod.flights": where the table of that name
        lies, in the catalog that `headrace.catalog` opens, which is told of the write.
    mode : str, optional
        What happens to a table that is there: "error" (a Conflict), "append", "overwrite",
        or "overwrite_partitions", which replaces the partitions that the rows are of.
    schema : Schema, optional
        How the columns that it names are stored. Those of codecs other than "arrow" are
        given as numpy arrays in a dict, as Arrow tensors or lists, or as cells that the
        codec made before.
    partition_by : list of str, optional
        Columns that become directories (`month=3/`), outermost first.
    sort_by : list of str, optional
        Columns that rows are sorted by, ascending, stable, nulls last; within a partition
        if there are any. What does not fit `memory_budget` waits in temporary files.
    row_group_bytes : int, optional
        Bytes of a row group as it is written, compressed; 32 MiB if not given.
    file_bytes : int, optional
        A file ends with the row group that brings it near this size; 512 MiB if not given.
    compression : str, optional
        "zstd", "snappy", "lz4", "gzip" or "none".
    compression_level : int, optional
        1 to 22 of "zstd", 1 to 9 of "gzip"; 1 and 6 if not given.
    bloom_filters : list of str, optional
        Columns that get bloom filters, dotted names included.
    memory_budget : int, optional
        Bytes held between `data` and storage; 2 GiB if not given.
    num_threads : int, optional
        Threads that encode, without the GIL; 2 if not given.
    storage_options : dict of str to str, optional
        How storage is reached, as for `open`. They are never printed.
    format : str, optional
        "delta", or "parquet": files without a log.
    progress : bool, optional
        Whether a bar is shown on a terminal; if not given, it is.

    Returns
    -------
    WriteSummary
        Rows, files, sizes, time.

    Raises
    ------
    InvalidArgument
        An argument is not as above, or a value cannot be stored.
    Conflict
        There is a table, and `mode` is "error".
    NotFound
        A column that an argument names is not in the data, or the catalog has no table of
        the name.
    Unsupported
        A column's type cannot be stored; the message names it. Or the catalog keeps the
        table's partitions.
    SchemaMismatch
        A field of the schema does not suit its column.
    ResourceExhausted
        `memory_budget` is too small; the message has both numbers.
    Denied, Unavailable
        Storage refused, or did not answer.

    Notes
    -----
    On an error, and on Ctrl-C, what was written is deleted and no row is visible. What an
    iterable raises is raised. Where the rows stand and the catalog could not be told, that
    is a RuntimeWarning. May be called from any thread.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.write({"x": [1, 2, 3]}, "numbers", format="parquet")  # doctest: +SKIP
    3 rows in 1 file
    """
    _check_schema(schema)
    options = write_options(
        mode=mode,
        format=format,
        partition_by=partition_by,
        sort_by=sort_by,
        bloom_filters=bloom_filters,
        compression=compression,
        compression_level=compression_level,
        row_group_bytes=row_group_bytes,
        file_bytes=file_bytes,
        memory_budget=memory_budget,
        num_threads=num_threads,
        storage_options=storage_options,
    )
    target = _validate.path("uri", uri)
    if progress is not None:
        _validate.boolean("progress", progress)
    relay = Relay()
    source, declared = _stream(data, schema, relay)
    options.schema = None if declared is None else declared._native
    options.rows_expected = _rows(data)
    if target.startswith("catalog:"):
        options.catalog = default_catalog()
    with relay.raising(), _bar(progress) as bar:
        native = _native.write(source.__arrow_c_stream__(), target, options, bar)
    return summary_of(native)


def summary_of(native: _native.WriteSummary) -> WriteSummary:
    """Return the summary of a write; warn where the rows stand and a catalog is behind."""
    summary = WriteSummary(native)
    if untold := summary.to_dict()["catalog_error"]:
        warnings.warn(
            f"{summary.rows} rows were written, and the catalog was not told: {untold}",
            RuntimeWarning,
            stacklevel=3,
        )
    return summary


def write_options(
    *,
    mode: str = "error",
    partition_by: Iterable[str] = (),
    sort_by: Iterable[str] = (),
    row_group_bytes: int | None = None,
    file_bytes: int | None = None,
    compression: str = "zstd",
    compression_level: int | None = None,
    bloom_filters: Iterable[str] = (),
    memory_budget: int | None = None,
    num_threads: int | None = None,
    storage_options: Mapping[str, str] | None = None,
    format: str = "delta",
) -> _native.WriteOptions:
    """Return the arguments of `write` of these names, checked, as C++ has them."""
    options = _native.WriteOptions()
    options.mode = _validate.text("mode", mode)
    options.format = _validate.text("format", format)
    options.partition_by = _validate.names("partition_by", partition_by)
    options.sort_by = _validate.names("sort_by", sort_by)
    options.bloom_filters = _validate.names("bloom_filters", bloom_filters)
    options.compression = _validate.text("compression", compression)
    if compression_level is not None:
        options.compression_level = _validate.integer(
            "compression_level", compression_level, maximum=2**31 - 1
        )
    for name, value in (
        ("row_group_bytes", row_group_bytes),
        ("file_bytes", file_bytes),
        ("memory_budget", memory_budget),
    ):
        if value is not None:
            setattr(options, name, _validate.integer(name, value, 1))
    if num_threads is not None:
        options.num_threads = _validate.integer("num_threads", num_threads, 1, 2**31 - 1)
    options.storage_options = _validate.text_mapping(
        "storage_options", storage_options or {}
    )
    return options


WRITE_OPTIONS = tuple(inspect.signature(write_options).parameters)


def _check_schema(schema: Schema | None) -> None:
    if schema is not None and not isinstance(schema, Schema):
        raise _validate.rejected("schema", schema, "a headrace.Schema")


def compact(
    uri: "str | os.PathLike[str]",
    *,
    file_bytes: int | None = None,
    sort_by: Iterable[str] = (),
    memory_budget: int | None = None,
    storage_options: Mapping[str, str] | None = None,
) -> WriteSummary:
    """Rewrite the small files of a Delta table as fewer, larger ones.

    Files below half of `file_bytes` are taken, and those of which rows are deleted; files
    of different partitions stay apart. The rows stay the same, and so do older versions.

    Parameters
    ----------
    uri : str or PathLike
        The table.
    file_bytes : int, optional
        Bytes of a file, about; 512 MiB if not given.
    sort_by : list of str, optional
        Columns that the rewritten rows are sorted by.
    memory_budget : int, optional
        Bytes held at most; 2 GiB if not given.
    storage_options : dict of str to str, optional
        How storage is reached, as for `open`.

    Returns
    -------
    WriteSummary
        What was rewritten; 0 files where there was nothing to gain.

    Raises
    ------
    InvalidArgument
        It is no Delta table.
    Conflict
        Others removed rows of these files meanwhile; nothing was changed.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.compact("lake/flights")  # doctest: +SKIP
    """
    options = _native.WriteOptions()
    if file_bytes is not None:
        options.file_bytes = _validate.integer("file_bytes", file_bytes, 1)
    if memory_budget is not None:
        options.memory_budget = _validate.integer("memory_budget", memory_budget, 1)
    options.sort_by = _validate.names("sort_by", sort_by)
    options.storage_options = _validate.text_mapping(
        "storage_options", storage_options or {}
    )
    return WriteSummary(_native.compact(_validate.path("uri", uri), options))


def _bar(progress: bool | None) -> contextlib.AbstractContextManager[_Progress]:
    return contextlib.nullcontext() if progress is False else shown("writing rows")


def _rows(data: Any) -> int:
    """Return how many rows there are, 0 where that is not known."""
    if isinstance(data, pa.Table | pa.RecordBatch):
        return int(data.num_rows)
    if hasattr(data, "__dataframe__"):  # pandas and Polars; others may have to compute it
        return len(data)
    return 0


class Relay:
    """Carries what an iterable raises past a stream, which passes on its text alone."""

    def __init__(self) -> None:
        self._raised: BaseException | None = None

    def drawn(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield what `batches` yields; what it raises is kept."""
        try:
            yield from batches
        except BaseException as error:
            self._raised = error
            raise

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Raise what was kept in the place of the core's error."""
        try:
            yield
        except HeadraceError:
            if self._raised is not None:
                raise self._raised from None
            raise


def _stream(data: Any, schema: Schema | None, relay: Relay) -> tuple[Any, Schema | None]:
    """Return data as an object with `__arrow_c_stream__`, and the schema to store it by."""
    if hasattr(data, "__arrow_c_stream__"):
        return data, schema
    if isinstance(data, Mapping):
        declared = _declared(data, schema)
        return _table(data, declared), declared
    if hasattr(data, "__arrow_c_array__"):
        return pa.Table.from_batches([pa.record_batch(data)]), schema
    if isinstance(data, str | bytes) or not isinstance(data, Iterable):
        raise _validate.rejected("data", data, _EXPECTED)
    return _reader(iter(data), schema, relay)


def _reader(
    parts: Iterator[Any], schema: Schema | None, relay: Relay
) -> tuple[Any, Schema | None]:
    """Return an iterator's parts as a stream; the first one tells the columns."""
    first = next(parts, None)
    if first is None:
        raise InvalidArgument("data has no batch: expected at least one, to know columns")
    declared = _declared(first, schema) if isinstance(first, Mapping) else schema

    def table(i: int, part: Any) -> pa.Table:
        if isinstance(part, Mapping):
            return _table(part, declared)
        if hasattr(part, "__arrow_c_stream__") or hasattr(part, "__arrow_c_array__"):
            return pa.table(part)
        raise _validate.rejected(f"data[{i}]", part, "a record batch or a dict")

    columns = table(0, first).schema

    def batches() -> Iterator[pa.RecordBatch]:
        for i, part in enumerate(itertools.chain([first], parts)):
            found = table(i, part)
            if found.schema.names != columns.names:
                raise InvalidArgument(
                    f"data[{i}] has columns {found.schema.names}: expected those of the "
                    f"first batch, {columns.names}"
                )
            try:
                cast = found.cast(columns)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
                raise InvalidArgument(
                    f"data[{i}] is not of the first batch's types: {error}"
                ) from None
            yield from cast.to_batches()

    return pa.RecordBatchReader.from_batches(columns, relay.drawn(batches())), declared


def _declared(columns: Mapping[str, Any], schema: Schema | None) -> Schema | None:
    """Return the schema, and fields of arrays whose values are arrays themselves."""
    fields = list(schema or ())
    known = {one.name for one in fields}
    for name, values in columns.items():
        if name in known or not isinstance(values, np.ndarray) or values.ndim < 2:
            continue
        fields.append(Field(name, values.dtype.name, values.shape[1:]))
    return Schema(fields) if fields else None


def _table(columns: Mapping[str, Any], schema: Schema | None) -> pa.Table:
    """Return a dict's columns as a table, those of the schema encoded."""
    given = _validate.mapping("data", columns, "a dict of column to values")
    fields = {one.name: one for one in schema or ()}
    for name, values in given.items():
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            raise _validate.rejected(f"data[{name!r}]", values, "an array or a list")
    lengths = {name: len(values) for name, values in given.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidArgument(f"data's columns have lengths {lengths}: expected one")
    arrays: list[Any] = []
    types: list[pa.Field] = []
    for name, values in given.items():
        if name in fields and not isinstance(values, pa.Array | pa.ChunkedArray):
            encoded = Schema([fields[name]]).encode({name: values})
            arrays.append(encoded.column(0))
            types.append(encoded.schema.field(0))
        else:
            arrays.append(_array(name, values))
            types.append(pa.field(name, arrays[-1].type))
    return pa.Table.from_arrays(arrays, schema=pa.schema(types))


def _array(name: str, values: "Sequence[Any] | pa.Array") -> Any:
    if isinstance(values, pa.ChunkedArray):
        return values
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InvalidArgument(
            f"data[{name!r}] is no column of values ({error}): give a schema with its field"
        ) from None
