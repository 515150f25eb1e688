"""Cached tables that this process uses, and their leases."""

import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from .. import _native
from .._leases import Leases
from ..errors import Conflict

__all__ = ["Cache", "CacheReport", "Lease"]

_log = logging.getLogger("headrace.spark")


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


_leases = Leases("headrace-leases", lambda: _native.CACHE_HEARTBEAT_MS / 1000, _log)


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
