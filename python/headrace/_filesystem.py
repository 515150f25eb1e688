"""Filesystems of the caller's own, fsspec's or pyarrow's, as the native module reads them."""

import threading
from typing import Any, NamedTuple, Protocol

import pyarrow.fs

from . import _native, _validate

__all__ = ["uris_on"]

Entry = tuple[str, bool, int, int]
"""Path, whether it is a file and not a directory, size, nanoseconds since the epoch."""


class _File(Protocol):
    def read_at(self, position: int, nbytes: int) -> object: ...


class _Arrow:
    """A `pyarrow.fs.FileSystem`. Called by many threads at once."""

    def __init__(self, filesystem: pyarrow.fs.FileSystem) -> None:
        self._filesystem = filesystem

    @property
    def display_prefix(self) -> str:
        return f"{self._filesystem.type_name}://"

    def path(self, uri: str) -> str:
        return uri

    def info(self, path: str) -> Entry | None:
        return _entry(self._filesystem.get_file_info(path))

    def list(self, directory: str, recursive: bool) -> "list[Entry]":
        selector = pyarrow.fs.FileSelector(
            directory, recursive=recursive, allow_not_found=True
        )
        entries = map(_entry, self._filesystem.get_file_info(selector))
        return [entry for entry in entries if entry is not None]

    def open(self, path: str) -> _File:
        return _ArrowFile(self._filesystem.open_input_file(path))


class _ArrowFile:
    def __init__(self, file: Any) -> None:
        self._file = file

    def read_at(self, position: int, nbytes: int) -> object:
        return self._file.read_at(nbytes, position)


class _Fsspec(_Arrow):
    """An `fsspec.AbstractFileSystem`: listed as pyarrow lists it, read range by range."""

    def __init__(self, filesystem: Any) -> None:
        handler = pyarrow.fs.FSSpecHandler(filesystem)
        super().__init__(pyarrow.fs.PyFileSystem(handler))
        self._fsspec = filesystem

    @property
    def display_prefix(self) -> str:
        protocol = self._fsspec.protocol
        return f"{protocol if isinstance(protocol, str) else protocol[0]}://"

    def path(self, uri: str) -> str:
        return str(self._fsspec._strip_protocol(uri))

    def info(self, path: str) -> Entry | None:
        self._fsspec.invalidate_cache(path)  # what is there now, not what was listed
        return super().info(path)

    def open(self, path: str) -> _File:
        return _FsspecFile(self._fsspec, path)


class _FsspecFile:
    """Ranges by themselves: fsspec's files have one position, and read ahead of it."""

    def __init__(self, filesystem: Any, path: str) -> None:
        self._filesystem = filesystem
        self._path = path

    def read_at(self, position: int, nbytes: int) -> object:
        if nbytes == 0:
            return b""
        return self._filesystem.cat_file(
            self._path, start=position, end=position + nbytes
        )


def _entry(info: pyarrow.fs.FileInfo) -> Entry | None:
    if info.type not in (pyarrow.fs.FileType.File, pyarrow.fs.FileType.Directory):
        return None
    is_file = info.type == pyarrow.fs.FileType.File
    return info.path, is_file, info.size or 0, info.mtime_ns or 0


class _Added(NamedTuple):
    given: Any
    scheme: str
    adapted: _Arrow


_lock = threading.Lock()
_added: list[_Added] = []


def uris_on(filesystem: Any, paths: list[str]) -> list[str]:
    """Return URIs, good in this process, of paths on a filesystem that was given."""
    with _lock:
        found = next((one for one in _added if one.given is filesystem), None)
        if found is None:
            adapted = _adapted(filesystem)
            found = _Added(filesystem, f"given-{len(_added) + 1}", adapted)
            _native.add_filesystem(found.scheme, adapted, adapted.display_prefix)
            _added.append(found)
    return [f"{found.scheme}://{found.adapted.path(path)}" for path in paths]


def _adapted(filesystem: Any) -> _Arrow:
    if isinstance(filesystem, pyarrow.fs.FileSystem):
        return _Arrow(filesystem)
    methods = ("info", "find", "cat_file", "invalidate_cache", "_strip_protocol")
    if isinstance(filesystem, type) or not all(
        callable(getattr(filesystem, method, None)) for method in methods
    ):
        expected = "a filesystem of fsspec or of pyarrow.fs"
        raise _validate.rejected("filesystem", filesystem, expected)
    return _Fsspec(filesystem)
