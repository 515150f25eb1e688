"""Stages that take batches through functions, ahead of the consumer, in order.

Every stage has threads of its own, gets batches from the line of the stage before it and
puts them on one of its own. All threads are daemons: they end with their pass.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Generic, TypeVar

from ._forms import Columns
from ._processes import Pool, Stopped
from .errors import PeerFailed, SchemaMismatch
from .functions import MappedFunction, merged, owned

__all__ = ["Batch", "Line", "ProcessStage", "Stage", "Stopped", "ThreadStage"]

#: Batches that wait at the end of a stage.
READY = 2


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch on its way, where it is in the order, and the state once it is handed out."""

    rows: int
    columns: Columns
    place: str
    state: str


class Failed:
    """What came in place of a batch; nothing comes after it."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


@dataclass(frozen=True, slots=True)
class Sent:
    """A batch that a process works on, or one without rows, which needs none."""

    batch: Batch
    given: Columns
    number: int | None


Take = Callable[[], Batch | None]
T = TypeVar("T")


class Line(Generic[T]):
    """A queue of a few; None is the end. Thread-safe. REQUIRES: one who puts."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._changed = threading.Condition()
        self._entries: deque[T | Failed | None] = deque()
        self._stopped = False

    def wait_for_room(self) -> None:
        """Wait until `put` would not."""
        self._wait(lambda: len(self._entries) < self._capacity)

    def put(self, entry: T | Failed | None) -> None:
        """Wait for room, and append."""
        with self._changed:
            self.wait_for_room()
            self._entries.append(entry)
            self._changed.notify_all()

    def first(self) -> T | None:
        """Wait for the first, and let it stay; raise what came in its place."""
        with self._changed:
            self._wait(lambda: bool(self._entries))
            entry = self._entries[0]
        if isinstance(entry, Failed):
            raise entry.error
        return entry

    def take(self) -> T | None:
        """Wait for the first, and remove it unless it is the end."""
        with self._changed:
            entry = self.first()
            if entry is not None:
                self._entries.popleft()
                self._changed.notify_all()
            return entry

    def _wait(self, is_so: Callable[[], bool]) -> None:
        with self._changed:
            while not self._stopped and not is_so():
                self._changed.wait()
            if self._stopped:
                raise Stopped

    def stop(self) -> None:
        """Have all who wait, and who come, raise Stopped; forget all."""
        with self._changed:
            self._stopped = True
            self._entries.clear()
            self._changed.notify_all()


class Stage:
    """Functions between two lines, in threads, until the end, an error or `stop`."""

    def __init__(self, take: Take, loaders: tuple[str, ...]) -> None:
        self.line: Line[Batch] = Line(READY)
        self._take = take
        self._loaders = loaders
        self._wanted = True
        self._threads: list[threading.Thread] = []

    def start(self, first: Callable[[], None]) -> None:
        """Start the threads; `first` is called in them before all else."""
        raise NotImplementedError

    def stop(self) -> None:
        """Have the threads end once the calls of functions return that are under way."""
        self._wanted = False
        self.line.stop()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for the threads; one that called this is not waited for."""
        for thread in self._threads:
            if thread is not threading.current_thread():
                with contextlib.suppress(RuntimeError):  # interrupted as it started
                    thread.join(timeout_s)

    def is_wanted(self) -> bool:
        """Whether `stop` has not been called."""
        return self._wanted

    def _run(self, body: Callable[[], None]) -> None:
        """Have a thread run this; what it raises goes to the end of the line."""

        def guarded() -> None:
            try:
                body()
            except Stopped:
                pass
            except BaseException as error:
                with contextlib.suppress(Stopped):
                    self.line.put(Failed(error))

        thread = threading.Thread(target=guarded, name="headrace functions", daemon=True)
        self._threads.append(thread)
        thread.start()


class ThreadStage(Stage):
    """Functions in one thread of this process, one after the other."""

    def __init__(
        self, functions: list[MappedFunction], take: Take, loaders: tuple[str, ...]
    ) -> None:
        super().__init__(take, loaders)
        self._functions = functions

    def start(self, first: Callable[[], None]) -> None:
        """Start the thread."""

        def work() -> None:
            first()
            while (batch := self._take()) is not None:
                for function in self._functions:
                    if not self._wanted:
                        raise Stopped
                    batch = self._called(function, batch)
                self.line.put(batch)
            self.line.put(None)

        self._run(work)

    def _called(self, function: MappedFunction, batch: Batch) -> Batch:
        given = function.given(batch.rows, batch.columns, self._loaders)
        if batch.rows == 0:
            output = function.empty(given)
        else:
            where = f"map_batches({function.name}) {batch.place}"
            with noting(where):
                output = owned(function.call(batch.rows, given, where), given)
        return replace(batch, columns=merged(batch.columns, given, output))


class ProcessStage(Stage):
    """One function in processes of its own: a thread feeds them, another collects."""

    def __init__(self, pool: Pool, take: Take, loaders: tuple[str, ...]) -> None:
        super().__init__(take, loaders)
        self._pool = pool
        self._under_way: Line[Sent] = Line(pool.ahead)

    def start(self, first: Callable[[], None]) -> None:
        """Start the threads, and the processes that are not there."""

        def feed() -> None:
            first()
            self._pool.drain(self.is_wanted)
            self._pool.start()
            # The consumer comes to an error after the batches before it.
            try:
                while (batch := self._take()) is not None:
                    self._under_way.wait_for_room()
                    self._under_way.put(self._sent(batch))
                self._under_way.put(None)
            except Stopped:
                raise
            except BaseException as error:
                self._under_way.put(Failed(error))

        def collect() -> None:
            while (sent := self._under_way.first()) is not None:
                assert isinstance(sent, Sent)
                batch = self._collected(sent)
                self._under_way.take()
                self.line.put(batch)
            self.line.put(None)

        self._run(feed)
        self._run(collect)

    def stop(self) -> None:
        """Have the threads end, at once as soon as the processes are killed."""
        super().stop()
        self._under_way.stop()

    def _sent(self, batch: Batch) -> Sent:
        function = self._pool.function
        given = function.given(batch.rows, batch.columns, self._loaders)
        number = None
        if batch.rows:
            where = f"map_batches({function.name}) {batch.place}"
            number = self._pool.send(batch.rows, given, where)
        return Sent(batch, given, number)

    def _collected(self, sent: Sent) -> Batch:
        function, batch = self._pool.function, sent.batch
        if sent.number is None:
            output = function.empty(sent.given)
        else:
            where = f"map_batches({function.name}) {batch.place}"
            with noting(where):
                output = self._pool.collect(sent.number, where, self.is_wanted)
        return replace(batch, columns=merged(batch.columns, sent.given, output))


class noting:  # noqa: N801 (read as a verb)
    """Note at what is raised where that was; our own errors say so themselves."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, StopIteration):
            # In an iterator it would be the end.
            raise RuntimeError(f"{self._where} raised StopIteration") from error
        if error is not None and not isinstance(
            error, SchemaMismatch | PeerFailed | Stopped
        ):
            error.add_note(f"In {self._where}")
