"""What an estimator may be told beyond the model: groups of options, each a value."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import _validate

__all__ = [
    "CheckpointOptions",
    "GangOptions",
    "LoaderOptions",
    "StepOptions",
    "Store",
]

_QUERY = re.compile(r"\?[A-Za-z0-9_-]+=[^?]*$")
_FLOATS = ("float32", "float64", "bfloat16", "float16")


def _one_of(parameter: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        shown = ", ".join(f'"{choice}"' for choice in choices)
        raise _validate.rejected(parameter, value, f"one of {shown}")


def _optional(parameter: str, value: Any, minimum: int) -> None:
    if value is not None:
        _validate.integer(parameter, value, minimum)


@dataclass(frozen=True, kw_only=True)
class LoaderOptions:
    """How the rows of an epoch are dealt out to the tasks.

    Parameters
    ----------
    shuffle : bool, optional
        A new order at each epoch, keyed by the estimator's `random_seed`; False: the
        stored order.
    streams : int, optional
        As of `Dataset.loader`: a multiple of every number of tasks that the run may have.
        The smallest multiple of 8 and of `tasks` if not given.
    shuffle_window_rows, num_threads, memory_budget : int, optional
        As of `Dataset.loader`. A task takes its share of the machine's cores if
        `num_threads` is not given.
    dtype : {"float32", "float64", "float16", "bfloat16"} or None, optional
        What floating-point features, labels and weights become, and all columns of a group
        of features, whatever their type. None: they stay as they are stored.
    """

    shuffle: bool = True
    streams: int | None = None
    shuffle_window_rows: int | None = None
    num_threads: int | None = None
    memory_budget: int | None = None
    dtype: str | None = "float32"

    def __post_init__(self) -> None:
        _validate.boolean("LoaderOptions.shuffle", self.shuffle)
        _optional("LoaderOptions.streams", self.streams, 1)
        _optional("LoaderOptions.shuffle_window_rows", self.shuffle_window_rows, 1)
        _optional("LoaderOptions.num_threads", self.num_threads, 1)
        _optional("LoaderOptions.memory_budget", self.memory_budget, 1)
        if self.dtype is not None:
            _one_of("LoaderOptions.dtype", self.dtype, _FLOATS)


@dataclass(frozen=True, kw_only=True)
class CheckpointOptions:
    """When the state of training goes to the store, and which weights are returned.

    Parameters
    ----------
    every_epochs : int, optional
        After every so many epochs, and always after the last one.
    every_steps : int, optional
        After every so many steps of an epoch as well; never, if not given.
    best : str, optional
        A name in the history, such as "val_loss": the weights of the epoch where it was
        best are returned. The last ones, if not given.
    best_is : {"min", "max"}, optional
        Which values of it are better.
    """

    every_epochs: int = 1
    every_steps: int | None = None
    best: str | None = None
    best_is: str = "min"

    def __post_init__(self) -> None:
        _validate.integer("CheckpointOptions.every_epochs", self.every_epochs, 1)
        _optional("CheckpointOptions.every_steps", self.every_steps, 1)
        if self.best is not None:
            _validate.text("CheckpointOptions.best", self.best, "a name in the history")
        _one_of("CheckpointOptions.best_is", self.best_is, ("min", "max"))


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """What a step computes, and how.

    Parameters
    ----------
    accumulate : int, optional
        Batches whose gradients make one update of the weights. The last update of an epoch
        is of what is left.
    precision : {"float32", "bfloat16"}, optional
        "bfloat16": matrix products in bfloat16, weights and losses in float32.
    """

    accumulate: int = 1
    precision: str = "float32"

    def __post_init__(self) -> None:
        _validate.integer("StepOptions.accumulate", self.accumulate, 1)
        _one_of("StepOptions.precision", self.precision, ("float32", "bfloat16"))


@dataclass(frozen=True, kw_only=True)
class GangOptions:
    """The tasks that train, as `headrace.gang.run` has them.

    Parameters
    ----------
    gpus_per_task : int, optional
        Accelerators of each task.
    max_restarts : int, optional
        How often all tasks start again after one of them failed; they go on at the last
        checkpoint.
    timeout : float, optional
        Seconds that the start, and each exchange between tasks, may wait for all of them.
    env : dict of str to str, optional
        More environment of each task.
    """

    gpus_per_task: int = 0
    max_restarts: int = 0
    timeout: float = 600.0
    env: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        _validate.integer("GangOptions.gpus_per_task", self.gpus_per_task, 0)
        _validate.integer("GangOptions.max_restarts", self.max_restarts, 0)
        if _validate.real("GangOptions.timeout", self.timeout) <= 0:
            raise _validate.rejected(
                "GangOptions.timeout", self.timeout, "a positive number of seconds"
            )


@dataclass(frozen=True)
class Store:
    """Where runs are kept: checkpoints, weights, histories.

    Parameters
    ----------
    uri : str or PathLike
        A folder, on any storage that `headrace.open` reads and every task reaches; what is
        missing is made.
    storage_options : dict of str to str, optional
        How storage is reached, as for `headrace.open`.

    Notes
    -----
    A run is the folder `runs/<run_id>`; docs/format/run-store.md has its files.
    """

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        uri = _validate.path("uri", self.uri)
        if "://" not in uri:
            uri = os.path.abspath(uri)
        object.__setattr__(self, "uri", uri)
        options = _validate.text_mapping("storage_options", self.storage_options)
        object.__setattr__(self, "storage_options", options)

    def _below(self, name: str) -> str:
        """Return the URI of what lies in it: options in its query stay at the end."""
        query = _QUERY.search(self.uri) if "://" in self.uri else None
        end = len(self.uri) if query is None else query.start()
        return f"{self.uri[:end].rstrip('/')}/{name}{self.uri[end:]}"

    @classmethod
    def of(cls, store: "str | os.PathLike[str] | Store") -> "Store":
        """Return a store that was given as such, or as its folder."""
        if isinstance(store, Store):
            return store
        return cls(_validate.path("store", store))
