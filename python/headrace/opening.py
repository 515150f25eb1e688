"""Opening tables."""

import datetime
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from . import _filesystem, _native, _validate
from .dataset import Dataset
from .errors import InvalidArgument
from .schema import Schema

__all__ = ["open"]

_Moment = str | int | datetime.date
TimeRange = tuple[_Moment, _Moment] | tuple[_Moment, _Moment, str]


def open(
    uri: "str | os.PathLike[str] | Iterable[str | os.PathLike[str]]",
    *,
    storage_options: Mapping[str, str] | None = None,
    partition_types: Mapping[str, str] | None = None,
    where: str | None = None,
    between: TimeRange | None = None,
    schema: Schema | None = None,
    version: int | None = None,
    as_of: "str | datetime.datetime | None" = None,
    filesystem: Any = None,
) -> Dataset:
    """Open a table where it lies: Delta, or Parquet.

    One version is pinned. Of a Delta table it is one of its own, the last if none is
    asked for: reading goes on unchanged while others commit. Of Parquet the footers of all
    files are read once, and files that change later are an error, never other rows. No row
    is read.

    Parameters
    ----------
    uri : str, PathLike or list of those
        A file, a directory (Hive partitions are found), a glob, or a list. Local paths, or
        URIs of the storage systems in docs/guide/storage.md. Or "catalog:prod.flights",
        a name in the catalog that `headrace.catalog` opens, with "@" and a tag or a number
        after it for a version. Or "iceberg:catalog.namespace.table@snapshot"
        (docs/guide/iceberg.md).
    storage_options : dict of str to str, optional
        How storage is reached: `region`, `endpoint_override`, `access_key`, `secret_key`,
        `anonymous`, ... They are never printed.
    partition_types : dict of str to str, optional
        Types of Hive partition columns ("int16", "string", "date32", ...). Columns not
        named are inferred: int32, int64, date32, else string.
    where : str, optional
        A filter of the rows, as `Dataset.where` takes it. Of a directory of plain Parquet,
        Hive partitions that it rules out are not listed, and are no part of what is opened.
    between : (start, end) or (start, end, column), optional
        A range of time, as `Dataset.between` takes it; likewise.
    schema : Schema, optional
        Fields of columns, dotted names included, whose files do not say how their cells
        are encoded, or say it otherwise. Columns that it does not name stay as they are.
    version : int, optional
        Which version of a Delta table.
    as_of : str or datetime, optional
        The last version committed by a time, such as ``"2026-11-01T00:00Z"``; UTC if it
        names no offset.
    filesystem : fsspec.AbstractFileSystem or pyarrow.fs.FileSystem, optional
        Where the paths lie, instead of what their URIs say; it is used by many threads,
        kept until the process ends, and read only. Datasets on it are pickled for this
        process alone.

    Returns
    -------
    Dataset
        All columns of the version, and the rows that were asked for.

    Raises
    ------
    InvalidArgument
        An argument is not of the types above, or a storage option is not known. Or both
        `version` and `as_of` were given, or one of them for a table without versions.
    NotFound
        There is no such table, or it has no data files: every file counts whose name does
        not begin with `_` or `.`.
        Or the version is not, or not any more, there.
    Corrupt
        A footer or the log is damaged; the message names the file.
    Unsupported
        The table has Delta features that this build does not know; the message names them.
    SchemaMismatch
        Files disagree on a column; the message names file and column. Or a field of the
        schema does not suit its column.
    Denied, Unavailable
        Storage refused, or did not answer.

    Notes
    -----
    Survivor counts of filters are remembered in `HEADRACE_CACHE_DIR`, else
    `XDG_CACHE_HOME/headrace`, else `~/.cache/headrace`. May be called from any thread.

    With `where` or `between`, schema, row ids, fingerprint and with it the state of a
    loader are those of the files that are left: what happens to others does not matter.
    `open(uri).where(...)` lists and pins the whole table.

    Examples
    --------
    >>> import headrace as hr
    >>> flights = hr.open("lake/flights")  # doctest: +SKIP
    >>> november = hr.open(
    ...     "s3://lake/clicks", between=("2026-11-01", "2026-12-01")
    ... )  # doctest: +SKIP
    """
    if isinstance(uri, str) and uri.startswith("iceberg:"):
        given = (partition_types, schema, version, as_of)
        if any(option is not None for option in given):
            raise InvalidArgument(
                f"{uri}: of an Iceberg table only storage_options are taken; a snapshot is "
                "named in the URI, after @"
            )
        opened = _open_iceberg(uri, storage_options)
        return _chosen(opened, where, between)
    uris = _validate.paths("uri", uri)
    options = native_options(storage_options, partition_types, schema)
    if filesystem is not None:
        if options["storage_options"]:
            raise InvalidArgument(
                "storage_options are given beside a filesystem, which has its own: "
                "expected one of the two"
            )
        uris = _filesystem.uris_on(filesystem, uris)
    by_name = uris[0].startswith("catalog:")
    return Dataset(
        _native.Dataset.open(
            uris=uris,
            **native_version(version, as_of),
            actions="",
            catalog=default_catalog() if by_name else "",
            where="" if where is None else _filter(where),
            between=None if between is None else _range(between),
            **options,
        )
    )


def _filter(where: object) -> str:
    if not isinstance(where, str) or not where:
        raise _validate.rejected("where", where, "the text of a filter")
    return where


def _range(between: object) -> tuple[int | str, int | str, str | None]:
    if not isinstance(between, tuple) or len(between) not in (2, 3):
        raise _validate.rejected(
            "between", between, "a tuple (start, end) or (start, end, column)"
        )
    start, end, *column = between
    return (
        _validate.moment("between's start", start),
        _validate.moment("between's end", end),
        _validate.text("between's column", column[0], "a column name")
        if column
        else None,
    )


def _chosen(dataset: Dataset, where: str | None, between: TimeRange | None) -> Dataset:
    if where is not None:
        dataset = dataset.where(_filter(where))
    if between is not None:
        start, end, column = _range(between)
        dataset = dataset.between(start, end, column=column)
    return dataset


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


class NativeVersion(TypedDict):
    """Which version the core is asked for."""

    version: int | None
    as_of: str


def native_version(
    version: int | None, as_of: "str | datetime.datetime | None"
) -> NativeVersion:
    """Check which version is wanted, and return it as the core takes it."""
    if version is not None:
        version = _validate.integer("version", version, minimum=0)
    return {"version": version, "as_of": _time(as_of)}


def _open_iceberg(uri: str, storage_options: Mapping[str, str] | None) -> Dataset:
    from . import iceberg

    name, _, snapshot = uri.removeprefix("iceberg:").partition("@")
    catalog, _, table = name.partition(".")
    if not catalog or "." not in table or (uri.endswith("@") or uri.count("@") > 1):
        raise InvalidArgument(
            f"{uri!r} is no Iceberg table, expected "
            "iceberg:catalog.namespace.table or iceberg:catalog.namespace.table@snapshot"
        )
    return iceberg.open(
        catalog, table, snapshot_id=snapshot or None, storage_options=storage_options
    )


def open_planned(
    uri: str, actions: str, *, version: int, storage_options: Mapping[str, str]
) -> Dataset:
    """Open a version that actions of a Delta log describe, whoever wrote them."""
    return Dataset(
        _native.Dataset.open(
            uris=[uri],
            storage_options=dict(storage_options),
            partition_types={},
            schema=None,
            version=version,
            as_of="",
            actions=actions,
            cache_folder=_cache_folder(),
        )
    )


def _time(as_of: "str | datetime.datetime | None") -> str:
    if as_of is None:
        return ""
    if isinstance(as_of, str) and as_of:
        return as_of
    if not isinstance(as_of, datetime.datetime):
        raise _validate.rejected("as_of", as_of, "a time as text, or a datetime")
    if as_of.tzinfo is not None:
        as_of = as_of.astimezone(datetime.UTC).replace(tzinfo=None)
    return as_of.isoformat(timespec="milliseconds") + "Z"


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
