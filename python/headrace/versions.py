"""The versions of a Delta table: history, differences, going back, cleaning up."""

import dataclasses
import datetime
import json
import os
from collections.abc import Mapping
from typing import Any

from . import _native, _validate

__all__ = [
    "TableCommit",
    "TableDiff",
    "VacuumReport",
    "diff",
    "history",
    "restore",
    "vacuum",
]


@dataclasses.dataclass(frozen=True)
class TableCommit:
    """A commit, as it tells of itself."""

    version: int
    timestamp: datetime.datetime
    operation: str
    parameters: dict[str, Any]
    metrics: dict[str, Any]
    engine: str


@dataclasses.dataclass(frozen=True)
class TableDiff:
    """What one version has that another has not; files are below the table."""

    start: int
    end: int
    rows_start: int
    rows_end: int
    rows_added: int
    rows_removed: int
    files_added: tuple[str, ...]
    files_removed: tuple[str, ...]
    schema: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class VacuumReport:
    """Files that no version needs which is young enough, below the table."""

    files: tuple[str, ...]
    bytes: int
    deleted: bool


def history(
    uri: "str | os.PathLike[str]", *, storage_options: Mapping[str, str] | None = None
) -> list[TableCommit]:
    """List the commits of a Delta table whose files are there, the last first.

    Parameters
    ----------
    uri : str or PathLike
        The table.
    storage_options : dict of str to str, optional
        How storage is reached, as in `open`.

    Returns
    -------
    list of TableCommit
        Times are in UTC; `as_of` of `open` goes by them.

    Raises
    ------
    InvalidArgument
        It is no Delta table.
    Corrupt
        A commit is damaged; the message names the file.

    Examples
    --------
    >>> import headrace as hr
    >>> [commit.version for commit in hr.history("lake/flights")]  # doctest: +SKIP
    """
    commits = json.loads(
        _native.history(_validate.path("uri", uri), _options(storage_options))
    )
    return [
        TableCommit(
            version=commit["version"],
            timestamp=datetime.datetime.fromisoformat(commit["timestamp"]),
            operation=commit["operation"],
            parameters=commit["parameters"],
            metrics=commit["metrics"],
            engine=commit["engine"],
        )
        for commit in commits
    ]


def diff(
    uri: "str | os.PathLike[str]",
    start: int,
    end: int,
    *,
    storage_options: Mapping[str, str] | None = None,
) -> TableDiff:
    """Compare two versions of a Delta table by what its log says.

    Parameters
    ----------
    uri : str or PathLike
        The table.
    start, end : int
        The versions.
    storage_options : dict of str to str, optional
        How storage is reached, as in `open`.

    Returns
    -------
    TableDiff
        Rows are those of the files that only one of them has.

    Raises
    ------
    InvalidArgument
        It is no Delta table.
    NotFound
        A version is not, or not any more, there.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.diff("lake/flights", 3, 7).rows_added  # doctest: +SKIP
    """
    found = json.loads(
        _native.diff(
            _validate.path("uri", uri),
            _validate.integer("start", start, minimum=0),
            _validate.integer("end", end, minimum=0),
            _options(storage_options),
        )
    )
    return TableDiff(
        start=found["from"],
        end=found["to"],
        rows_start=found["rows_from"],
        rows_end=found["rows_to"],
        rows_added=found["rows_added"],
        rows_removed=found["rows_removed"],
        files_added=tuple(found["files_added"]),
        files_removed=tuple(found["files_removed"]),
        schema=tuple(found["schema"]),
    )


def restore(
    uri: "str | os.PathLike[str]",
    version: int,
    *,
    storage_options: Mapping[str, str] | None = None,
) -> int:
    """Commit a new version of a Delta table that is as an older one was.

    Parameters
    ----------
    uri : str or PathLike
        The table.
    version : int
        The older version.
    storage_options : dict of str to str, optional
        How storage is reached, as in `open`.

    Returns
    -------
    int
        The new version.

    Raises
    ------
    NotFound
        The version, or files of it, are not there any more.
    Conflict
        Others committed meanwhile; nothing was changed.
    Unsupported
        The table has features that this build does not write, or only grows.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.restore("lake/flights", 12)  # doctest: +SKIP
    """
    return _native.restore(
        _validate.path("uri", uri),
        _validate.integer("version", version, minimum=0),
        _options(storage_options),
    )


def vacuum(
    uri: "str | os.PathLike[str]",
    *,
    older_than: datetime.timedelta = datetime.timedelta(days=7),
    dry_run: bool = True,
    storage_options: Mapping[str, str] | None = None,
) -> VacuumReport:
    """Find files of a Delta table that no version needs any more, and delete them if asked.

    Parameters
    ----------
    uri : str or PathLike
        The table.
    older_than : timedelta
        What versions of this age need is kept, and files that are as young: a write that
        takes longer would lose files.
    dry_run : bool
        The files are named and left where they are.
    storage_options : dict of str to str, optional
        How storage is reached, as in `open`.

    Returns
    -------
    VacuumReport
        The files. Versions that need them cannot be read once they are deleted.

    Raises
    ------
    InvalidArgument
        It is no Delta table.
    Denied, Unavailable
        Storage refused, or did not answer.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.vacuum("lake/flights").bytes  # doctest: +SKIP
    """
    if not isinstance(older_than, datetime.timedelta):
        raise _validate.rejected("older_than", older_than, "a datetime.timedelta")
    report = json.loads(
        _native.vacuum(
            _validate.path("uri", uri),
            older_than // datetime.timedelta(milliseconds=1),
            _validate.boolean("dry_run", dry_run),
            _options(storage_options),
        )
    )
    return VacuumReport(
        files=tuple(report["files"]), bytes=report["bytes"], deleted=report["deleted"]
    )


def _options(storage_options: Mapping[str, str] | None) -> dict[str, str]:
    return _validate.text_mapping("storage_options", storage_options or {})
