"""What is to be done when a Spark session stops."""

import contextlib
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from pyspark.sql import SparkSession

__all__ = ["when_stopped"]

_POLL_SECONDS = 1.0


class _Watch:
    """A thread that looks whether sessions have stopped, while there are any to look at.

    Neither Spark nor Spark Connect tells Python when a session stops; looking costs a
    field's value.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[int, tuple[weakref.ref[Any], list[Callable[[], None]]]] = {}
        self._running = False

    def add(self, session: SparkSession, call: Callable[[], None]) -> None:
        with self._lock:
            known = self._calls.get(id(session))
            if known is None or known[0]() is not session:
                known = (weakref.ref(session), [])
                self._calls[id(session)] = known
            known[1].append(call)
            if not self._running:
                self._running = True
                threading.Thread(
                    target=self._run, name="headrace-spark-watch", daemon=True
                ).start()

    def _run(self) -> None:
        while True:
            time.sleep(_POLL_SECONDS)
            due: list[Callable[[], None]] = []
            with self._lock:
                for key, (recall, calls) in list(self._calls.items()):
                    session = recall()
                    if session is None:  # dropped, not stopped: what was made is in use
                        del self._calls[key]
                    elif _is_stopped(session):
                        due += calls
                        del self._calls[key]
                if not self._calls:
                    self._running = False
            for call in due:
                with contextlib.suppress(Exception):  # it is tried again at exit
                    call()
            if not self._running:
                return


def _is_stopped(session: Any) -> bool:
    context = getattr(session, "_sc", None)
    if context is not None:
        return context._jsc is None
    return bool(getattr(session, "is_stopped", False))


_watch = _Watch()


def when_stopped(session: SparkSession, call: Callable[[], None]) -> None:
    """Call something, once, within seconds after a session has stopped.

    What it raises is passed over. Not called at the end of the process.
    """
    _watch.add(session, call)
