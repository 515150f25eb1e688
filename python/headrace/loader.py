"""Loaders: how samples are dealt out."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import _forms, _native, _validate
from ._mapped_loader import MappedLoader
from .errors import Conflict, InvalidArgument, Unsupported
from .functions import MappedFunction
from .progress import shown

if TYPE_CHECKING:
    from .torch import LoaderDataset

__all__ = ["Loader", "native_options"]

#: The least and the greatest value of each option that is a number.
RANGES = {
    "batch_size": (1, _validate.INT64_MAX),
    "seed": (0, 2**64 - 1),
    "epoch": (0, _validate.INT64_MAX),
    "streams": (1, 2**31 - 1),
    "shuffle_window_rows": (1, _validate.INT64_MAX),
    "rank": (0, 2**31 - 1),
    "world_size": (1, 2**31 - 1),
    "num_threads": (1, 2**31 - 1),
    "memory_budget": (1, _validate.INT64_MAX),
}


FORMS = '"numpy", "torch", "jax", "tensorflow" or "arrow"'


class Loader:
    """An iterable of batches: dicts of tensors, or `pyarrow.RecordBatch`.

    Made by `Dataset.loader`. Each pass over it is an epoch, and a finished pass moves it to
    the next one. `iter()` begins at a loaded state's position once, else at the epoch's
    start, also after a `break`. Tensors have the batch as first dimension, are C-contiguous
    and 64-byte aligned; they are the caller's, stay valid, and may be written to where the
    framework has tensors that can be.

    Thread-safety: calls wait for each other, `close` excepted; use one consumer. A loader
    belongs to the process that made it, and raises Unsupported in a fork.

    Examples
    --------
    >>> with dataset.loader(batch_size=512, to="torch") as loader:  # doctest: +SKIP
    ...     for epoch in range(3):
    ...         for batch in loader:
    ...             step(batch)
    ...     state = loader.state_dict()
    """

    def __init__(
        self,
        dataset: _native.Dataset,
        options: Mapping[str, Any],
        *,
        to: str,
        pin_memory: bool,
        functions: Sequence[MappedFunction] = (),
    ) -> None:
        _validate.text("to", to, FORMS)
        _validate.boolean("pin_memory", pin_memory)
        self._convert, self._export = _conversion(to, pin_memory, bool(functions))
        self._to = to
        # Functions get tensors, whatever they become.
        arrow = to == "arrow" and not functions
        with shown("counting rows") as progress:
            native = _native.Loader.make(
                dataset, **options, arrow=arrow, progress=progress
            )
        self._native: _native.Loader | MappedLoader = native
        if functions:
            self._native = MappedLoader(
                native,
                functions,
                world_size=options.get("world_size", 1),
                loaders=("valid",) if options.get("pad_last") else (),
            )
        self._closed = False
        if to == "jax":
            self._empty()  # refuses columns of 64 bits now, not after a batch was taken

    def __iter__(self) -> "Pass":
        return Pass(self, self._begin())

    def __len__(self) -> int:
        """Return the steps of a pass, the same on every rank."""
        self._check_open()
        return self._native.steps()

    def state_dict(self) -> dict[str, Any]:
        """Return the position: what the training loop was given, nothing prefetched.

        Returns
        -------
        dict
            JSON-able, a few hundred bytes, the same on every rank
            (docs/format/loader-state.md).

        Notes
        -----
        After the last batch of an epoch it is the start of the next one.
        """
        self._check_open()
        state: dict[str, Any] = json.loads(self._native.state_json())
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after the samples that a state counts as consumed, on any world size.

        Parameters
        ----------
        state : dict
            What `state_dict` gave, on any rank.

        Raises
        ------
        InvalidArgument
            The state is none.
        Conflict
            It is of another table, filter or order; each difference is named.
        """
        self._check_open()
        if not isinstance(state, Mapping):
            raise _validate.rejected("state", state, "a dict that state_dict gave")
        try:
            text = json.dumps(dict(state))
        except (TypeError, ValueError) as error:
            raise InvalidArgument(
                f"state is not JSON-able ({error}): expected a dict that state_dict gave"
            ) from None
        self._native.load_state_json(text)

    def set_epoch(self, epoch: int) -> None:
        """Move to the start of an epoch, or stay at a position just loaded within it.

        So a loop that calls it before every epoch goes on where a state stopped.

        Parameters
        ----------
        epoch : int
            From 0.

        Raises
        ------
        InvalidArgument
            It is no such integer.
        """
        self._check_open()
        self._native.set_epoch(_validate.integer("epoch", epoch, 0))

    @property
    def epoch(self) -> int:
        """The epoch of the pass under way, or of the next one."""
        self._check_open()
        return self._native.epoch

    def stats(self) -> dict[str, Any]:
        """Return counters since the loader was made; sizes in bytes, times in nanoseconds.

        Returns
        -------
        dict
            Integers, among them rows, batches, bytes_read, memory_peak, memory_budget,
            memory_floor and rows_skipped. `stages`: how long storage, decode, batch and
            consumer were `busy` and `waiting`. `bottleneck`: a sentence that says which of
            them limits the others, and what to try. `decode_paths`: by column, how it came
            to be values (docs/guide/performance.md). `skipped`, a list of str: what was
            wrong with the first hundred rows that `Dataset.on_error("skip")` left out.
        """
        counters: dict[str, Any] = json.loads(self._native.stats_json())
        return counters

    def to_torch_dataset(self) -> "LoaderDataset":
        """Wrap the loader as a `torch.utils.data.IterableDataset` of whole batches.

        Returns
        -------
        headrace.torch.LoaderDataset
            For `DataLoader(dataset, batch_size=None)`.

        Raises
        ------
        Unsupported
            torch is not installed, or `to` is "arrow".
        """
        from . import torch

        if self._to == "arrow":
            raise Unsupported('a loader with to="arrow" has no tensors: use to="torch"')
        return torch.LoaderDataset(self)

    def to_tf_dataset(self) -> Any:
        """Wrap the loader as a `tf.data.Dataset` of whole batches, without a copy.

        Its `element_spec` is a dict of `tf.TensorSpec`, with None for dimensions that
        differ from batch to batch. Each iteration over it is a pass, as `iter()` is.

        Returns
        -------
        tf.data.Dataset
            For `Model.fit(dataset)`, `dataset.map(...)` and the like.

        Raises
        ------
        Unsupported
            TensorFlow is not installed, or `to` is not "tensorflow".

        Notes
        -----
        A batch counts as consumed when tf.data takes it: where a `prefetch` follows,
        `state_dict` is ahead of the training step by what was prefetched. The loader runs
        ahead by itself, so that `prefetch` is not needed.
        """
        if self._to != "tensorflow":
            raise Unsupported(
                f'a loader with to="{self._to}" has no TensorFlow tensors: use '
                f'to="tensorflow"'
            )
        from . import tensorflow

        return tensorflow.to_dataset(self)

    def close(self) -> None:
        """Stop and join the threads. May be called from any thread, and again."""
        self._native.close()
        self._closed = True

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return str(self._native)

    def _check_open(self) -> None:
        if self._closed:
            raise Conflict("the loader is closed: make another one with Dataset.loader")

    def _begin(self) -> int:
        """Begin a pass, which ends the one before, and return its number."""
        self._check_open()
        return self._native.restart()

    def _next(self, number: int) -> Any:
        batch = self._native.next(self._export, number)
        if batch is None:
            raise StopIteration
        return self._convert(*batch)

    def _empty(self) -> Any:
        """Return a batch of no rows, whose dtypes and shapes are those of all."""
        self._check_open()
        return self._convert(*self._native.empty_batch(self._export))


class Pass:
    """One pass over a loader, or what is left of one: an iterator of batches."""

    def __init__(self, loader: Loader, number: int) -> None:
        self._loader = loader
        self._number = number
        self._ended = False

    def __iter__(self) -> "Pass":
        return self

    def __next__(self) -> Any:
        if self._ended:
            raise StopIteration
        try:
            return self._loader._next(self._number)
        except StopIteration:
            self._ended = True
            raise


def native_options(
    *,
    rank: int | None,
    world_size: int | None,
    trace: str | os.PathLike[str] | None,
    **others: int | bool | None,
) -> dict[str, Any]:
    """Return the options that are given, checked; rank and world size by the environment."""
    options = {
        **others,
        "rank": _of_environment(rank, "RANK"),
        "world_size": _of_environment(world_size, "WORLD_SIZE"),
    }
    native: dict[str, Any] = {}
    for name, value in options.items():
        if value is None:
            continue
        if name in RANGES:
            native[name] = _validate.integer(name, value, *RANGES[name])
        else:
            native[name] = _validate.boolean(name, value)
    if trace is not None:
        native["trace"] = _validate.path("trace", trace)
    return native


def _of_environment(value: int | None, variable: str) -> int | None:
    if value is not None:
        return value
    found = os.environ.get(variable)
    if not found:
        return None
    try:
        return int(found)
    except ValueError:
        raise _validate.rejected(
            f"the environment's {variable}", found, "an integer"
        ) from None


def _conversion(
    to: str, pin_memory: bool, mapped: bool = False
) -> tuple[Callable[..., Any], _native.Export]:
    """Return what makes a batch of what `next` gives, and how tensors leave C++.

    Where functions go over batches (`mapped`), tensors leave as numpy arrays.
    """
    if pin_memory and to != "torch":
        raise InvalidArgument(f'pin_memory is True and to is "{to}": expected to="torch"')
    if to == "numpy":
        return _forms.numpy_batch, _native.Export.NUMPY
    if to == "arrow":
        return _forms.arrow_batch, _native.Export.NUMPY
    dlpack = _native.Export.NUMPY if mapped else _native.Export.DLPACK
    if to == "torch":
        from . import torch

        if mapped:
            return torch.array_converter(pin_memory), _native.Export.NUMPY
        return torch.converter(pin_memory), _native.Export.WHOLE
    if to == "jax":
        from . import jax

        return jax.converter(), dlpack
    if to == "tensorflow":
        from . import tensorflow

        return tensorflow.converter(), dlpack
    raise _validate.rejected("to", to, FORMS)
