"""Runs in a store: docs/format/run-store.md has the files."""

import contextlib
import json
import logging
import os
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from .. import _native, _validate
from .._leases import Leases
from ..errors import Conflict, Corrupt, NotFound, Unsupported
from .options import Store

__all__ = ["RunStore", "new_run_id"]

_FORMAT = 1
_log = logging.getLogger("headrace.estimator")
_leases = Leases("headrace-runs", lambda: _native.LEASE_HEARTBEAT_MS / 1000, _log)
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def new_run_id(kind: str) -> str:
    """Return an id like no other's."""
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return f"{kind}-{now}-{uuid.uuid4().hex[:6]}"


def check_run_id(run_id: object) -> str:
    """Return an id that a folder can have."""
    text = _validate.text("run_id", run_id)
    if not _RUN_ID.fullmatch(text) or text.endswith(".tmp"):
        raise _validate.rejected(
            "run_id", run_id, "letters, digits, dots, dashes and underscores"
        )
    return text


class RunStore:
    """The objects of one run. Pickles; each process opens the storage for itself."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._run_id = check_run_id(run_id)
        self._folder: _native.ObjectFolder | None = None
        self._lease: _RunLease | None = None

    @property
    def place(self) -> str:
        """The run's folder, as messages name it."""
        return f"{self._open().display}/runs/{self._run_id}"

    def read(self, name: str) -> bytes | None:
        """Return an object's bytes, None if it is not there."""
        try:
            return self._open().read(self._path(name))
        except NotFound:
            return None

    def put(self, name: str, content: bytes) -> None:
        """Write an object as a whole, in the place of one that may be there."""
        self._open().put(self._path(name), content)

    def remove(self, name: str) -> None:
        """Delete an object, if it is there."""
        self._open().remove(self._path(name))

    def record(self) -> dict[str, Any] | None:
        """Return what the run is, None if it is not there.

        Raises
        ------
        Corrupt
            What is in its place is none.
        Unsupported
            It is of a later version of Headrace.
        """
        content = self.read("run.json")
        if content is None:
            return None
        try:
            record = json.loads(content)
            written = record["format"]
        except (ValueError, TypeError, KeyError):
            raise Corrupt(
                f"{self.place}/run.json is no record of a run: take another run_id"
            ) from None
        if written != _FORMAT:
            raise Unsupported(
                f"{self.place}/run.json is of format {written}, expected {_FORMAT}: it was "
                "written by another version of Headrace"
            )
        return dict(record)

    def put_record(self, record: dict[str, Any]) -> None:
        """Say what the run is."""
        text = json.dumps({"format": _FORMAT, **record}, indent=1)
        self.put("run.json", text.encode())

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Have the run to this process alone.

        Raises
        ------
        Conflict
            Another one has it; the message says who.
        """
        uri = self._store._below(f"runs/{self._run_id}")
        options = dict(self._store.storage_options)
        try:
            native = _native.ExclusiveLease.take(uri, options)
        except Conflict as error:
            raise Conflict(f"{error}. Or take another run_id") from None
        self._lease = lease = _RunLease(native)
        _leases.add(lease)
        try:
            yield
        finally:
            self._lease = None
            try:
                lease.release()
            except Exception as error:  # it is over after a while, or with this process
                _leases.forget(lease)
                _log.warning("%s was not released: %s", self.place, error)

    def check_held(self) -> None:
        """Raise the Conflict by which others have the run, if they have."""
        if self._lease is not None and self._lease.lost is not None:
            raise self._lease.lost

    def _path(self, name: str) -> str:
        return f"runs/{self._run_id}/{name}"

    def _open(self) -> _native.ObjectFolder:
        if self._folder is None:
            self._folder = _native.ObjectFolder.open(
                self._store.uri, dict(self._store.storage_options)
            )
        return self._folder

    def __getstate__(self) -> tuple[Store, str]:
        return self._store, self._run_id

    def __setstate__(self, state: tuple[Store, str]) -> None:
        self._store, self._run_id = state
        self._folder = None
        self._lease = None


class _RunLease:
    """A run in the hands of this process."""

    def __init__(self, native: _native.ExclusiveLease) -> None:
        self._native = native
        self._pid = os.getpid()
        self.lost: Conflict | None = None

    @property
    def uri(self) -> str:
        return self._native.display

    def renew(self) -> None:
        if self._pid == os.getpid():
            try:
                self._native.renew()
            except Conflict as error:
                self.lost = error
                raise

    def release(self) -> None:
        if self._pid == os.getpid():
            self._native.release()
            _leases.forget(self)
