"""A process below `headrace_supervisor`, which leaves nothing of it behind.

The supervisor (apps/supervisor) kills all that the process has started when the socket
between it and this process closes, however that comes.
"""

import contextlib
import enum
import os
import select
import socket
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from ..errors import NotFound

__all__ = ["Event", "Supervised"]

_SUPERVISOR = Path(__file__).parents[1] / "lib" / "headrace_supervisor"
#: src/gang/notice.h
_NOTICE = struct.Struct("=ii")


class Event(enum.IntEnum):
    """What a supervisor tells; the same numbers as in src/gang/notice.h."""

    STARTED = 0
    NOT_STARTED = 1
    STOPPED = 2
    CONTINUED = 3
    EXITED = 4
    SIGNALLED = 5


class Supervised:
    """One such process.

    REQUIRES: it is made by a thread that outlives it, since the kernel takes the end of
    that thread for the end of this process.

    Attributes
    ----------
    out, err : file
        What it prints.
    notices : socket
        Readable where `read` has something to return.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        descriptors: Sequence[int],
    ) -> None:
        self.notices, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        head = [os.fspath(_SUPERVISOR), str(theirs.fileno()), str(os.getpid()), "--"]
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [*head, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    env=environment,
                    pass_fds=(theirs.fileno(), *descriptors),
                )
            except FileNotFoundError as error:
                self.notices.close()
                raise NotFound(
                    f"{_SUPERVISOR} is missing: reinstall the package"
                ) from error
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.out: IO[bytes] = self._process.stdout
        self.err: IO[bytes] = self._process.stderr
        self.is_over = False

    def read(self) -> list[tuple[Event, int]]:
        """Return what has happened since. At the end of all, `is_over` is set."""
        events = []
        while not self.is_over and select.select([self.notices], [], [], 0)[0]:
            notice = self.notices.recv(_NOTICE.size)
            if len(notice) == _NOTICE.size:
                event, value = _NOTICE.unpack(notice)
                events.append((Event(event), value))
            else:
                self.is_over = True
        return events

    def terminate(self) -> None:
        """Ask it to end."""
        with contextlib.suppress(OSError):
            self.notices.send(b"T", socket.MSG_DONTWAIT)

    def kill(self) -> None:
        """End it and all that it has started, and wait for that. Its pipes stay."""
        self.is_over = True
        self.notices.close()
        self._process.wait()

    def close(self) -> None:
        """Kill it, and forget what it printed."""
        self.kill()
        self.out.close()
        self.err.close()
