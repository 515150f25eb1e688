"""What an agent waits for in threads, so that its loop need not."""

import json
import queue
from collections.abc import Callable
from threading import Thread

from ..errors import PeerFailed
from ._post import Address, post

__all__ = ["Gathering", "Reports"]

#: How long the launcher may take to answer, in seconds.
_ANSWER_SECONDS = 5.0


class Gathering:
    """Calls Spark's `allGather`, which cannot be cut short, in a thread of its own."""

    def __init__(self, all_gather: Callable[[str], list[str]]) -> None:
        self._all_gather = all_gather
        self._asked: queue.SimpleQueue[tuple[str, Callable[..., None]] | None]
        self._asked = queue.SimpleQueue()
        Thread(target=self._run, daemon=True).start()

    def ask(self, message: str, then: Callable[[list[str] | Exception], None]) -> None:
        """Have all ranks' messages, or why there are none, given to `then`."""
        self._asked.put((message, then))

    def close(self) -> None:
        """Ask no more."""
        self._asked.put(None)

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            message, then = asked
            answer: list[str] | Exception
            try:
                answer = self._all_gather(message)
            except Exception as error:  # whatever Spark makes of the end of a stage
                answer = error
            then(answer)


class Reports:
    """Sends reports to who launched the gang, in order, where it can be reached."""

    def __init__(self, launcher: Address | None, secret: bytes, rank: int) -> None:
        self._launcher = launcher
        self._secret = secret
        self._rank = rank
        self._count = 0
        self._unsent: list[tuple[int, bytes]] = []
        self._reachable = launcher is not None
        self._queue: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, value: bytes) -> None:
        """Send one, some time."""
        self._queue.put((self._count, value))
        self._count += 1

    def close(self) -> None:
        """Take no more."""
        self._queue.put(None)

    def unsent(self) -> list[tuple[int, bytes]]:
        """Take no more; return those that could not be sent."""
        self.close()
        self._thread.join()
        return self._unsent

    def _run(self) -> None:
        while (report := self._queue.get()) is not None:
            if self._reachable and self._sent(*report):
                continue
            # One that came later is not to overtake it.
            self._reachable = False
            self._unsent.append(report)

    def _sent(self, number: int, value: bytes) -> bool:
        assert self._launcher is not None
        message = json.dumps([self._rank, number]).encode() + b"\n" + value
        try:
            post(self._launcher, self._secret, message, _ANSWER_SECONDS)
        except (OSError, PeerFailed):
            return False
        return True
