"""What this process holds while others wait: renewed by a thread, released at exit."""

import atexit
import contextlib
import logging
import os
import threading
from collections.abc import Callable
from typing import Protocol

from .errors import Conflict, HeadraceError

__all__ = ["Lease", "Leases"]

# How long the end of the process waits for storage. What it leaves is known for what it is
# by the next that looks.
_EXIT_WAIT_S = 20.0


class Lease(Protocol):
    """Something on storage that is this process' until it is released.

    Both do nothing in a process that was forked off; `renew` raises Conflict when others
    have it.
    """

    @property
    def uri(self) -> str:
        """What it is of."""

    def renew(self) -> None:
        """Say that it is still in use."""

    def release(self) -> None:
        """Let others have it."""


class Leases:
    """Those of one kind in this process, and the thread that renews them.

    It lives while there are such, and releases them as well when the process ends: by then no
    other may be started.
    """

    def __init__(
        self, name: str, every_s: Callable[[], float], log: logging.Logger
    ) -> None:
        self._name = name
        self._every_s = every_s
        self._log = log
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._held: list[Lease] = []
        self._exiting = False
        self._thread: _Thread | None = None

    def add(self, lease: Lease) -> None:
        """Renew a lease from now on, until it is forgotten."""
        with self._lock:
            self._held.append(lease)
            if self._thread is None:
                self._thread = _Thread(self._run, self._name)
                atexit.unregister(self._at_exit)  # a parent's, in a forked process
                atexit.register(self._at_exit)

    def forget(self, lease: Lease) -> None:
        """Renew it no more."""
        with self._lock:
            with contextlib.suppress(ValueError):
                self._held.remove(lease)
            if not self._held and self._thread is not None and not self._exiting:
                self._thread.ending.set()
                self._thread = None

    def held(self) -> list[Lease]:
        """Return those that are renewed."""
        with self._lock:
            return list(self._held)

    def renew(self) -> None:
        """Renew all; what fails is logged, and tried again the next time."""
        for lease in self.held():
            try:
                lease.renew()
            except Conflict as error:
                self.forget(lease)
                self._log.warning("%s", error)
            except HeadraceError as error:
                self._log.warning("the lease of %s was not renewed: %s", lease.uri, error)

    def release(self, wanted: Callable[[Lease], bool]) -> None:
        """Release those that are wanted; what fails is logged."""
        for lease in self.held():
            if wanted(lease):
                try:
                    lease.release()
                except HeadraceError as error:
                    self._log.warning("%s was not released: %s", lease.uri, error)

    def _run(self, thread: "_Thread") -> None:
        while not thread.ending.wait(self._every_s()):
            self.renew()
        if self._exiting:
            self.release(lambda lease: True)
        thread.ended.set()

    def _at_exit(self) -> None:
        with self._lock:
            self._exiting, thread = True, self._thread
        if thread is not None and thread.is_alive():
            thread.ending.set()
            with contextlib.suppress(KeyboardInterrupt):
                thread.ended.wait(_EXIT_WAIT_S)


class _Thread(threading.Thread):
    def __init__(self, run: "Callable[[_Thread], None]", name: str) -> None:
        super().__init__(target=run, args=(self,), name=name, daemon=True)
        self.ending = threading.Event()
        self.ended = threading.Event()
        self.start()
