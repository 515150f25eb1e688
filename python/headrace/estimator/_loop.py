"""The loop over epochs and steps in each task, whatever the framework."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .. import gang
from ..dataset import Dataset
from ..errors import Conflict
from ..loader import Loader
from ._columns import Columns
from ._store import RunStore
from .callbacks import CALLS, History, Training, is_best
from .options import CheckpointOptions, LoaderOptions

__all__ = [
    "CHECKPOINT",
    "REPORT_S",
    "WEIGHTS",
    "Deal",
    "Loop",
    "LoopTask",
    "Trainee",
    "agree",
    "read_checkpoint",
    "train_loader",
    "validation_loader",
]

#: Objects of a run.
CHECKPOINT = "checkpoint"
WEIGHTS = "weights"

#: How often rank 0 tells how it goes, in seconds.
REPORT_S = 0.25


@dataclass(frozen=True)
class Deal:
    """How an epoch is shared out: batches of a task, and the order's numbers."""

    batch_size: int
    streams: int
    steps: int


@dataclass(frozen=True)
class LoopTask:
    """What every task is told."""

    train: Dataset
    validation: Dataset | None
    validation_rows: int
    columns: Columns
    deal: Deal
    epochs: int
    seed: int
    validation_batch_size: int
    loader: LoaderOptions
    checkpoint: CheckpointOptions
    callbacks: Sequence[Any]
    run: RunStore | None


class Trainee(Protocol):
    """What a framework trains. Every method is called in every task, in the same order."""

    @property
    def model(self) -> Any:
        """The model, for callbacks."""

    @property
    def optimizer(self) -> Any:
        """The optimizer, for callbacks."""

    def step(self, batch: dict[str, Any], *, epoch: int, step: int, last: bool) -> None:
        """Go forward and back over a batch; `last` of the epoch."""

    def mid_update(self) -> bool:
        """Return whether gradients are held that have not changed the weights."""

    def running_loss(self) -> float:
        """Return this task's mean loss since the epoch began."""

    def results(self) -> dict[str, float]:
        """Return the means of the epoch over all tasks, and forget them."""

    def evaluate(self, batches: Iterator[dict[str, Any]]) -> dict[str, float]:
        """Return loss and metrics over all tasks; rows count where `valid` says so."""

    def state(self, loop: str) -> bytes | None:
        """Return weights, optimizer, running means and the loop's text; on rank 0."""

    def restore(self, state: bytes) -> str:
        """Take all of that back, and return the loop's text."""

    def weights(self) -> bytes | None:
        """Return the weights alone; on rank 0."""


class Loop:
    """Trains, from the last checkpoint on, and tells rank 0's launcher how it goes."""

    def __init__(
        self,
        task: LoopTask,
        ctx: "gang.Context",
        trainee: Trainee,
        *,
        to: str,
        pin_memory: bool = False,
    ) -> None:
        self._task = task
        self._ctx = ctx
        self._trainee = trainee
        self._to = to
        self._pin = pin_memory
        self._seconds = 0.0  # of the epoch, in earlier attempts as well
        self._waited = 0.0
        self._loader_state: dict[str, Any] | None = None
        self._training = Training(
            model=trainee.model,
            optimizer=trainee.optimizer,
            rank=ctx.rank,
            world_size=ctx.world_size,
            steps=task.deal.steps,
        )
        self._stopped = False

    def run(self) -> tuple[History, bytes | None]:
        """Return the history, and the weights where no store keeps them; of rank 0."""
        training, task = self._training, self._task
        self._resume()
        form: dict[str, Any] = {"to": self._to, "pin_memory": self._pin}
        with (
            train_loader(task, self._ctx, **form) as loader,
            validation_loader(task, self._ctx, **form) as validation,
        ):
            agree(task, self._ctx, loader)
            if self._loader_state is not None:
                loader.load_state_dict(self._loader_state)
            self._call("on_train_begin")
            while training.epoch < task.epochs and not self._stopped:
                self._epoch(loader, validation)
            self._call("on_train_end")
        return training.history, self._finish()

    # -- an epoch -----------------------------------------------------------------------

    def _epoch(self, loader: Loader, validation: Loader | None) -> None:
        training, trainee = self._training, self._trainee
        loader.set_epoch(training.epoch)
        self._call("on_epoch_begin")
        begun = asked = reported = time.perf_counter()
        before, waited, first = self._seconds, self._waited, training.step
        for batch in loader:
            now = time.perf_counter()
            waited += now - asked
            self._call("on_step_begin")
            training.step += 1
            last = training.step == training.steps
            trainee.step(batch, epoch=training.epoch, step=training.step, last=last)
            self._call("on_step_end")
            self._seconds, self._waited = before + time.perf_counter() - begun, waited
            if not last:
                self._checkpoint_within(loader)
                asked = time.perf_counter()
                if asked - reported > REPORT_S:
                    reported = asked
                    self._report(asked - begun, first, waited)
        if training.step != training.steps:
            raise Conflict(
                f"epoch {training.epoch} ended after {training.step} of {training.steps} "
                "steps: the table changed while it was read"
            )
        self._report(max(time.perf_counter() - begun, 1e-9), first, waited)
        values: dict[str, float] = {"epoch": training.epoch, **trainee.results()}
        if validation is not None:
            found = trainee.evaluate(iter(validation))
            values.update({f"val_{name}": value for name, value in found.items()})
        values["seconds"] = before + time.perf_counter() - begun
        values["data_wait"] = waited / max(self._seconds, 1e-9)
        training.history.append(values)
        self._end_epoch(loader)

    def _end_epoch(self, loader: Loader) -> None:
        """Let callbacks see the epoch, agree on stopping, and keep what is to be kept."""
        training, options = self._training, self._task.checkpoint
        # What rank 0 measured is what all of them have.
        training.history[-1] = self._ctx.broadcast(training.history[-1])
        self._call("on_epoch_end")
        self._stopped = any(self._ctx.all_gather(training.stopping))
        training.epoch += 1
        training.step = 0
        self._seconds = self._waited = 0.0
        best = options.best
        if best is not None and is_best(training.history, best, options.best_is):
            self._put(WEIGHTS, self._trainee.weights())
        over = self._stopped or training.epoch == self._task.epochs
        if over or training.epoch % options.every_epochs == 0:
            self._checkpoint(loader)

    def _report(self, seconds: float, first: int, waited: float) -> None:
        training = self._training
        if self._ctx.rank != 0:
            return
        samples = (training.step - first) * self._task.deal.batch_size
        self._ctx.report(
            {
                "epoch": training.epoch,
                "step": training.step,
                "steps": training.steps,
                "loss": self._trainee.running_loss(),
                "samples_per_s": samples * self._ctx.world_size / seconds,
                "data_wait": waited / max(self._seconds, 1e-9),
            }
        )

    def _call(self, name: str) -> None:
        assert name in CALLS
        for callback in self._task.callbacks:
            method: Callable[[Training], None] | None = getattr(callback, name, None)
            if method is not None:
                method(self._training)

    # -- checkpoints --------------------------------------------------------------------

    def _checkpoint_within(self, loader: Loader) -> None:
        every = self._task.checkpoint.every_steps
        if every is None or self._trainee.mid_update():
            return
        if self._training.step - self._kept_step >= every:
            self._checkpoint(loader)

    def _checkpoint(self, loader: Loader) -> None:
        training = self._training
        self._kept_step = training.step
        if self._task.run is None:
            return
        loop = {
            "epoch": training.epoch,
            "step": training.step,
            "history": training.history,
            "stopped": self._stopped,
            "seconds": self._seconds,
            "waited": self._waited,
            "global_batch": self._task.deal.batch_size * self._ctx.world_size,
            "streams": self._task.deal.streams,
            "loader": loader.state_dict(),
        }
        self._put(CHECKPOINT, self._trainee.state(json.dumps(loop)))

    def _resume(self) -> None:
        """Go on at the run's checkpoint, if there is one."""
        self._kept_step = 0
        state = read_checkpoint(self._task, self._ctx)
        if state is None:
            return
        loop = json.loads(self._trainee.restore(state))
        training = self._training
        training.epoch, training.step = loop["epoch"], loop["step"]
        training.history = loop["history"]
        self._kept_step = training.step
        self._stopped = loop["stopped"]
        self._seconds, self._waited = loop["seconds"], loop["waited"]
        self._loader_state = loop["loader"]

    def _finish(self) -> bytes | None:
        """Keep the weights, or return them where there is no store."""
        if self._task.checkpoint.best is not None and self._task.run is not None:
            return None  # they are there
        weights = self._trainee.weights()
        if self._task.run is None:
            return weights
        self._put(WEIGHTS, weights)
        return None

    def _put(self, name: str, content: bytes | None) -> None:
        if self._ctx.rank == 0 and self._task.run is not None:
            assert content is not None
            self._task.run.put(name, content)


def agree(task: LoopTask, ctx: "gang.Context", loader: Loader) -> None:
    """Refuse tasks that see other tables, or would make other steps."""
    seen = ctx.all_gather((task.train.fingerprint, len(loader)))
    if len(set(seen)) > 1 or seen[0][1] != task.deal.steps:
        raise Conflict(
            f"the tasks see (fingerprint, steps) {seen}, expected {task.deal.steps} steps "
            "of one table in each: it changed meanwhile"
        )


def read_checkpoint(task: LoopTask, ctx: "gang.Context") -> bytes | None:
    """Return the run's checkpoint, which all tasks read before one is written."""
    state = None if task.run is None else task.run.read(CHECKPOINT)
    found = ctx.all_gather(state is not None)
    if any(found) and not all(found):
        assert task.run is not None
        raise Conflict(
            f"{task.run.place}/{CHECKPOINT} is seen by some tasks only: expected a store "
            "that every task reaches"
        )
    return state


def _threads(task: LoopTask, ctx: "gang.Context") -> int:
    """Return the loader's threads: a task's share of the cores, if none are given."""
    cores = len(os.sched_getaffinity(0))
    return task.loader.num_threads or max(1, cores // ctx.local_world_size)


def train_loader(
    task: LoopTask, ctx: "gang.Context", *, to: str, pin_memory: bool = False
) -> Loader:
    """Return this task's share of every epoch."""
    return task.train.loader(
        batch_size=task.deal.batch_size,
        shuffle=task.loader.shuffle,
        seed=task.seed,
        streams=task.deal.streams,
        shuffle_window_rows=task.loader.shuffle_window_rows,
        rank=ctx.rank,
        world_size=ctx.world_size,
        drop_last=True,
        num_threads=_threads(task, ctx),
        memory_budget=task.loader.memory_budget,
        to=to,
        pin_memory=pin_memory,
    )


@contextlib.contextmanager
def validation_loader(
    task: LoopTask, ctx: "gang.Context", *, to: str, pin_memory: bool = False
) -> Iterator[Loader | None]:
    """Give this task's share of the rows to validate on, `valid` in each batch."""
    if task.validation is None:
        yield None
        return
    # Fewer rows than tasks: each task goes over all of them, and the means are the same.
    shared = task.validation_rows >= ctx.world_size
    with task.validation.loader(
        batch_size=task.validation_batch_size,
        shuffle=False,
        rank=ctx.rank if shared else 0,
        world_size=ctx.world_size if shared else 1,
        pad_last=True,
        num_threads=_threads(task, ctx),
        memory_budget=task.loader.memory_budget,
        to=to,
        pin_memory=pin_memory,
    ) as loader:
        yield loader
