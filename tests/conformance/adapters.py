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
    #: Strings of a batch as a list.
    texts: Callable[[Any], list[Any]] = list
    #: What numpy's 64 bits become.
    narrow: bool = False

    def dtype(self, stored: Any) -> np.dtype[Any]:
        """The dtype that a stored one is delivered as."""
        stored = np.dtype(stored)
        if not self.narrow or stored.itemsize < 8:
            return stored
        return np.dtype(f"{stored.kind}4")


def make(name: str) -> Adapter:
    """An adapter; imports its framework."""
    if name == "numpy":
        return Adapter(name, lambda x: x, lambda x: x.ctypes.data, lambda x: x.tolist())
    if name == "torch":
        return Adapter(name, lambda x: x.numpy(), lambda x: x.data_ptr())
    if name == "jax":
        return Adapter(name, np.asarray, lambda x: x.unsafe_buffer_pointer(), narrow=True)
    if name == "tensorflow":
        return Adapter(
            name,
            lambda x: x.numpy(),
            lambda x: np.asarray(memoryview(x)).ctypes.data,
            lambda x: [text.decode() for text in x.numpy()],
        )
    raise ValueError(name)
