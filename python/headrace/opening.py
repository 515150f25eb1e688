"""Opening tables."""

import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import TypedDict

from . import _native, _validate
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
) -> Dataset:
    """Open Parquet where it lies.

    The footers of all files are read once, and the version that they describe is pinned:
    files that change later are an error, never other rows. No row is read.

    Parameters
    ----------
    uri : str, PathLike or list of those
        A file, a directory (Hive partitions are found), a glob, or a list. Local paths, or
        URIs of the storage systems in docs/guide/storage.md. Or "catalog:prod.flights",
        a name in the catalog that `headrace.catalog` opens, with "@" and a tag or a number
        after it for a version.
    storage_options : dict of str to str, optional
        How storage is reached: `region`, `endpoint_override`, `access_key`, `secret_key`,
        `anonymous`, ... They are never printed.
    partition_types : dict of str to str, optional
        Types of Hive partition columns ("int16", "string", "date32", ...). Columns not
        named are inferred: int32, int64, date32, else string.
    schema : Schema, optional
        Fields of columns, dotted names included, whose files do not say how their cells
        are encoded, or say it otherwise. Columns that it does not name stay as they are.

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
    uris = _validate.paths("uri", uri)
    by_name = uris[0].startswith("catalog:")
    return Dataset(
        _native.Dataset.open(
            uris=uris,
            catalog=default_catalog() if by_name else "",
            **native_options(storage_options, partition_types, schema),
        )
    )


class NativeOptions(TypedDict):
    """What the core takes of the options of a call."""

    storage_options: dict[str, str]
    partition_types: dict[str, str]
    schema: _native.Schema | None
    cache_folder: str


def native_options(
    storage_options: Mapping[str, str] | None,
    partition_types: Mapping[str, str] | None,
    schema: Schema | None,
) -> NativeOptions:
    """Check the options of a call, and return them as the core takes them."""
    storage = _validate.text_mapping("storage_options", storage_options or {})
    types = _validate.text_mapping("partition_types", partition_types or {})
    if schema is not None and not isinstance(schema, Schema):
        raise _validate.rejected("schema", schema, "a headrace.Schema")
    return {
        "storage_options": storage,
        "partition_types": types,
        "schema": None if schema is None else schema._native,
        "cache_folder": _cache_folder(),
    }


def default_catalog() -> str:
    """Return the place of the catalog that is meant if none is named."""
    chosen = os.environ.get("HEADRACE_CATALOG")
    if chosen:
        return chosen
    try:
        home = pathlib.Path.home()
    except RuntimeError:
        raise InvalidArgument(
            "no catalog was named, and there is no home folder to keep one in: "
            "set HEADRACE_CATALOG, or say which"
        ) from None
    return str(home / ".local/share/headrace/catalog.db")


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
