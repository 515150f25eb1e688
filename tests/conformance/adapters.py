"""What the checks must know of a framework."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Adapter:
    """A form of batches, `to=name`."""

    name: str
    #: A tensor's values, in numpy's memory or the tensor's.
    array: Callable[[Any], Array]
    #: The address of a tensor's memory.
    pointer: Callable[[Any], int]
    #: Strings of a batch as a list of str or bytes, whichever is asked for.
    texts: Callable[[Any, type], list[Any]] = lambda x, _: list(x)
    #: Its name for the dtype that numpy lacks.
    bfloat16: Any = None
    #: Whether a caller may write to tensors, as numpy does.
    writable: bool = False
    #: Whether columns of 64 bits are refused.
    narrow: bool = False

    def has(self, dtype: str) -> bool:
        """Whether it takes columns of a dtype."""
        return not self.narrow or np.dtype(dtype).itemsize < 8


def make(name: str) -> Adapter:
    """An adapter; imports its framework."""
    if name == "numpy":
        return Adapter(name, lambda x: x, lambda x: x.ctypes.data, writable=True)
    if name == "torch":
        import torch

        return Adapter(
            name,
            lambda x: (x.float() if x.dtype == torch.bfloat16 else x).numpy(),
            lambda x: x.data_ptr(),
            bfloat16=torch.bfloat16,
            writable=True,
        )
    if name in ("jax", "jax_x64"):
        import jax

        jax.config.update("jax_enable_x64", name == "jax_x64")
        return Adapter(
            "jax",
            np.asarray,
            lambda x: x.unsafe_buffer_pointer(),
            bfloat16=jax.numpy.bfloat16,
            narrow=name == "jax",
        )
    if name == "tensorflow":
        import tensorflow as tf

        return Adapter(
            name,
            lambda x: x.numpy(),
            lambda x: np.asarray(memoryview(x)).ctypes.data,
            lambda x, kind: [y.decode() if kind is str else y for y in x.numpy()],
            bfloat16=tf.bfloat16,
        )
    raise ValueError(name)
