"""Opening tables."""

import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from . import _filesystem, _native, _validate
from .dataset import Dataset
from .errors import InvalidArgument
from .schema import Schema

__all__ = ["open"]


def open(
    uri: "str | os.PathLike[str] | Iterable[str | os.PathLike[str]]",
    *,
    storage_options: Mapping[str, str] | None = None,
    partition_types: Mapping[str, str] | None = None,
    schema: Schema | None = None,
    filesystem: Any = None,
) -> Dataset:
    """Open Parquet where it lies.

    The footers of all files are read once, and the version that they describe is pinned:
    files that change later are an error, never other rows. No row is read.

    Parameters
    ----------
    uri : str, PathLike or list of those
        A file, a directory (Hive partitions are found), a glob, or a list. Local paths, or
        URIs of the storage systems in docs/guide/storage.md.
    storage_options : dict of str to str, optional
        How storage is reached: `region`, `endpoint_override`, `access_key`, `secret_key`,
        `anonymous`, ... They are never printed.
    partition_types : dict of str to str, optional
        Types of Hive partition columns ("int16", "string", "date32", ...). Columns not
        named are inferred: int32, int64, date32, else string.
    schema : Schema, optional
        Fields of columns, dotted names included, whose files do not say how their cells
        are encoded, or say it otherwise. Columns that it does not name stay as they are.
    filesystem : fsspec.AbstractFileSystem or pyarrow.fs.FileSystem, optional
        Where the paths lie, instead of what their URIs say; it is used by many threads,
        kept until the process ends, and read only. Datasets on it are pickled for this
        process alone.

    Returns
    -------
    Dataset
        All columns and rows of the version.

    Raises
    ------
    InvalidArgument
        An argument is not of the types above, or a storage option is not known.
    NotFound
        There is no such table, or it has no data files: every file counts whose name does
        not begin with `_` or `.`.
    Corrupt
        A footer is damaged; the message names the file.
    SchemaMismatch
        Files disagree on a column; the message names file and column. Or a field of the
        schema does not suit its column.
    Denied, Unavailable
        Storage refused, or did not answer.

    Notes
    -----
    Survivor counts of filters are remembered in `HEADRACE_CACHE_DIR`, else
    `XDG_CACHE_HOME/headrace`, else `~/.cache/headrace`. May be called from any thread.

    Examples
    --------
    >>> import headrace as hr
    >>> flights = hr.open("lake/flights")  # doctest: +SKIP
    """
    storage = _validate.text_mapping("storage_options", storage_options or {})
    types = _validate.text_mapping("partition_types", partition_types or {})
    if schema is not None and not isinstance(schema, Schema):
        raise _validate.rejected("schema", schema, "a headrace.Schema")
    uris = _validate.paths("uri", uri)
    if filesystem is not None:
        if storage:
            raise InvalidArgument(
                "storage_options are given beside a filesystem, which has its own: "
                "expected one of the two"
            )
        uris = _filesystem.uris_on(filesystem, uris)
    return Dataset(
        _native.Dataset.open(
            uris=uris,
            storage_options=storage,
            partition_types=types,
            schema=None if schema is None else schema._native,
            cache_folder=_cache_folder(),
        )
    )


def _cache_folder() -> str:
    chosen = os.environ.get("HEADRACE_CACHE_DIR")
    if chosen is not None:
        return chosen  # empty: nothing is remembered
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return str(pathlib.Path(base) / "headrace")
    try:
        return str(pathlib.Path.home() / ".cache" / "headrace")
    except RuntimeError:  # no home: nothing is remembered
        return ""
