"""A process that runs a user's function on batches in shared memory.

It is started by `_processes`, and ends with it: the kernel kills its process group when the
pipe closes that the starting process holds, however that one ended.
"""

import contextlib
import fcntl
import os
import pickle
import signal
import socket
import struct
import threading

from ._reported import reported
from ._segments import Extent, Segment
from .functions import MappedFunction

__all__ = ["REPLY", "TASK", "main"]

#: A task is a number, a slot, the size of its segment and where the list of columns is;
#: the segment's descriptor comes along if it is new.
TASK = struct.Struct("<qqqqq")
#: A reply is the number, the size, where the list is, whether the function failed and
#: whether it kept arrays, whose memory is then not to be written to again.
REPLY = struct.Struct("<qqqq??")


def main(socket_fd: int, lifeline_fd: int, function_fd: int) -> None:
    """Run until the other process closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other process's affair
    for descriptor in (socket_fd, lifeline_fd, function_fd):
        os.set_inheritable(descriptor, False)
    _die_with(lifeline_fd)
    segment = Segment(function_fd)
    segment.map(os.fstat(function_fd).st_size)
    pickled = segment.contents()
    segment.close()
    with socket.socket(fileno=socket_fd) as channel:
        _Worker(channel, pickled).serve()


def _die_with(lifeline_fd: int) -> None:
    """Have this process and its children killed when the pipe's other end closes."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            os.read(lifeline_fd, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    with contextlib.suppress(OSError):
        # By the kernel, also where a function holds the GIL.
        fcntl.fcntl(lifeline_fd, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline_fd, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(lifeline_fd, fcntl.F_GETFL)
        fcntl.fcntl(lifeline_fd, fcntl.F_SETFL, flags | os.O_ASYNC)


class _Worker:
    def __init__(self, channel: socket.socket, pickled: bytes) -> None:
        self._channel = channel
        self._pickled = pickled
        self._function: MappedFunction | None = None
        self._segments: dict[int, Segment] = {}

    def serve(self) -> None:
        while True:
            try:
                message, descriptors, _, _ = socket.recv_fds(self._channel, TASK.size, 1)
            except ConnectionError:
                return
            if not message:
                return
            number, slot, mapped, *listed = TASK.unpack(message)
            if descriptors:
                if slot in self._segments:
                    self._segments[slot].close()
                self._segments[slot] = Segment(descriptors[0])
            segment = self._segments[slot]
            segment.map(mapped)
            reply, failed = self._reply(segment, Extent(*listed))
            answer = (number, segment.size, *reply, failed, segment.is_lent())
            try:
                self._channel.send(REPLY.pack(*answer))
            except ConnectionError:
                return

    def _reply(self, segment: Segment, listed: Extent) -> tuple[Extent, bool]:
        """Work on a batch; write what became of it, or why nothing did, behind it."""
        try:
            return self._output(segment, listed), False
        except BaseException as error:  # also SystemExit: it is the consumer's
            report = reported(error)
        return segment.write(sum(listed), [], report), True

    def _output(self, segment: Segment, listed: Extent) -> Extent:
        if self._function is None:
            self._function = pickle.loads(self._pickled)
        columns, (rows, where) = segment.lend(listed)
        output = self._function.call(rows, columns, where)
        return segment.write(sum(listed), output)
