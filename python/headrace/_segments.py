"""Columns in shared memory: anonymous files (memfd) that two processes map.

A segment holds one batch to be worked on and, behind it, what became of it. Columns begin
at multiples of 64 bytes; texts are Arrow's IPC format; the list of the columns is pickled,
between processes of ours alone.
"""

import mmap
import os
import pickle
import weakref
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from . import _forms
from ._forms import ALIGNMENT, Array, Columns

__all__ = ["Extent", "Segment"]

GRAIN = 1 << 16


class Extent(NamedTuple):
    """A place in a segment, in bytes."""

    begin: int
    size: int


#: Name, numpy's dtype or nothing for texts, shape and place of columns.
Entries = list[tuple[str, str, tuple[int, ...], Extent]]


class Segment:
    """Memory shared by two processes, which both may make it larger.

    Thread-safety: none; the processes take turns.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map: mmap.mmap | None = None
        self._bytes: Array = np.empty(0, np.uint8)
        self._lent: weakref.ref[Array] | None = None

    @classmethod
    def make(cls) -> "Segment":
        """Make one without a name, which goes with the last process that has it."""
        return cls(os.memfd_create("headrace"))

    @property
    def size(self) -> int:
        """Bytes that are mapped."""
        return len(self._bytes)

    def write_bytes(self, contents: bytes) -> None:
        """Write bytes to the beginning."""
        self.reserve(len(contents))
        self._bytes[: len(contents)] = np.frombuffer(contents, np.uint8)

    def contents(self) -> bytes:
        """Return a copy of everything."""
        return self._bytes.tobytes()

    def close(self) -> None:
        """Give up the memory, but for views of it."""
        os.close(self.descriptor)
        self._map, self._bytes = None, np.empty(0, np.uint8)

    def map(self, size: int) -> None:
        """See at least so many bytes, which the other process has made."""
        if size > self.size:
            self._map = mmap.mmap(self.descriptor, size)
            self._bytes = np.frombuffer(self._map, np.uint8)

    def reserve(self, size: int) -> None:
        """Make it at least so large; what is in it stays."""
        if size > self.size:
            size = -(-max(size, self.size * 3 // 2) // GRAIN) * GRAIN
            os.ftruncate(self.descriptor, size)
            self.map(size)

    def write(self, begin: int, columns: Columns, more: Any = None) -> Extent:
        """Write columns and an object from a place on; return where their list is."""
        end = begin
        texts = {name: _ipc(column) for name, column in columns if _forms.is_text(column)}
        entries: Entries = []
        for name, column in columns:
            size = texts[name].size if name in texts else column.nbytes
            extent = Extent(-(-end // ALIGNMENT) * ALIGNMENT, size)
            dtype = "" if name in texts else column.dtype.str
            shape = (size,) if name in texts else column.shape
            entries.append((name, dtype, shape, extent))
            end = sum(extent)
        listed = pickle.dumps((entries, more))
        self.reserve(end + len(listed))
        for (name, dtype, shape, extent), (_, column) in zip(
            entries, columns, strict=True
        ):
            view = _part(self._bytes, extent)
            if dtype:
                np.copyto(view.view(dtype).reshape(shape), column)
            else:
                view[:] = np.frombuffer(texts[name], np.uint8)
        _part(self._bytes, Extent(end, len(listed)))[:] = np.frombuffer(listed, np.uint8)
        return Extent(end, len(listed))

    def read(self, listed: Extent) -> tuple[Columns, Any]:
        """Return copies of what was written."""
        entries, more = pickle.loads(_part(self._bytes, listed).tobytes())
        columns = _columns(self._bytes, entries)
        return [(name, _copy(column)) for name, column in columns], more

    def lend(self, listed: Extent) -> tuple[Columns, Any]:
        """Return what was written, tensors in the memory itself."""
        assert self._map is not None
        entries, more = pickle.loads(_part(self._bytes, listed).tobytes())
        # All views hold this array, so that it tells whether any is left.
        lent = np.frombuffer(self._map, np.uint8)
        self._lent = weakref.ref(lent)
        return _columns(lent, entries), more

    def is_lent(self) -> bool:
        """Whether somebody has kept what was lent last."""
        return self._lent is not None and self._lent() is not None


def _part(memory: Array, extent: Extent) -> Array:
    return memory[extent.begin : extent.begin + extent.size]


def _columns(memory: Array, entries: Entries) -> Columns:
    return [
        (
            name,
            _part(memory, extent).view(dtype).reshape(shape)
            if dtype
            else _of_ipc(_part(memory, extent).tobytes()),
        )
        for name, dtype, shape, extent in entries
    ]


def _copy(column: Any) -> Any:
    if _forms.is_text(column):
        return column
    copy = _forms.aligned(column.shape, column.dtype)
    np.copyto(copy, column)
    return copy


def _ipc(column: Any) -> pa.Buffer:
    batch = pa.RecordBatch.from_arrays([pa.array(column)], ["text"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def _of_ipc(stream: bytes) -> pa.Array:
    with pa.ipc.open_stream(stream) as reader:
        return reader.read_next_batch().column(0)
