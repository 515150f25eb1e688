"""Cached tables that this process uses: their leases, renewed by a thread, released at exit."""

import atexit
import contextlib
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .. import _native
from ..errors import Conflict, HeadraceError

__all__ = ["Cache", "CacheReport", "Lease"]

_log = logging.getLogger("headrace.spark")

# How long the end of the process waits for storage. What it leaves is known for what it is
# by the next that looks.
_EXIT_WAIT_S = 20.0


@dataclass(frozen=True)
class CacheReport:
    """What nobody used: directories of tables, bytes in them, and how many other files."""

    directories: tuple[str, ...]
    bytes: int
    files: int
    deleted: bool


class Lease:
    """A cached table in use by this process, until it is released or the process ends.

    Thread-safe. In a process that was forked off it is nobody's, and `release` does nothing.
    """

    def __init__(self, cache: _native.TableCache, table: _native.CachedTable) -> None:
        self._cache = cache
        self._table = table
        self._pid = os.getpid()
        # A lease that is renewed while it is released would be there again.
        self._lock = threading.Lock()
        self._over = False

    @property
    def uri(self) -> str:
        """The table's folder, as `headrace.open` and `headrace.write` take it."""
        return self._table.uri

    @property
    def directory(self) -> str:
        """The folder's name."""
        return self._table.directory

    @property
    def rows(self) -> int | None:
        """Of a published table, where its log says it."""
        return self._table.rows

    @property
    def bytes(self) -> int:
        """Of a published table's data files."""
        return self._table.bytes

    @property
    def over(self) -> bool:
        """It was released, or the table was removed by others."""
        return self._over

    def publish(self, key: str) -> None:
        """Let others find the committed table by a key.

        If another one was published by that key before, this becomes the lease of that one,
        and the own table is deleted.

        Raises
        ------
        Conflict
            The table was removed by others.
        InvalidArgument
            Nothing was committed.
        """
        with self._lock:
            self._table = self._cache.publish(self._table, key)

    def keep(self) -> None:
        """Keep the table when nobody uses it, until it is removed by its name.

        Raises
        ------
        Conflict
            The table was removed by others.
        """
        with self._lock:
            self._cache.keep(self._table)

    def renew(self) -> None:
        """Say that the table is still in use.

        Raises
        ------
        Conflict
            The table was removed by others.
        """
        with self._lock:
            if not self._over and self._pid == os.getpid():
                try:
                    self._cache.heartbeat(self._table)
                except Conflict:
                    self._over = True
                    raise

    def release(self) -> None:
        """Use the table no more; a second time does nothing.

        It is deleted if nobody else uses it and it is not kept. After an error of storage
        the lease is still there, and released when the process ends.
        """
        if self._pid != os.getpid():
            return
        with self._lock:
            if not self._over:
                self._cache.release(self._table)
                self._over = True
        _leases.forget(self)


class _Leases:
    """Those of this process, and the thread that renews them.

    The thread releases them as well when the process ends: by then no other may be started.
    """

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._held: list[Lease] = []
        self._ending = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, lease: Lease) -> None:
        with self._lock:
            self._held.append(lease)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="headrace-leases", daemon=True
                )
                self._thread.start()
                atexit.unregister(self._at_exit)  # a parent's, in a forked process
                atexit.register(self._at_exit)

    def forget(self, lease: Lease) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._held.remove(lease)

    def held(self) -> list[Lease]:
        with self._lock:
            return list(self._held)

    def renew(self) -> None:
        """Renew all; what fails is logged, and tried again the next time."""
        for lease in self.held():
            try:
                lease.renew()
            except Conflict as error:
                self.forget(lease)
                _log.warning("%s", error)
            except HeadraceError as error:
                _log.warning("the lease of %s was not renewed: %s", lease.uri, error)

    def release(self, wanted: Callable[[Lease], bool]) -> None:
        """Release those that are wanted; what fails is logged."""
        for lease in self.held():
            if wanted(lease):
                try:
                    lease.release()
                except HeadraceError as error:
                    _log.warning("%s was not released: %s", lease.uri, error)

    def _run(self) -> None:
        ending, ended = self._ending, self._ended
        while not ending.wait(_native.CACHE_HEARTBEAT_MS / 1000):
            self.renew()
        self.release(lambda lease: True)
        ended.set()

    def _at_exit(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            self._ending.set()
            with contextlib.suppress(KeyboardInterrupt):
                self._ended.wait(_EXIT_WAIT_S)


_leases = _Leases()


class Cache:
    """A directory of cached tables.

    Parameters
    ----------
    uri : str
        A path or URI; what is missing is made.
    storage_options : dict of str to str, optional
        How storage is reached, as in `headrace.open`.
    """

    def __init__(
        self, uri: str, storage_options: Mapping[str, str] | None = None
    ) -> None:
        self._native = _native.TableCache.open(uri, dict(storage_options or {}))

    @property
    def uri(self) -> str:
        """Where it is; local paths are absolute."""
        return self._native.uri

    def begin(self, application: str, application_id: str) -> Lease:
        """Make a place for a table that is to be written now, leased to this process."""
        return self._lease(self._native.begin(application, application_id))

    def find(self, key: str, application: str, application_id: str) -> Lease | None:
        """Lease the table that was published by a key, if there is one."""
        table = self._native.find(key, application, application_id)
        return None if table is None else self._lease(table)

    def collect(self, *, dry_run: bool = False) -> CacheReport:
        """Delete what nobody uses and nobody keeps, as what a kill left.

        Parameters
        ----------
        dry_run : bool, optional
            Find it only.
        """
        found = json.loads(self._native.collect(dry_run=dry_run))
        return CacheReport(**{**found, "directories": tuple(found["directories"])})

    def _lease(self, table: _native.CachedTable) -> Lease:
        lease = Lease(self._native, table)
        _leases.add(lease)
        return lease
