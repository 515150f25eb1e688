"""What files are now, as Spark sees them, where its driver shows plans to nobody."""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from pyspark.sql import functions

__all__ = ["InputFiles", "input_files", "setting"]

# Listings that are remembered, and files of one; each is some 100 bytes here and in a query.
_LISTINGS_MAX = 16
_FILES_MAX = 10_000

# Spark lists more folders than these in a job, of a task a folder unless it is told.
_FOLDERS_MAX = 32
_DISCOVERY = "spark.sql.sources.parallelPartitionDiscovery"
_setting = threading.RLock()


class InputFiles:
    """Sizes and times of files, each time as they are now. Thread-safe.

    Spark tells them by a query of their folders, whose tasks ask storage once more for each
    file. So it is asked for what differs from what was so the last time: that it finds by
    its listing alone, and where nothing differs no task runs. What is remembered saves time
    and decides nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._remembered: OrderedDict[tuple[str, ...], list[str]] = OrderedDict()

    def states(self, df: Any) -> dict[str, str | None]:
        """Return size and time of each file that a DataFrame reads.

        Parameters
        ----------
        df : pyspark.sql.DataFrame
            Classic, or of Spark Connect.

        Returns
        -------
        dict of str to str or None
            By path; None of what is not there now, or is no file.
        """
        paths = input_files(df)
        if not paths:
            return {}
        # Folders: for each path Spark would start a task. `load` takes them as they are named.
        folders = tuple(sorted({unquote(path.rsplit("/", 1)[0]) for path in paths}))
        with self._lock:
            known = self._remembered.get(folders, [])
        with _few_tasks(df.sparkSession, folders):
            now = _listed(df.sparkSession, folders, known)
        with self._lock:
            self._remembered.pop(folders, None)
            if len(now) <= _FILES_MAX:
                self._remembered[folders] = list(now.values())
            if len(self._remembered) > _LISTINGS_MAX:
                self._remembered.popitem(last=False)
        return {path: now.get(_plain(path)) for path in sorted(paths)}


def input_files(df: Any) -> list[str]:
    """Return the paths that a DataFrame reads, as URIs."""
    # Connect's inputFiles remembers its answer, and the DataFrame, for good; what it wraps asks.
    ask = getattr(type(df).inputFiles, "__wrapped__", type(df).inputFiles)
    return list(ask(df))


@contextlib.contextmanager
def setting(session: Any, name: str, value: str) -> Iterator[None]:
    """Set a conf of a session for a while."""
    with _setting:  # or one thread would restore what another has set
        before = session.conf.get(name)
        session.conf.set(name, value)
        try:
            yield
        finally:
            session.conf.set(name, before)


def _few_tasks(
    session: Any, folders: tuple[str, ...]
) -> contextlib.AbstractContextManager[None]:
    """Have folders listed in few tasks; by the driver itself where that takes no time."""
    if len(folders) <= _FOLDERS_MAX:
        return contextlib.nullcontext()
    if all(folder.startswith("file:") for folder in folders):
        return setting(session, f"{_DISCOVERY}.threshold", str(2**31 - 1))
    return setting(session, f"{_DISCOVERY}.parallelism", str(_FOLDERS_MAX))


def _listed(session: Any, folders: tuple[str, ...], known: list[str]) -> dict[str, str]:
    """Return path, size and time as one text of each file below folders, by its path."""
    # The format's content column is not asked for, so that no file is opened.
    files = (
        session.read.format("binaryFile")
        .option("__globPaths__", "false")
        .option("recursiveFileLookup", "true")
        .load(list(folders))
    )
    # Of the listing: other columns of the format are asked of storage, file by file. Never
    # null, which would pass for known. The time comes first, by which most texts differ soonest.
    text = functions.concat_ws(
        "\t",
        functions.unix_micros("_metadata.file_modification_time"),
        functions.col("_metadata.file_size"),
        functions.col("_metadata.file_path"),
    )
    now = {}
    if known:
        # First, for Connect to have the listing when the query comes.
        there = {_plain(path) for path in input_files(files)}
        now = {_path(one): one for one in known if _path(one) in there}
        # One text: a literal a file takes longer to plan than the query to run.
        texts = functions.split(functions.lit("\n".join(known)), "\n")
        files = files.where(~functions.array_contains(texts, text))
    changed = [row[0] for row in files.select(text).collect()]
    return now | {_path(one): one for one in changed}


def _path(text: str) -> str:
    return _plain(text.split("\t", 2)[2])


def _plain(uri: str) -> str:
    """Return a path of inputFiles or of a file's metadata as one spelling for both."""
    return uri.replace(":///", ":/")
