"""What may happen between steps and epochs: callbacks, and stopping early."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .. import _validate
from ..errors import InvalidArgument, NotFound

__all__ = ["Callback", "EarlyStopping", "History", "Training", "is_best"]

#: An epoch an entry: "epoch", "loss", the metrics, the same of the validation as "val_...".
History = list[dict[str, float]]


@dataclass
class Training:
    """Training as a callback sees it, in one task.

    Attributes
    ----------
    model, optimizer : object
        What is trained. Change neither in one task alone.
    rank, world_size : int
        This task, of how many.
    epoch, step : int
        The epoch under way, from 0, and its steps that are done.
    steps : int
        Of a whole epoch.
    history : list of dict
        Of the epochs that are done; the same in every task.
    """

    model: Any
    optimizer: Any
    rank: int
    world_size: int
    steps: int
    epoch: int = 0
    step: int = 0
    history: History = field(default_factory=list)
    _stopping: bool = False

    def stop(self) -> None:
        """End training after this epoch; one task that says so is enough."""
        self._stopping = True

    @property
    def stopping(self) -> bool:
        """Whether this task was asked to stop."""
        return self._stopping


class Callback(Protocol):
    """Any object with some of these methods; they are called in every task.

    It is sent to the tasks by pickle, and is made anew after a restart: what it decides, let
    it decide by `training.history`, which is kept.
    """

    def on_train_begin(self, training: Training) -> None:
        """Before the first step, also of a run that goes on."""

    def on_epoch_begin(self, training: Training) -> None:
        """Before the first step of an epoch, or the first one after a restart within it."""

    def on_step_begin(self, training: Training) -> None:
        """Before each step, when its batch is there."""

    def on_step_end(self, training: Training) -> None:
        """After each step."""

    def on_epoch_end(self, training: Training) -> None:
        """After an epoch and its validation: the history has them."""

    def on_train_end(self, training: Training) -> None:
        """After the last epoch."""


CALLS = (
    "on_train_begin",
    "on_epoch_begin",
    "on_step_begin",
    "on_step_end",
    "on_epoch_end",
    "on_train_end",
)


def check_callbacks(callbacks: Sequence[Any]) -> None:
    """Refuse what has none of a callback's methods."""
    for place, callback in enumerate(callbacks):
        if not any(callable(getattr(callback, name, None)) for name in CALLS):
            raise _validate.rejected(
                f"callbacks[{place}]",
                callback,
                f"an object with one of {', '.join(CALLS)}",
            )


def value_of(history: History, name: str, place: int) -> float:
    """Return a value of an epoch by its name."""
    values = history[place]
    if name not in values:
        raise NotFound(
            f'the history has no "{name}": expected one of {", ".join(values)}'
        )
    return values[name]


def is_best(history: History, name: str, mode: str) -> bool:
    """Return whether the last epoch's weights are the ones to keep.

    They are the best so far, or there was no number to go by.
    """
    return best_epoch(history, name, mode) in (-1, len(history) - 1)


def best_epoch(history: History, name: str, mode: str, min_delta: float = 0.0) -> int:
    """Return the place of the first epoch that no later one betters by more than `min_delta`.

    A NaN is worse than any number. -1 if there is no number.
    """
    sign = 1.0 if mode == "min" else -1.0
    best, least = -1, float("inf")
    for place in range(len(history)):
        value = sign * value_of(history, name, place)
        if value < (least - min_delta if best >= 0 else least):
            best, least = place, value
    return best


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Stop when a value of the history gets no better.

    Parameters
    ----------
    monitor : str, optional
        A name in the history: "val_loss" if not given.
    patience : int, optional
        Epochs without an improvement after which training ends.
    min_delta : float, optional
        What counts as an improvement must be more than this.
    mode : {"min", "max"}, optional
        Which values are better.

    Notes
    -----
    It goes by the history alone, which all tasks share and checkpoints keep, so that a run
    that goes on stops where it would have.
    """

    monitor: str = "val_loss"
    patience: int = 1
    min_delta: float = 0.0
    mode: str = "min"

    def __post_init__(self) -> None:
        _validate.text("EarlyStopping.monitor", self.monitor)
        _validate.integer("EarlyStopping.patience", self.patience, 1)
        if not _validate.real("EarlyStopping.min_delta", self.min_delta) >= 0:
            raise InvalidArgument(
                f"EarlyStopping.min_delta is {self.min_delta}: expected at least 0"
            )
        if self.mode not in ("min", "max"):
            raise _validate.rejected("EarlyStopping.mode", self.mode, '"min" or "max"')

    def on_epoch_end(self, training: Training) -> None:
        """Ask to stop if the last epochs were all no better than the best before them."""
        best = best_epoch(training.history, self.monitor, self.mode, self.min_delta)
        if len(training.history) - 1 - max(best, 0) >= self.patience:
            training.stop()
