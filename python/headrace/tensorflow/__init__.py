"""Headrace for TensorFlow and Keras: batches as tensors, and loaders as `tf.data`.

The only module of the package that imports TensorFlow.
"""

import atexit
import os
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from .._forms import Columns, is_text
from ..errors import HeadraceError, Unsupported
from ..loader import Loader

try:
    import tensorflow as tf
    from tensorflow.experimental.dlpack import from_dlpack
except ImportError:
    raise Unsupported(
        "TensorFlow is not installed: pip install 'headrace[tensorflow]'"
    ) from None

__all__: list[str] = []

Batch = dict[str, tf.Tensor]


def converter() -> Callable[[int, Columns], Batch]:
    """Return what makes a dict of tensors out of a batch; for `Dataset.loader`."""

    def convert(rows: int, columns: Columns) -> Batch:
        return {name: _tensor(column) for name, column in columns}

    return convert


def _tensor(column: Any) -> tf.Tensor:
    """Return a tensor on the CPU that shares the memory; a copy of strings."""
    if is_text(column):
        return tf.constant(pa.array(column).to_pylist(), tf.string)
    return from_dlpack(column.__dlpack__())


def element_spec(loader: Loader) -> dict[str, tf.TensorSpec]:
    """Return dtypes and shapes of a loader's batches; None where batches differ."""
    batch = loader._empty()
    rows = loader._native.batch_rows()
    spec: dict[str, tf.TensorSpec] = {}
    for name, tensor in batch.items():
        first = rows
        # Of a list column, the offsets are one more than the rows, the values any number.
        if tensor.shape[0]:
            first = None if rows is None else rows + 1
        elif _counts(batch.get(f"{name}_offsets")):
            first = None
        rest = [size or None for size in tensor.shape[1:]]
        spec[name] = tf.TensorSpec([first, *rest], tensor.dtype)
    return spec


def _counts(offsets: tf.Tensor | None) -> bool:
    return offsets is not None and offsets.shape[0] == 1


def to_dataset(loader: Loader) -> tf.data.Dataset:
    """Return a dataset of whole batches; for `Loader.to_tf_dataset`."""
    spec = element_spec(loader)
    dtypes = [of.dtype for of in spec.values()]
    source = _Source(loader, spec)

    def one(number: tf.Tensor) -> tuple[tf.Tensor, Batch]:
        more, *tensors = tf.py_function(source.take, [number], [tf.bool, *dtypes])
        more.set_shape([])
        for tensor, of in zip(tensors, spec.values(), strict=True):
            tensor.set_shape(of.shape)
        return more, dict(zip(spec, tensors, strict=True))

    def steps(number: tf.Tensor) -> tf.data.Dataset:
        batches = tf.data.Dataset.from_tensors(number).repeat().map(one)
        return batches.take_while(lambda more, _: more).map(lambda _, batch: batch)

    def first(_: tf.Tensor) -> tf.Tensor:
        number = tf.numpy_function(source.begin, [], tf.int64)
        number.set_shape([])
        return number

    passes = tf.data.Dataset.range(1).map(first).flat_map(steps)
    return passes.with_options(_in_step())


class _Source:
    """What tf.data calls, in threads of its own, also while Python exits."""

    def __init__(self, loader: Loader, spec: dict[str, tf.TensorSpec]) -> None:
        self._loader = loader
        self._nothing = [
            tf.zeros([size or 0 for size in of.shape], of.dtype) for of in spec.values()
        ]
        self.process = os.getpid()
        self.calls = 0
        self._exiting = False
        _sources.add(self)

    def begin(self) -> np.int64:
        """Begin a pass and return its number; at exit of none, which has no batches."""
        self.calls += 1
        return np.int64(-1 if self._exiting else self._loader._begin())

    def take(self, number: tf.Tensor) -> list[tf.Tensor]:
        """Return whether there is a next batch, and the batch.

        An older pass is refused with a Conflict: it must not seem to end.
        """
        self.calls += 1
        try:
            batch = self._loader._next(int(number))
        except StopIteration:
            return [tf.constant(False), *self._nothing]
        except HeadraceError:
            if not self._exiting:
                raise
            return [tf.constant(False), *self._nothing]
        return [tf.constant(True), *batch.values()]

    def end(self) -> None:
        """End every pass."""
        self._exiting = True
        self._loader.close()


_sources: weakref.WeakSet[_Source] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """Let no thread of tf.data be in a pass when Python exits, as TensorFlow waits for it."""
    # A fork has no threads of its parent's.
    sources = [source for source in _sources if source.process == os.getpid()]
    for source in sources:
        source.end()
    if not sources:
        return
    calls = -1
    for _ in range(40):  # two seconds at most, for pipelines that ask without an end
        before, calls = calls, sum(source.calls for source in sources)
        if calls == before:
            break
        time.sleep(0.05)


def _in_step() -> tf.data.Options:
    """Return options by which tf.data takes a batch when it is asked for one.

    By itself it adds a prefetch to the end, and makes `map` parallel: the position would be
    ahead of the training step, and a restored state would leave out what was on its way.
    """
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    options.experimental_optimization.map_parallelization = False
    return options
