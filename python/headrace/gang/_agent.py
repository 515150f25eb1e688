"""What runs in a barrier task of Spark: it starts the task's process, and speaks for it.

The process is a child of Spark's Python worker, below a supervisor, so that what a function
leaves behind ends with it, and that it ends with the worker. One loop hears the child, its
supervisor, the other agents and Spark's barrier, and waits for none of them alone.

Agents meet by `BarrierTaskContext.allGather`, which knows no limit of time and does not say
who is missing. So each also answers the others on a socket: where it is (a roll call), that
its task has failed, that an operation is given up.
"""

import base64
import contextlib
import json
import os
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
from ._output import Output, Pipe, Tail
from ._post import Address, PostOffice, post
from ._supervised import Event, Supervised
from ._task import START
from ._waiting import Gathering, Reports

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
#: How long another process of the gang may take to answer.
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


@dataclass
class _Operation:
    """What a rank has come to. Ranks that have returned wait in the last one for all."""

    name: str
    root: int
    number: int
    deadline: float | None
    #: All ranks have come, and Spark was given a little more time to say so.
    is_late: bool = False

    def __str__(self) -> str:
        where = f" from rank {self.root}" if self.name == "broadcast" else ""
        return f"{self.name}{where} (operation {self.number + 1})"


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
        #: Why ranks can meet no more.
        self._broken = ""
        self._number = 0
        self._operation: _Operation | None = None
        self._returned: bytes | None = None
        self._all_returned_at: float | None = None
        self._joined = False
        self._stopped_at: float | None = None
        self._ended = False
        self._others: list[Address] = []
        # What other threads have for the loop, which a byte to `_wake` interrupts.
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._calls = ThreadPoolExecutor(_CALLS)
        self._gathering = Gathering(all_gather)
        self._reports = Reports(given.launcher, given.secret, self._rank)
        self._office = PostOffice(place.addresses[self._rank], given.secret, self._answer)

    def close(self) -> None:
        self._office.close()
        self._gathering.close()
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
        answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()
        self._gathering.ask(json.dumps([*self._office.address, ports]), answers.put)
        try:
            answer = answers.get(timeout=self._given.timeout_ms / 1000)
        except queue.Empty:
            limit = f"{self._given.timeout_ms / 1000:g} s"
            text = f"the tasks of the gang did not all start within {limit}"
            raise _Failed(Failure(Cause.SILENT, self._rank, text)) from None
        if isinstance(answer, Exception):
            text = f"rank {self._rank} was cut off from the others: {answer}"
            raise _Failed(Failure(Cause.PEER_FAILED, self._rank, text))
        met = [json.loads(each) for each in answer]
        self._others = [
            (host, port) for rank, (host, port, _) in enumerate(met) if rank != self._rank
        ]
        return [own for _, _, own in met]

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
        if kind == "join":
            self._joined = True
            self._reply(self._place, self._given.payload)
        elif kind == "collect":
            self._come_to(*values)
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
        if self._broken:
            self._give_up(self._broken)
            return
        if timeout_ms is None:
            timeout_ms = self._given.timeout_ms
        # Others may work for long after one has returned.
        deadline = None if name == "return" else time.monotonic() + timeout_ms / 1000
        operation = _Operation(name, root, self._number, deadline)
        self._operation = operation
        message = f"{name} {root} {base64.b64encode(value).decode()}"
        self._gathering.ask(
            message,
            lambda answer: self._hand(lambda: self._on_gathered(operation, answer)),
        )

    def _on_gathered(self, operation: _Operation, answer: list[str] | Exception) -> None:
        if self._operation is not operation:
            return
        if isinstance(answer, Exception):
            text = f"was cut off from the others: {type(answer).__name__}: {answer}"
            self._fail(Cause.PEER_FAILED, text)
            return
        messages = [each.split(" ", 2) for each in answer]
        for rank, (name, root, _) in enumerate(messages):
            if (name, int(root)) == (operation.name, operation.root):
                continue
            if name == "return":
                self._give_up(f"{operation}: rank {rank} has ended and will not come")
            else:
                other = _Operation(name, int(root), operation.number, None)
                self._give_up(
                    f"rank {self._rank} came to {operation} and rank {rank} to {other}: "
                    f"all ranks have to call the same operations in the same order"
                )
            return
        self._number += 1
        self._operation = None
        if operation.name == "return":
            self._all_returned_at = time.monotonic()
        else:
            self._reply("", [base64.b64decode(value) for _, _, value in messages])

    def _give_up(self, why: str) -> None:
        """Let nobody wait here any more, now and later."""
        self._broken = why
        self._operation = None
        if self._returned is not None:
            self._all_returned_at = time.monotonic()
        else:
            self._reply(why, None)

    def _call_roll(self, operation: _Operation) -> None:
        """Find out who has not come, and give up."""
        operation.deadline = None
        asked = [
            self._calls.submit(self._say, other, ask=operation.number)
            for other in self._others
        ]

        def collect() -> None:
            answers = [each.result() for each in asked]
            self._hand(lambda: self._on_roll_call(operation, answers))

        Thread(target=collect, daemon=True).start()

    def _on_roll_call(self, operation: _Operation, answers: list[Any]) -> None:
        if self._operation is not operation:
            return
        came, missing = [self._rank], []
        others = [r for r in range(self._given.tasks) if r != self._rank]
        for rank, answer in zip(others, answers, strict=True):
            if answer is None:
                missing.append(f"{rank} (it does not answer)")
            elif answer == [operation.number, True]:
                came.append(rank)
            else:
                missing.append(str(rank))
        if not missing and not operation.is_late:
            operation.is_late = True
            operation.deadline = time.monotonic() + _ANSWER_SECONDS
            return
        why = f"{operation}: time is over; "
        if missing:
            why += f"{_ranks(missing)} did not come, {_ranks(sorted(came))} did"
        else:
            why += "all ranks came, and Spark's barrier does not let them go on"
        self._give_up(why)
        self._tell(broken=why)

    # Agents among themselves.

    def _say(self, other: Address, **message: Any) -> Any:
        """Return another agent's answer; nothing where it gives none."""
        try:
            data = json.dumps(message).encode()
            return json.loads(post(other, self._given.secret, data, _ANSWER_SECONDS))
        except (OSError, PeerFailed):
            return None

    def _tell(self, **message: Any) -> None:
        """Tell all others something, without waiting for them."""
        for other in self._others:
            self._calls.submit(self._say, other, **message)

    def _answer(self, data: bytes) -> bytes:
        """Answer another agent, in a thread of the office."""
        message = json.loads(data)
        if "failed" in message:
            failure = Failure.from_json(message["failed"])
            self._hand(lambda: self._add(failure))
        elif "broken" in message and not self._broken:
            self._hand(lambda: self._on_broken(message["broken"]))
        operation = self._operation
        is_there = operation is not None and operation.name != "return"
        return json.dumps([operation.number if operation else -1, is_there]).encode()

    def _on_broken(self, why: str) -> None:
        if self._operation is not None:
            self._give_up(why)
        else:
            self._broken = self._broken or why

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
        self._tell(failed=failure.to_json())

    def _add(self, failure: Failure) -> None:
        self._failures.append(failure)
        if self._failed_at is None:
            self._failed_at = time.monotonic()

    def _look_at_clock(self) -> None:
        now = time.monotonic()
        operation = self._operation
        deadline = None if operation is None else operation.deadline
        if operation is not None and deadline is not None and now >= deadline:
            self._call_roll(operation)
        if not self._joined and not self._ended and now >= self._deadline:
            limit = f"{self._given.timeout_ms / 1000:g} s"
            self._fail(Cause.SILENT, f"has not joined its gang within {limit}")
        if self._stopped_at is not None and now >= self._stopped_at + _STOPPED_SECONDS:
            stopped = f"{now - self._stopped_at:.0f} s"
            self._fail(Cause.SILENT, f"has been stopped (SIGSTOP) for {stopped}")

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


def _ranks(ranks: list[Any]) -> str:
    word = "rank" if len(ranks) == 1 else "ranks"
    return f"{word} {', '.join(str(rank) for rank in ranks)}"
