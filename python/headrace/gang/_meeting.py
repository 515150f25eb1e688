"""Where the ranks of a gang on a cluster meet: in the agent of rank 0.

Spark has such a place, too: `BarrierTaskContext` lets agents find each other. But its tasks
look there but once a second, it has no limit of time and does not say who is missing.
"""

import threading
import time
from dataclasses import dataclass

__all__ = ["Arrival", "Meeting"]


@dataclass(frozen=True)
class Arrival:
    """A rank that comes to an operation; `name` is what its `Channel` calls it.

    Ranks that have returned come to "return", and wait there for all others.
    """

    rank: int
    name: str
    root: int
    value: bytes
    timeout_ms: int | None

    def matches(self, other: "Arrival") -> bool:
        """Return whether both came to the same."""
        return (self.name, self.root) == (other.name, other.root)


class Meeting:
    """One operation after the other. Thread-safe; each rank waits in a thread of its own.

    After ranks have missed each other nobody can meet here any more.
    """

    def __init__(self, tasks: int) -> None:
        self._tasks = tasks
        self._changed = threading.Condition()
        self._here: dict[int, Arrival] = {}
        self._number = 0
        self._values: list[bytes] = []
        self._broken = ""

    def come(self, arrival: Arrival) -> tuple[str, list[bytes]]:
        """Wait for all ranks.

        Returns
        -------
        str
            Why they have not met; empty if they have.
        list of bytes
            What the operation gives each rank.
        """
        deadline = None
        if arrival.timeout_ms is not None:
            deadline = time.monotonic() + arrival.timeout_ms / 1000
        with self._changed:
            number = self._number
            if not self._broken:
                self._add(arrival)
            while number == self._number and not self._broken:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    self._break(self._late(arrival))
                else:
                    self._changed.wait(left)
            # Others cannot go on before this rank does, so the values are still there.
            return ("", self._values) if number < self._number else (self._broken, [])

    def close(self, why: str) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._break(why)

    def _add(self, arrival: Arrival) -> None:
        self._here[arrival.rank] = arrival
        for other in self._here.values():
            if arrival.matches(other):
                continue
            for stays, leaves in ((arrival, other), (other, arrival)):
                if leaves.name == "return":
                    self._break(
                        f"{self._named(stays)}: rank {leaves.rank} has ended and will not "
                        f"come"
                    )
                    return
            self._break(
                f"rank {arrival.rank} came to {self._named(arrival)} and rank "
                f"{other.rank} to {self._named(other)}: all ranks have to call the same "
                f"operations in the same order"
            )
            return
        if len(self._here) == self._tasks:
            self._complete()

    def _complete(self) -> None:
        values = {rank: arrival.value for rank, arrival in self._here.items()}
        any_rank = self._here[0]
        if any_rank.name == "all_gather":
            self._values = [values[rank] for rank in range(self._tasks)]
        elif any_rank.name == "broadcast":
            self._values = [values[any_rank.root]]
        else:
            self._values = []
        self._here.clear()
        self._number += 1
        self._changed.notify_all()

    def _break(self, why: str) -> None:
        self._broken = self._broken or why
        self._changed.notify_all()

    def _named(self, arrival: Arrival) -> str:
        where = f" from rank {arrival.root}" if arrival.name == "broadcast" else ""
        return f"{arrival.name}{where} (operation {self._number + 1})"

    def _late(self, arrival: Arrival) -> str:
        assert arrival.timeout_ms is not None
        missing = [rank for rank in range(self._tasks) if rank not in self._here]
        return (
            f"{self._named(arrival)}: within {arrival.timeout_ms / 1000:g} s "
            f"{_ranks(missing)} did not come, {_ranks(sorted(self._here))} did"
        )


def _ranks(ranks: list[int]) -> str:
    word = "rank" if len(ranks) == 1 else "ranks"
    return f"{word} {', '.join(map(str, ranks))}"
