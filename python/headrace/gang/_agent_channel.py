"""A task's side of the socket between it and its agent (`_agent`)."""

import os
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from ..errors import InvalidArgument, PeerFailed, Unsupported

__all__ = ["AgentChannel", "Place"]


@dataclass(frozen=True)
class Place:
    """Where a task finds itself."""

    rank: int
    attempt: int
    local_rank: int
    local_world_size: int
    addresses: list[str]
    accelerators: list[str]


class AgentChannel:
    """The `Channel` of a task that an agent has started."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._connection: Connection[Any, Any] = Connection(descriptor)
        self._pid = os.getpid()
        self._sending = threading.Lock()
        self._operating = threading.Lock()
        self._send("join")
        place, payload = self._receive()
        self.place: Place = place
        self.payload: bytes | None = payload
        self.rank = self.place.rank
        self.world_size = len(self.place.addresses)
        self.attempt = self.place.attempt
        self.accelerators = self.place.accelerators

    def barrier(self, timeout_ms: int | None) -> None:
        self._collect("barrier", 0, b"", timeout_ms)

    def all_gather(self, value: bytes, timeout_ms: int | None) -> list[bytes]:
        return self._collect("all_gather", 0, value, timeout_ms)

    def broadcast(self, value: bytes, root: int, timeout_ms: int | None) -> bytes:
        if not 0 <= root < self.world_size:
            raise InvalidArgument(
                f"a broadcast from rank {root}, expected one from 0 to "
                f"{self.world_size - 1}"
            )
        own = value if self.rank == root else b""
        return self._collect("broadcast", root, own, timeout_ms)[0]

    def report(self, value: bytes, /) -> None:
        self._send("report", value)

    def alive(self) -> None:
        self._send("alive")

    def return_value(self, value: bytes, /) -> None:
        self._send("return", value)

    def raise_exception(self, line: str, value: bytes, *, by_peer: bool) -> None:
        self._send("raise", line, value, by_peer)

    def _collect(
        self, operation: str, root: int, value: bytes, timeout_ms: int | None
    ) -> list[bytes]:
        with self._operating:
            self._send("collect", operation, root, value, timeout_ms)
            broken, values = self._receive()
        if broken:
            raise PeerFailed(broken)
        result: list[bytes] = values
        return result

    def _send(self, *message: Any) -> None:
        if os.getpid() != self._pid:
            raise Unsupported(
                f"a gang's context of process {self._pid} was used in process "
                f"{os.getpid()}, which was forked from it: use it where it was made"
            )
        try:
            with self._sending:
                self._connection.send(message)
        except OSError as error:
            raise PeerFailed("the agent of this task has ended") from error

    def _receive(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise PeerFailed("the agent of this task has ended") from error
