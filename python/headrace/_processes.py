"""Processes that run a user's function, and the shared memory that feeds them.

Thread-safety of a pool: one thread sends, one collects; `close` and `start` may come from any.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable

import cloudpickle

from ._forms import Columns
from ._reported import Report, recovered
from ._segments import Extent, Segment
from ._worker import REPLY, TASK
from .errors import InvalidArgument, PeerFailed, ResourceExhausted, SchemaMismatch
from .functions import MappedFunction

__all__ = ["AHEAD", "Pool", "Stopped"]

#: Batches that a process has at once: the one that it works on, and the next.
AHEAD = 2
#: How often who waits for a process looks whether it is still wanted, in milliseconds.
LOOK_MS = 100
#: How long a process that has closed its socket may take to end, in seconds.
END_SECONDS = 5

#: The parent's paths come first, so that the package is found where it was.
START = (
    "import json, sys; given = json.loads(sys.argv[1]); sys.path[:] = given['path']; "
    "from headrace._worker import main; main(*given['descriptors'])"
)


class Stopped(Exception):  # noqa: N818 (not an error of anybody)
    """Nobody wants the result any more."""


class _Process:
    """One process, its socket, and a segment for each batch that it has."""

    def __init__(self, function: Segment) -> None:
        self.segments: dict[int, Segment] = {}
        self.unsent: set[int] = set()
        self.tasks: list[int] = []
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            lifeline, self._lifeline = os.pipe()
            try:
                self.process = _start((theirs.fileno(), lifeline, function.descriptor))
            except BaseException:
                self.socket.close()
                os.close(self._lifeline)
                raise
            finally:
                os.close(lifeline)

    def segment(self, slot: int) -> Segment:
        """Return the memory of a slot, made where there is none."""
        if slot not in self.segments:
            self.segments[slot] = Segment.make()
            self.unsent.add(slot)
        return self.segments[slot]

    def drop_segment(self, slot: int) -> None:
        """Forget the memory of a slot: the other process has kept it."""
        self.segments.pop(slot).close()

    def kill(self) -> None:
        """End it and what it has started, at once. A process that is gone is left alone."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()  # which may have left its group
        self.process.wait()

    def close(self) -> None:
        """Close what this process has of it."""
        for slot in list(self.segments):
            self.drop_segment(slot)
        self.socket.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def _start(descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
    path = [os.fspath(folder) for folder in sys.path]
    given = json.dumps({"path": path, "descriptors": descriptors})
    return subprocess.Popen(
        [sys.executable, "-c", START, given],
        stdin=subprocess.DEVNULL,
        pass_fds=descriptors,
        process_group=0,  # a terminal's Ctrl-C is the parent's
    )


class Pool:
    """The processes of one function, dealt batches in turn; results come in that order."""

    def __init__(self, function: MappedFunction) -> None:
        self.function = function
        try:
            pickled = cloudpickle.dumps(function)
        except Exception as error:
            raise InvalidArgument(
                f"map_batches({function.name}) cannot run in processes, as the function "
                f"does not pickle ({error}): use processes=0, or make what it holds when "
                f"it is called first"
            ) from error
        self._pickled = pickled
        self._code: Segment | None = None
        self._processes: list[_Process] = []
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._collecting = threading.Lock()
        self._closed = False
        self._sent = 0
        _pools.add(self)

    def start(self) -> None:
        """Start the processes that are not there, with no task in any of them."""
        with self._lock:
            if self._closed:
                raise Stopped
            if self._code is None:
                self._code = Segment.make()
                self._code.write_bytes(self._pickled)
            for i in range(self.function.processes):
                if i < len(self._processes):
                    if self._processes[i].process.poll() is None:
                        continue
                    self._processes[i].close()
                try:
                    process = _Process(self._code)
                except OSError as error:
                    raise ResourceExhausted(
                        f"map_batches({self.function.name}) cannot start process {i + 1} "
                        f"of {self.function.processes}: {error}"
                    ) from error
                self._processes[i : i + 1] = [process]
            self._sent = 0

    @property
    def ahead(self) -> int:
        """Return how many batches the processes hold at once."""
        return AHEAD * self.function.processes

    def send(self, rows: int, columns: Columns, where: str) -> int:
        """Give the next process a batch; return its number, for `collect`.

        REQUIRES: fewer than `ahead` batches are under way.
        """
        with self._sending:
            number = self._sent
            self._sent += 1
            process = self._of(number)
            slot = self._slot(number)
            segment = process.segment(slot)
            listed = segment.write(0, columns, (rows, where))
            new = [segment.descriptor] if slot in process.unsent else []
            message = TASK.pack(number, slot, segment.size, *listed)
            process.tasks.append(number)
            # A process that is gone is told of by `collect`.
            with contextlib.suppress(ConnectionError):
                socket.send_fds(process.socket, [message], new)
                process.unsent.discard(slot)
            return number

    def collect(self, number: int, where: str, is_wanted: Callable[[], bool]) -> Columns:
        """Wait for the result of a batch; raise what its function raised.

        REQUIRES: the results of earlier batches were collected.
        """
        process = self._of(number)
        with self._collecting:
            message = self._receive(process, where, is_wanted)
            found, size, *listed, failed, kept = REPLY.unpack(message)
            assert found == number, (found, number)
            del process.tasks[0]
            slot = self._slot(number)
            segment = process.segments[slot]
            segment.map(size)
            columns, report = segment.read(Extent(*listed))
            if kept:
                process.drop_segment(slot)
        if failed:
            raise _exception(report, process.process.pid, where)
        return columns

    def drain(self, is_wanted: Callable[[], bool]) -> None:
        """Wait for what is under way, and forget it."""
        for process in self._processes:
            while process.tasks:
                try:
                    self.collect(process.tasks[0], "", is_wanted)
                except Stopped:
                    raise
                except BaseException:  # of a batch that nobody wants
                    if process.process.poll() is not None:
                        break

    def close(self) -> None:
        """Kill the processes and give up the memory."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
        with self._sending, self._collecting:
            self.forget()

    def forget(self) -> None:
        """Close what this process has of them."""
        for process in self._processes:
            process.close()
        self._processes.clear()
        if self._code is not None:
            self._code.close()
            self._code = None

    def disown(self) -> None:
        """In a fork: take them for another process's."""
        self._closed = True
        for process in self._processes:
            process.process.returncode = 0  # nothing to wait for
        self.forget()

    def _of(self, number: int) -> _Process:
        try:
            return self._processes[number % self.function.processes]
        except IndexError:
            raise Stopped from None

    def _slot(self, number: int) -> int:
        return number // self.function.processes % AHEAD

    def _receive(
        self, process: _Process, where: str, is_wanted: Callable[[], bool]
    ) -> bytes:
        poll = select.poll()
        poll.register(process.socket, select.POLLIN)
        while True:
            if not is_wanted():
                raise Stopped
            if not poll.poll(LOOK_MS):
                # A child of the process may have the socket after the process is gone.
                if process.process.poll() is None:
                    continue
                if not poll.poll(0):
                    raise self._death(process, where)
            try:
                message = process.socket.recv(REPLY.size)
            except ConnectionError:
                message = b""
            if message:
                return message
            if not is_wanted():
                raise Stopped
            raise self._death(process, where)

    def _death(self, process: _Process, where: str) -> PeerFailed:
        try:
            status = process.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            how = "closed its socket and did not end"
        else:
            how = f"ended with exit code {status}"
            if status < 0:
                how = f"was killed by signal {-status} ({_signal_name(-status)})"
            if status == -signal.SIGKILL:
                how += ", as the kernel does when memory runs out"
        return PeerFailed(
            f"{where}: process {process.process.pid} {how} while it had this batch; the "
            f"state of the loader is at the batch before, so that a resumed one begins "
            f"with this"
        )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "a real-time signal"


def _exception(report: Report, pid: int, where: str) -> BaseException:
    """Return the exception of a process, with the traceback that it had there."""
    _, summary, text = report
    error = recovered(report)
    if error is None:
        error = PeerFailed(
            f"{where} raised {summary}, in process {pid}, which does not pickle"
        )
    elif isinstance(error, SchemaMismatch):
        return error  # of our check, most likely: the function has returned
    error.add_note(f"In process {pid}:\n{text}")
    return error


_pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()


def _forget_all() -> None:
    """In a fork: close what is the parent's, so that its end is seen by its processes."""
    for pool in list(_pools):
        with contextlib.suppress(OSError):
            pool.disown()


os.register_at_fork(after_in_child=_forget_all)
