"""A native loader whose batches go through functions before they are handed out."""

import contextlib
import json
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import _forms, _native
from ._forms import Columns
from ._processes import Pool
from ._stages import Batch, ProcessStage, Stage, Stopped, ThreadStage
from .errors import Cancelled, HeadraceError, Unsupported
from .functions import MappedFunction, merged

__all__ = ["MappedLoader"]

#: How long `close` waits for the call of a function that is under way, in seconds.
JOIN_SECONDS = 10


class MappedLoader:
    """Has the methods of `_native.Loader`, and the same order, steps and states.

    The position is that of the batches which were handed out: the native loader is ahead
    by those in the stages. Thread-safety: as of the native one.
    """

    def __init__(
        self,
        native: _native.Loader,
        functions: Sequence[MappedFunction],
        *,
        world_size: int,
        loaders: tuple[str, ...],
    ) -> None:
        self._native = native
        self._functions = list(functions)
        self._world_size = world_size
        self._loaders = loaders
        self._run: _Run | None = None
        self._lock = threading.RLock()
        self._turn = threading.Lock()
        pools = [Pool(function) for function in functions if function.processes]
        self._live = _Live(native, pools)
        weakref.finalize(self, self._live.end)
        self._empty = self._make_empty()

    def next(self, to: _native.Export, number: int) -> Any | None:
        """Return the next batch of a pass, as numpy arrays, or None at its end."""
        run = self._run
        if run is None or run.number != number or not self._live.is_here():
            return self._native.next(to, number)  # which says what is wrong
        with self._turn:
            try:
                batch = run.take()
            except Stopped:
                return self._native.next(to, number)
        return None if batch is None else (batch.rows, batch.columns)

    def empty_batch(self, to: _native.Export) -> Any:
        """Return a batch of no rows, as `next` gives it."""
        return 0, list(self._empty)

    def batch_rows(self) -> int | None:
        """Return the rows of every batch, or None where some may have fewer."""
        return self._native.batch_rows()

    def restart(self) -> int:
        """Begin a pass and return its number."""
        with self._lock:
            run = self._run
            number = self._native.restart()  # from now on the older pass takes no batch
            if run is not None:
                run.stop()
                # It may have gone on to the next epoch, ahead of the consumer.
                if self._native.epoch != run.epoch:
                    self._native.set_epoch(run.epoch)
                    number = self._native.restart()
            self._run = _Run(self, number, self._live)
            return number

    def steps(self) -> int:
        """Return the steps of the pass under way, or of the next one."""
        run = self._run
        return (
            run.steps if run is not None and run.is_going_on() else self._native.steps()
        )

    def set_epoch(self, epoch: int) -> None:
        """Move to the start of an epoch, unless at a position just loaded within it."""
        with self._lock:
            self._native.set_epoch(epoch)
            self._end_run()

    def state_json(self) -> str:
        """Return the position behind the batch that was handed out last."""
        run = self._run
        return self._native.state_json() if run is None else run.state

    def load_state_json(self, text: str) -> None:
        """Move to a position; a state that is refused changes nothing."""
        with self._lock:
            self._native.load_state_json(text)
            self._end_run()

    @property
    def epoch(self) -> int:
        """The epoch of the pass under way, or of the next one."""
        run = self._run
        return self._native.epoch if run is None else run.epoch

    def stats_json(self) -> str:
        """Return the counters of the native loader."""
        return self._native.stats_json()

    def __str__(self) -> str:
        mapped = "".join(f".{function}" for function in self._functions)
        return f"{self._native}{mapped}"

    def close(self) -> None:
        """End threads and processes."""
        self._native.close()  # which refuses a fork
        self._live.end()

    def source(self, number: int, state: str) -> Callable[[], Batch | None]:
        """Return what takes one batch of a pass after the other."""
        native, world_size = self._native, self._world_size
        begin: dict[str, Any] = json.loads(state)
        epoch, samples, step = begin["epoch"], begin["samples"], 0

        def take() -> Batch | None:
            nonlocal samples, step
            batch = native.next(_native.Export.NUMPY, number)
            if batch is None:
                return None
            after = native.state_json()
            position = json.loads(after)
            rows, columns = batch
            begun, end = samples, position["samples"]
            if position["epoch"] != epoch:
                end = begun + rows * world_size
            place = f"at step {step} of epoch {epoch} (samples {begun} to {end - 1})"
            samples, step = end, step + 1
            return Batch(rows, columns, place, after)

        return take

    def stages(self, take: Callable[[], Batch | None]) -> list[Stage]:
        """Return the stages of a pass, one behind the other."""
        stages: list[Stage] = []
        pools = iter(self._live.pools)
        together: list[MappedFunction] = []
        for function in [*self._functions, None]:
            if function is not None and not function.processes:
                together.append(function)
                continue
            if together:
                stages.append(ThreadStage(together, take, self._loaders))
                take, together = stages[-1].line.take, []
            if function is not None:
                stages.append(ProcessStage(next(pools), take, self._loaders))
                take = stages[-1].line.take
        return stages

    def _end_run(self) -> None:
        if self._run is not None:
            self._run.stop()
            self._run = None

    def _make_empty(self) -> Columns:
        """Return the columns of no rows; refuse what numpy has not, and missing columns."""
        for name, column in self._native.empty_batch(_native.Export.DLPACK)[1]:
            if not _forms.is_text(column):
                try:
                    np.from_dlpack(column)
                except (BufferError, RuntimeError):
                    raise Unsupported(
                        f'column "{name}" is bfloat16, which numpy does not have, and '
                        f"batches go through map_batches as numpy arrays: cast it to float32"
                    ) from None
        columns: Columns = self._native.empty_batch(_native.Export.NUMPY)[1]
        for function in self._functions:
            given = function.given(0, columns, self._loaders)
            columns = merged(columns, given, function.empty(given))
        return columns


class _Run:
    """One pass: its stages, and how far the consumer is."""

    def __init__(self, mapped: MappedLoader, number: int, live: "_Live") -> None:
        self.number = number
        self.steps = mapped._native.steps()
        self.state = mapped._native.state_json()
        self.epoch = self._begun = mapped._native.epoch
        self._live = live
        self._started = False
        self._error: BaseException | None = None
        self._stages = mapped.stages(mapped.source(number, self.state))

    def is_going_on(self) -> bool:
        """Whether there are batches that were not handed out."""
        return self.epoch == self._begun

    def take(self) -> Batch | None:
        """Return the next batch; the first call starts the threads."""
        if not self._started:
            self._start()
        if self._error is not None:
            raise self._error
        try:
            batch = self._stages[-1].line.take()
        except (Stopped, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._error = error  # also of who asks again
            self.stop()
            raise
        if batch is not None:
            self.epoch = json.loads(batch.state)["epoch"]
            self.state = batch.state
        return batch

    def _start(self) -> None:
        """Start the threads, which begin when those of the pass before have ended."""
        self._started = True
        before, self._live.last = self._live.last, self
        try:
            for stage in self._stages:
                stage.start(before.join if before is not None else lambda: None)
        except BaseException as error:  # as Ctrl-C
            self._error = Cancelled(
                f"the pass ended as it began ({error!r}): begin another one with iter()"
            )
            self.stop()
            raise

    def stop(self) -> None:
        """Have the threads end, or never start."""
        self._started = True
        for stage in self._stages:
            stage.stop()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for the threads."""
        for stage in self._stages:
            stage.join(timeout_s)


class _Live:
    """What has to be ended: apart from the loader, so that dropping that one ends it."""

    def __init__(self, native: _native.Loader, pools: list[Pool]) -> None:
        self.pools = pools
        self.last: _Run | None = None
        self._native = native
        self._process = os.getpid()

    def is_here(self) -> bool:
        """Whether this is the process that made it, and no fork."""
        return os.getpid() == self._process

    def end(self) -> None:
        """End threads and processes. May be called again, also after an interrupt."""
        if not self.is_here():
            return
        with contextlib.suppress(HeadraceError):
            self._native.close()
        if self.last is not None:
            self.last.stop()
        for pool in self.pools:
            pool.close()
        if self.last is not None:
            self.last.join(JOIN_SECONDS)
