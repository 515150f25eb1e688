"""What tasks print."""

import collections
import os
import sys
from pathlib import Path
from typing import IO, TextIO

__all__ = ["Output", "Pipe", "Tail"]

#: A line that grows beyond this is handed on as it is.
_LINE_BYTES_MAX = 64 << 10
#: What is kept for when a task fails.
_TAIL_LINES = 20
_TAIL_LINE_CHARACTERS = 500


class Output:
    """Puts what tasks print where it belongs."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._folder = None if folder is None else Path(folder)

    def put(self, attempt: int, rank: int, is_error: bool, lines: bytes) -> None:
        """Write lines to the file of their rank, or to this process' own output."""
        if self._folder is not None:
            place = self._folder / f"attempt-{attempt}"
            place.mkdir(parents=True, exist_ok=True)
            name = f"rank-{rank}.{'err' if is_error else 'out'}"
            with (place / name).open("ab") as file:
                file.write(lines)
            return
        stream: TextIO = sys.stderr if is_error else sys.stdout
        text = lines.decode(errors="replace")
        stream.write("".join(f"[{rank}] {line}\n" for line in text.splitlines()))
        stream.flush()


class _Lines:
    """Cuts a stream into whole lines."""

    def __init__(self) -> None:
        self._rest = b""

    def append(self, data: bytes) -> bytes:
        """Return the whole lines, each with its end, that are there now."""
        self._rest += data
        end = self._rest.rfind(b"\n") + 1
        if not end and len(self._rest) > _LINE_BYTES_MAX:
            end = len(self._rest)
        lines, self._rest = self._rest[:end], self._rest[end:]
        return lines

    def flush(self) -> bytes:
        """Return what is left: a line without its end."""
        rest, self._rest = self._rest, b""
        return rest


class Tail:
    """The last lines of a task."""

    def __init__(self) -> None:
        self._lines: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)

    def add(self, lines: bytes) -> None:
        """Keep lines."""
        for line in lines.decode(errors="replace").splitlines():
            self._lines.append(line[:_TAIL_LINE_CHARACTERS])

    def text(self) -> str:
        """Return each line with two spaces before it; empty if nothing was printed."""
        return "".join(f"\n  {line}" for line in self._lines)


class Pipe:
    """What a task prints into one of its streams."""

    def __init__(self, file: IO[bytes], *, is_error: bool) -> None:
        os.set_blocking(file.fileno(), False)
        self.file = file
        self.is_error = is_error
        self.is_over = False
        self._lines = _Lines()

    def read(self) -> bytes:
        """Return the whole lines that are there now."""
        lines = b""
        while not self.is_over:
            data = self.file.read(64 << 10)
            if data is None:
                break
            self.is_over = not data
            lines += self._lines.append(data)
        return lines

    def rest(self) -> bytes:
        """Return what is left: a line without its end."""
        return self._lines.flush()
