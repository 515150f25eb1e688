"""Headrace for TensorFlow and Keras: batches as tensors, and loaders as `tf.data`.

The only module of the package that imports TensorFlow.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from .. import _native
from ..errors import Unsupported
from ..loader import Loader, Pass

try:
    import tensorflow as tf
    from tensorflow.experimental.dlpack import from_dlpack
except ImportError:
    raise Unsupported(
        "TensorFlow is not installed: pip install 'headrace[tensorflow]'"
    ) from None

__all__: list[str] = []

Columns = list[tuple[str, Any]]


def converter() -> Callable[[int, Columns], dict[str, tf.Tensor]]:
    """Return what makes a dict of tensors out of a batch; for `Dataset.loader`."""

    def convert(rows: int, columns: Columns) -> dict[str, tf.Tensor]:
        return {name: _tensor(column) for name, column in columns}

    return convert


def _tensor(column: Any) -> tf.Tensor:
    """Return a tensor on the CPU that shares the memory; a copy of strings."""
    if isinstance(column, _native.ArrowColumn):
        return tf.constant(pa.array(column).to_pylist(), tf.string)
    return from_dlpack(column.__dlpack__())


def element_spec(loader: Loader) -> dict[str, tf.TensorSpec]:
    """Return dtypes and shapes of a loader's batches; None where batches differ."""
    batch = loader._empty()
    return {
        name: tf.TensorSpec(
            [None, *(size or None for size in tensor.shape[1:])], tensor.dtype
        )
        for name, tensor in batch.items()
    }


def to_dataset(loader: Loader) -> tf.data.Dataset:
    """Return a dataset of whole batches; for `Loader.to_tf_dataset`."""
    spec = element_spec(loader)
    names = list(spec)
    passes: dict[int, Pass] = {}

    def begin() -> np.int64:
        running = iter(loader)
        passes.clear()  # a loader has one pass at a time
        passes[running.number] = running
        return np.int64(running.number)

    def step(number: tf.Tensor) -> list[tf.Tensor]:
        running = passes.get(int(number))
        batch = None if running is None else next(running, None)
        if batch is None:
            return [tf.constant(False), *(_none_of(spec[name]) for name in names)]
        return [tf.constant(True), *(batch[name] for name in names)]

    def steps(number: tf.Tensor) -> tf.data.Dataset:
        def one(_: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
            dtypes = [tf.bool, *(spec[name].dtype for name in names)]
            there, *tensors = tf.py_function(step, [number], dtypes)
            for name, tensor in zip(names, tensors, strict=True):
                tensor.set_shape(spec[name].shape)
            there.set_shape([])
            return there, dict(zip(names, tensors, strict=True))

        return (
            tf.data.Dataset.counter()
            .map(one)
            .take_while(lambda there, batch: there)
            .map(lambda there, batch: batch)
        )

    def first(_: tf.Tensor) -> tf.Tensor:
        number = tf.numpy_function(begin, [], tf.int64)
        number.set_shape([])
        return number

    return tf.data.Dataset.range(1).map(first).flat_map(steps)


def _none_of(spec: tf.TensorSpec) -> tf.Tensor:
    return tf.zeros([size or 0 for size in spec.shape], spec.dtype)
