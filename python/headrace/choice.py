"""What the parts of a `Dataset` share."""

from typing import Self

from . import _native
from .functions import MappedFunction

__all__ = ["Choice"]


class Choice:
    """A native choice over a table, and functions on its batches. Immutable."""

    def __init__(
        self, native: _native.Dataset, functions: tuple[MappedFunction, ...] = ()
    ) -> None:
        self._native = native
        self._functions = functions

    def _with(self, native: _native.Dataset) -> Self:
        """Return another native choice with the same functions."""
        return type(self)(native, self._functions)
