"""What runs in a barrier task of Spark: it starts the task's process, and speaks for it.

The process is a child of Spark's Python worker, below a supervisor, so that what a function
leaves behind ends with it, and that it ends with the worker. One loop hears the child, its
supervisor, the other agents and Spark's barrier, and waits for none of them alone.

Agents find each other by `BarrierTaskContext.allGather`. From then on their ranks meet in the
agent of rank 0, and each tells the others why its task has failed.
"""

import contextlib
import json
import os
import pickle
import queue
import select
import selectors
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any

from ..errors import PeerFailed
from ._agent_channel import Place
from ._environment import free_ports, task_environment
from ._failures import Cause, Failure, recovered_report, signal_text, the_cause
from ._meeting import Arrival, Meeting
from ._output import Output, Pipe, Tail
from ._post import Address, PostOffice, post
from ._supervised import Event, Supervised
from ._task import START
from ._waiting import Meetings, Reports

__all__ = ["Assignment", "Returned", "serve"]

_TICK_SECONDS = 0.1
#: How long others are listened to after the first failure, so that the cause is told and
#: not what it did to others.
_SETTLE_SECONDS = 0.3
#: How long a task may take to end that is asked to. Spark gives its worker 2 s.
_GRACE_SECONDS = 1.0
#: And one that has returned, as the others have.
_RETURNED_GRACE_SECONDS = 5.0
#: How long a task may be stopped (SIGSTOP).
_STOPPED_SECONDS = 30.0
#: How long a task may run no Python, however short the gang's timeout is: calls that hold
#: the GIL may take a while.
_SILENT_SECONDS_MIN = 30.0
#: What one look at the clock adds to that at most: a task need not be heard of while this
#: process stands still itself.
_LOOK_SECONDS_MAX = 1.0
#: How long another agent may take to hear of a failure.
_ANSWER_SECONDS = 5.0
#: How many others an agent speaks to at once.
_CALLS = 16


@dataclass(frozen=True)
class Assignment:
    """What all agents of an attempt are told.

    Attributes
    ----------
    launcher : address, optional
        Who takes reports while the gang runs. Without one they come with the results.
    shares : list of list of str
        Addresses of accelerators by rank, where Spark does not deal them.
    """

    tasks: int
    attempt: int
    timeout_ms: int
    payload: bytes
    environment: dict[str, str]
    output_dir: str | None
    secret: bytes
    launcher: Address | None
    shares: list[list[str]]


@dataclass(frozen=True)
class Returned:
    """What a task returned, and those of its reports, by number, that are not sent yet."""

    rank: int
    value: bytes
    reports: list[tuple[int, bytes]]


def serve(assignment: Assignment) -> Returned:
    """Run the task of the barrier task that this is.

    Raises
    ------
    PeerFailed
        The gang has failed. The message carries the `Failure`, the same one whichever agent
        raises it.
    """
    from pyspark import BarrierTaskContext

    spark = BarrierTaskContext.get()
    rank = spark.partitionId()
    dealt = spark.resources().get("gpu")
    if dealt is not None:
        accelerators = list(dealt.addresses)
    else:
        accelerators = assignment.shares[rank] if assignment.shares else []
    hosts = [_host(info.address) for info in spark.getTaskInfos()]
    local = [other for other, host in enumerate(hosts) if host == hosts[rank]]
    place = Place(
        rank=rank,
        attempt=assignment.attempt,
        local_rank=local.index(rank),
        local_world_size=len(local),
        addresses=hosts,
        accelerators=accelerators,
    )
    agent = _Agent(assignment, place, spark.allGather)
    try:
        return agent.run(cpus=spark.cpus())
    except _Failed as failed:
        # After the others' words, and not in their midst.
        text = f"{failed.failure.text}\n{failed.failure.carried()}"
        raise PeerFailed(text) from None
    finally:
        agent.close()


def _host(address: str) -> str:
    """Return the host of ``host:port``; in local mode there is no port."""
    host, colon, port = address.rpartition(":")
    return host.strip("[]") if colon and port.isdigit() else address


class _Failed(Exception):  # noqa: N818 (carries what is raised)
    def __init__(self, failure: Failure) -> None:
        self.failure = failure


class _Agent:
    def __init__(
        self, given: Assignment, place: Place, all_gather: Callable[[str], list[str]]
    ) -> None:
        self._given = given
        self._place = place
        self._rank = place.rank
        self._output = Output(given.output_dir)
        self._tail = Tail()
        self._failures: list[Failure] = []
        self._failed_at: float | None = None
        self._returned: bytes | None = None
        self._all_returned_at: float | None = None
        self._joined = False
        self._stopped_at: float | None = None
        self._silent_seconds = 0.0
        self._looked_at = time.monotonic()
        self._ended = False
        self._others: list[Address] = []
        # What other threads have for the loop, which a byte to `_wake` interrupts.
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._calls = ThreadPoolExecutor(_CALLS)
        self._all_gather = all_gather
        self._meeting = Meeting(given.tasks)
        self._meetings: Meetings | None = None
        self._reports = Reports(given.launcher, given.secret, self._rank)
        self._office = PostOffice(place.addresses[self._rank], given.secret, self._answer)

    def close(self) -> None:
        self._meeting.close("the agent of rank 0 has ended")
        self._office.close()
        if self._meetings is not None:
            self._meetings.close()
        self._reports.close()
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._selector.close()
        self._woken.close()
        self._wake.close()

    def run(self, cpus: int) -> Returned:
        ports = self._meet()
        environment = task_environment(self._place, ports, self._given.environment, cpus)
        self._deadline = time.monotonic() + self._given.timeout_ms / 1000
        ours, theirs = socket.socketpair()
        self._channel: Connection[Any, Any] = Connection(ours.detach())
        path = json.dumps([os.fspath(folder) for folder in sys.path])
        with theirs:
            command = [sys.executable, "-c", START, path, str(theirs.fileno())]
            self._task = Supervised(command, environment, [theirs.fileno()])
        try:
            self._listen()
            while not self._is_over():
                for key, _ in self._selector.select(_TICK_SECONDS):
                    key.data()
                self._look_at_clock()
        finally:
            self._end_task()
            self._channel.close()
        assert self._returned is not None
        return Returned(self._rank, self._returned, self._reports.unsent())

    def _meet(self) -> list[list[int]]:
        """Return the ports of each rank, once all agents are there."""
        ports = free_ports(self._place.addresses[self._rank])
        own = json.dumps([*self._office.address, ports])
        answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

        def gather() -> None:
            try:
                answers.put(self._all_gather(own))
            except Exception as error:  # whatever Spark makes of the end of a stage
                answers.put(error)

        Thread(target=gather, daemon=True).start()
        try:
            answer = answers.get(timeout=self._given.timeout_ms / 1000)
        except queue.Empty:
            text = f"the tasks of the gang did not all start within {self._limit}"
            raise _Failed(Failure(Cause.SILENT, self._rank, text)) from None
        if isinstance(answer, Exception):
            text = f"rank {self._rank} was cut off from the others: {answer}"
            raise _Failed(Failure(Cause.PEER_FAILED, self._rank, text))
        met = [json.loads(each) for each in answer]
        offices = [(str(host), int(port)) for host, port, _ in met]
        self._meetings = Meetings(offices[0], self._given.secret)
        self._others = [*offices[: self._rank], *offices[self._rank + 1 :]]
        return [own for _, _, own in met]

    @property
    def _limit(self) -> str:
        return f"{self._given.timeout_ms / 1000:g} s"

    # What the loop hears.

    def _listen(self) -> None:
        def add(source: Any, act: Callable[[], None]) -> None:
            self._selector.register(source, selectors.EVENT_READ, act)

        self._pipes = [
            Pipe(self._task.out, is_error=False),
            Pipe(self._task.err, is_error=True),
        ]
        add(self._woken, self._on_inbox)
        add(self._channel, self._on_channel)
        add(self._task.notices, self._on_notices)
        for pipe in self._pipes:
            add(pipe.file, partial(self._on_pipe, pipe))

    def _hand(self, act: Callable[[], None]) -> None:
        """Have the loop do something. May be called from any thread."""
        self._inbox.put(act)
        with contextlib.suppress(OSError):  # full, or closed
            self._wake.send(b"w")

    def _on_inbox(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)
        with contextlib.suppress(queue.Empty):
            while True:
                self._inbox.get_nowait()()

    def _on_pipe(self, pipe: Pipe) -> None:
        lines = pipe.read()
        if pipe.is_over:
            self._forget(pipe.file)
        if lines:
            self._tail.add(lines)
            self._output.put(self._given.attempt, self._rank, pipe.is_error, lines)

    def _on_channel(self) -> None:
        try:
            kind, *values = self._channel.recv()
        except (EOFError, OSError):
            self._forget(self._channel)
            return
        self._silent_seconds = 0.0
        if kind == "join":
            self._joined = True
            self._reply(self._place, self._given.payload)
        elif kind == "collect":
            name, root, value, timeout_ms = values
            if timeout_ms is None:
                timeout_ms = self._given.timeout_ms
            self._come_to(name, root, value, timeout_ms)
        elif kind == "report":
            self._reports.put(values[0])
        elif kind == "return":
            self._returned = values[0]
            self._come_to("return", 0, b"", None)
        elif kind == "raise":
            line, report, by_peer = values
            cause = Cause.PEER_FAILED if by_peer else Cause.RAISED
            self._fail(cause, f"raised {line}", report)

    def _on_notices(self) -> None:
        for event, value in self._task.read():
            if event == Event.STOPPED:
                self._stopped_at = time.monotonic()
            elif event == Event.CONTINUED:
                self._stopped_at = None
            elif event == Event.NOT_STARTED:
                self._fail(Cause.EXITED, f"did not start: {os.strerror(value)}")
            elif event in (Event.EXITED, Event.SIGNALLED):
                self._on_end(event, value)
        if self._task.is_over:
            self._forget(self._task.notices)
            if not self._ended:
                self._fail(Cause.SIGNALLED, "was lost: its supervisor was killed")

    def _on_end(self, event: Event, value: int) -> None:
        self._ended = True
        # What it said last came before.
        while self._channel in self._heard() and self._channel.poll(0):
            self._on_channel()
        if event == Event.SIGNALLED:
            self._fail(Cause.SIGNALLED, f"was killed by {signal_text(value)}")
        elif value != 0:
            self._fail(Cause.EXITED, f"ended with exit code {value}")
        elif self._returned is None:
            text = "ended, with exit code 0, before it returned"
            self._fail(Cause.EARLY_END, text)

    def _heard(self) -> list[Any]:
        return [key.fileobj for key in self._selector.get_map().values()]

    def _forget(self, source: Any) -> None:
        if source in self._heard():
            self._selector.unregister(source)

    def _reply(self, *values: Any) -> None:
        with contextlib.suppress(OSError):  # it is gone, which a notice tells
            self._channel.send(values)

    # Where ranks meet.

    def _come_to(
        self, name: str, root: int, value: bytes, timeout_ms: int | None
    ) -> None:
        assert self._meetings is not None
        arrival = Arrival(self._rank, name, root, value, timeout_ms)
        self._meetings.come(
            arrival,
            lambda answer: self._hand(partial(self._on_met, name, answer)),
        )

    def _on_met(self, name: str, answer: tuple[str, list[bytes]] | Exception) -> None:
        if isinstance(answer, Exception):
            # An agent that fails says so before it ends: this one was killed.
            text = (
                f"rank 0 of {self._given.tasks} was lost: its agent does not answer rank "
                f"{self._rank} any more ({type(answer).__name__}: {answer})"
            )
            self._add(Failure(Cause.PEER_FAILED, 0, text))
        elif name == "return":
            self._all_returned_at = time.monotonic()
        else:
            self._reply(*answer)

    # Agents among themselves.

    def _answer(self, message: bytes) -> bytes:
        """Answer another agent, in a thread of the office."""
        said = pickle.loads(message)
        if isinstance(said, Arrival):
            return pickle.dumps(self._meeting.come(said))
        assert isinstance(said, Failure)
        self._hand(lambda: self._add(said))
        return b""

    def _tell(self, failure: Failure) -> None:
        """Tell all others, without waiting for them."""
        message = pickle.dumps(failure)

        def say(other: Address) -> None:
            with contextlib.suppress(OSError, PeerFailed):
                post(other, self._given.secret, message, _ANSWER_SECONDS, _ANSWER_SECONDS)

        for other in self._others:
            self._calls.submit(say, other)

    # How it ends.

    def _fail(self, cause: Cause, what: str, report: bytes | None = None) -> None:
        # How a task ends that has returned its value, or said why it fails, is no failure.
        if self._returned is not None or any(
            failure.rank == self._rank for failure in self._failures
        ):
            return
        text = f"rank {self._rank} of {self._given.tasks} {what}"
        if report is None:
            for pipe in self._pipes:
                self._on_pipe(pipe)
            text += self._tail.text()
        failure = Failure(cause, self._rank, text, recovered_report(report))
        self._add(failure)
        self._tell(failure)

    def _add(self, failure: Failure) -> None:
        self._failures.append(failure)
        if self._failed_at is None:
            self._failed_at = time.monotonic()

    def _look_at_clock(self) -> None:
        now = time.monotonic()
        if not self._joined and not self._ended and now >= self._deadline:
            self._fail(Cause.SILENT, f"has not joined its gang within {self._limit}")
        if self._stopped_at is not None and now >= self._stopped_at + _STOPPED_SECONDS:
            stopped = f"{now - self._stopped_at:.0f} s"
            self._fail(Cause.SILENT, f"has been stopped (SIGSTOP) for {stopped}")
        self._silent_seconds += min(now - self._looked_at, _LOOK_SECONDS_MAX)
        self._looked_at = now
        limit = max(self._given.timeout_ms / 1000, _SILENT_SECONDS_MIN)
        if self._joined and not self._ended and self._silent_seconds >= limit:
            text = (
                f"has run no Python for {limit:g} s, as if a call held the GIL for ever"
            )
            self._fail(Cause.SILENT, text)

    def _is_over(self) -> bool:
        now = time.monotonic()
        if self._failed_at is not None and now >= self._failed_at + _SETTLE_SECONDS:
            raise _Failed(the_cause(self._failures))
        if self._all_returned_at is None:
            return False
        # Threads that do not end, say, are no reason to wait for ever.
        late = now >= self._all_returned_at + _RETURNED_GRACE_SECONDS
        return self._task.is_over or late

    def _end_task(self) -> None:
        self._task.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        while not self._task.is_over and time.monotonic() < deadline:
            files: list[Any] = [pipe.file for pipe in self._pipes if not pipe.is_over]
            select.select([self._task.notices, *files], [], [], _TICK_SECONDS)
            for pipe in self._pipes:
                self._on_pipe(pipe)
            self._task.read()
        self._task.kill()
        for pipe in self._pipes:
            self._on_pipe(pipe)
            if rest := pipe.rest():
                self._output.put(self._given.attempt, self._rank, pipe.is_error, rest)
        self._task.close()
