"""Catalogs: tables by name, with what people say of them."""

import datetime
import getpass
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import _native, _validate
from .dataset import Dataset
from .opening import default_catalog, native_options, native_version
from .schema import Schema

__all__ = ["Catalog", "CatalogColumn", "CatalogEntry", "catalog"]


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """A column as a catalog knows it: name, Arrow type as text, comment."""

    name: str
    type: str
    comment: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class CatalogEntry:
    """What a catalog knows of a table. Counts are None where nobody counted.

    Attributes
    ----------
    name, uri, description, owner : str
        What people say of the table, and where it lies.
    format : str
        "parquet", "delta", ...
    version, rows, bytes, files : int or None
        As they were when the entry was made or last written to.
    columns : tuple of CatalogColumn
        In the table's order.
    partition_columns : tuple of str
        Those that the table is partitioned by.
    partition_types, storage_options : dict of str to str
        As `headrace.open` takes them; no credentials.
    tags : dict of str to int
        Versions by the names that were given to them.
    last_writer : str
        What wrote the newest file or version.
    created, updated : datetime or None
        Of the entry, in UTC.
    """

    name: str
    uri: str
    description: str
    owner: str
    format: str
    version: int | None
    rows: int | None
    bytes: int | None
    files: int | None
    columns: tuple[CatalogColumn, ...]
    partition_columns: tuple[str, ...]
    partition_types: Mapping[str, str]
    storage_options: Mapping[str, str]
    tags: Mapping[str, int]
    last_writer: str
    created: datetime.datetime | None
    updated: datetime.datetime | None
    _text: str = field(default="", repr=False, compare=False)

    def __repr__(self) -> str:
        """Name, place and size, in a line; `str` has all of it."""
        rows = "" if self.rows is None else f", {self.rows:,} rows"
        version = "" if self.version is None else f", version {self.version}"
        return f"CatalogEntry({self.name!r}, {self.uri!r}{version}{rows})"

    def __str__(self) -> str:
        return self._text


def _entry(found: tuple[str, str]) -> CatalogEntry:
    described, text = found
    values: dict[str, Any] = json.loads(described)
    values["columns"] = tuple(CatalogColumn(**column) for column in values["columns"])
    values["partition_columns"] = tuple(values["partition_columns"])
    for name in ("created", "updated"):
        if values[name] is not None:
            values[name] = datetime.datetime.fromisoformat(values[name])
    return CatalogEntry(**values, _text=text)


class Catalog:
    """Names of tables, kept in one place for many people. Made by `catalog`.

    Thread-safety: every method may be called from any thread, and from any number of
    processes at once; each is one transaction.
    """

    def __init__(self, native: _native.Catalog) -> None:
        self._native = native

    @property
    def uri(self) -> str:
        """Where the catalog is kept."""
        return self._native.uri

    def add(
        self,
        name: str,
        uri: str | os.PathLike[str],
        *,
        description: str = "",
        owner: str | None = None,
        comments: Mapping[str, str] | None = None,
        tags: Mapping[str, int] | None = None,
        storage_options: Mapping[str, str] | None = None,
        partition_types: Mapping[str, str] | None = None,
        replace: bool = False,
    ) -> CatalogEntry:
        """Open a table, and keep what it is under a name.

        Parameters
        ----------
        name : str
            Words of letters, digits, `_` and `-`, with dots between them: "prod.flights".
        uri : str or PathLike
            A file, a directory or a glob, as `headrace.open` takes it.
        description : str, optional
            What the rows are.
        owner : str, optional
            Whom to ask; the name of the user who calls, if not given.
        comments : dict of str to str, optional
            What columns mean, by their names.
        tags : dict of str to int, optional
            Names for versions.
        storage_options, partition_types : dict of str to str, optional
            As for `headrace.open`, and kept for it; credentials among them are used now, and
            not kept.
        replace : bool, optional
            Take the place of an entry of this name. Its tags stay.

        Returns
        -------
        CatalogEntry
            As the catalog has it now.

        Raises
        ------
        Conflict
            The name is taken.
        InvalidArgument
            The name is none, or the URI holds credentials.
        NotFound
            There is no such table, or no such column as a comment names.

        Examples
        --------
        >>> import headrace as hr
        >>> hr.catalog().add(
        ...     "prod.flights", "lake/flights", description="Departures", owner="ana"
        ... )  # doctest: +SKIP
        """
        types = _validate.text_mapping("partition_types", partition_types or {})
        found = self._native.add(
            name=_validate.text("name", name, "the name of a table"),
            uri=_validate.path("uri", uri),
            description=_validate.text("description", description),
            owner=_user() if owner is None else _validate.text("owner", owner),
            comments=_validate.text_mapping("comments", comments or {}),
            tags={
                tag: _validate.integer(f"tags[{tag!r}]", version, 0)
                for tag, version in _validate.mapping(
                    "tags", tags or {}, "a dict of str to int"
                ).items()
            },
            storage_options=_validate.text_mapping(
                "storage_options", storage_options or {}
            ),
            partition_types=types,
            replace=_validate.boolean("replace", replace),
        )
        return _entry(found)

    def open(
        self,
        address: str,
        version: int | None = None,
        as_of: "str | datetime.datetime | None" = None,
        *,
        where: str | None = None,
        storage_options: Mapping[str, str] | None = None,
        partition_types: Mapping[str, str] | None = None,
        schema: Schema | None = None,
    ) -> Dataset:
        """Open a table by its name.

        Parameters
        ----------
        address : str
            "prod.flights", "prod.flights@train-2026-11" (a tag) or "prod.flights@12" (a
            version). `headrace.open` takes the same after "catalog:".
        version : int, optional
            Which version of a Delta table.
        as_of : str or datetime, optional
            The last version committed by a time, as for `headrace.open`.
        where : str, optional
            A filter of the rows. Partitions that it rules out are not even listed: a Hive
            Metastore is asked only for others, and of a directory of plain Parquet they are
            left out as `headrace.open` does it.
        storage_options, partition_types : dict of str to str, optional
            As for `headrace.open`; they go before what the catalog says.
        schema : Schema, optional
            As for `headrace.open`.

        Returns
        -------
        Dataset
            All columns, and the rows that pass the filter.

        Raises
        ------
        NotFound
            The catalog has no such table or tag, or nothing lies where it should, or the
            version is not there.
        InvalidArgument
            The address or the filter is none, or a version is asked for in two ways.

        Notes
        -----
        With a `where` the files of other partitions are no part of the dataset: its
        fingerprint, and with it the state of a loader, is that of the files it has.

        Examples
        --------
        >>> import headrace as hr
        >>> flights = hr.catalog().open("prod.flights")  # doctest: +SKIP
        """
        return Dataset(
            self._native.open_table(
                _validate.text("address", address, "the name of a table"),
                where=_validate.text("where", where or "", "the text of a filter"),
                **native_version(version, as_of),
                **native_options(storage_options, partition_types, schema),
            )
        )

    def find(
        self,
        text: str | None = None,
        *,
        column: str | None = None,
        tag: str | None = None,
        owner: str | None = None,
    ) -> list[CatalogEntry]:
        """Return the entries that fit all that is given, by name.

        Parameters
        ----------
        text : str, optional
            Words that must all be found, whole or in part, whatever their case, in name,
            description, names of columns or their comments.
        column : str, optional
            The name of a column; case does not matter.
        tag, owner : str, optional
            As they were given.

        Returns
        -------
        list of CatalogEntry
            All entries, if nothing is given.

        Raises
        ------
        InvalidArgument
            A text is blank, or an argument is no string.

        Examples
        --------
        >>> import headrace as hr
        >>> hr.catalog().find("departures", column="dep_delay")  # doctest: +SKIP
        """
        given = {"text": text, "column": column, "tag": tag, "owner": owner}
        wanted = {
            name: "" if value is None else _wanted(name, value)
            for name, value in given.items()
        }
        return [_entry(found) for found in self._native.find(**wanted)]

    def ls(self) -> list[CatalogEntry]:
        """Return all entries, by name.

        Returns
        -------
        list of CatalogEntry
            None if the catalog is not there yet.
        """
        return self.find()

    def show(self, name: str) -> CatalogEntry:
        """Return the entry of a name.

        Parameters
        ----------
        name : str
            The name of a table.

        Returns
        -------
        CatalogEntry
            It prints as text.

        Raises
        ------
        NotFound
            There is none; the message has names like it.
        """
        return _entry(
            self._native.show(_validate.text("name", name, "the name of a table"))
        )

    def tag(self, name: str, tag: str, version: int, *, replace: bool = False) -> None:
        """Name a version of a table.

        Parameters
        ----------
        name : str
            The name of a table.
        tag : str
            Letters, digits, `_`, `-` and dots; not digits alone.
        version : int
            The version that the tag stands for.
        replace : bool, optional
            Let a tag that stands for another version stand for this one.

        Raises
        ------
        Conflict
            The tag stands for another version.
        NotFound
            There is no such table.
        InvalidArgument
            The tag is none, or the version is negative.

        Examples
        --------
        >>> import headrace as hr
        >>> hr.catalog().tag("prod.flights", "train-2026-11", 12)  # doctest: +SKIP
        """
        self._native.tag(
            _validate.text("name", name, "the name of a table"),
            _validate.text("tag", tag, "a tag"),
            _validate.integer("version", version, 0),
            replace=_validate.boolean("replace", replace),
        )

    def rm(self, address: str) -> None:
        """Forget a table ("prod.flights"), or a tag ("prod.flights@train-2026-11").

        Parameters
        ----------
        address : str
            Which. Files stay as they are.

        Raises
        ------
        NotFound
            There is no such table, or no such tag.
        """
        self._native.remove(_validate.text("address", address, "the name of a table"))

    def __repr__(self) -> str:
        return f"catalog({self.uri!r})"


def catalog(uri: str | os.PathLike[str] | None = None) -> Catalog:
    """Open a catalog of tables.

    Parameters
    ----------
    uri : str or PathLike, optional
        The path of an SQLite file, which the first `add` makes; or "thrift://host:port" of
        a Hive Metastore. If not given: `HEADRACE_CATALOG`, else
        `~/.local/share/headrace/catalog.db`.

    Returns
    -------
    Catalog
        Nothing is held open between its calls.

    Raises
    ------
    InvalidArgument
        The URI is of no known kind.
    Corrupt
        The file is no catalog.
    Unsupported
        A newer Headrace wrote it.
    Denied, Unavailable
        The file cannot be read; the server does not answer.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.catalog("team.db").ls()  # doctest: +SKIP
    """
    place = default_catalog() if uri is None else _validate.path("uri", uri)
    return Catalog(_native.Catalog.open(place))


def _wanted(name: str, value: str) -> str:
    if not _validate.text(name, value):
        raise _validate.rejected(name, value, "a string that is not empty, or None")
    return value


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        return str(os.getuid())
