"""What an agent waits for in threads, so that its loop need not."""

import json
import pickle
import queue
from collections.abc import Callable
from threading import Thread

from ..errors import PeerFailed
from ._meeting import Arrival
from ._post import Address, post

__all__ = ["Meetings", "Reports"]

#: How long another process of the gang may take to answer, in seconds.
_ANSWER_SECONDS = 5.0
#: Who keeps the meeting ends a wait that is over. How much later others do so themselves.
_MARGIN_SECONDS = 30.0

Then = Callable[[tuple[str, list[bytes]] | Exception], None]


class Meetings:
    """Brings a rank's arrivals to where they meet, one after the other."""

    def __init__(self, place: Address, secret: bytes) -> None:
        self._place = place
        self._secret = secret
        self._asked: queue.SimpleQueue[tuple[Arrival, Then] | None] = queue.SimpleQueue()
        Thread(target=self._run, daemon=True).start()

    def come(self, arrival: Arrival, then: Then) -> None:
        """Have `then` called, in another thread, with what `Meeting.come` returns."""
        self._asked.put((arrival, then))

    def close(self) -> None:
        """Come no more."""
        self._asked.put(None)

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            arrival, then = asked
            message = pickle.dumps(arrival)
            limit = None
            if arrival.timeout_ms is not None:
                limit = arrival.timeout_ms / 1000 + _MARGIN_SECONDS
            try:
                answer = post(self._place, self._secret, message, _ANSWER_SECONDS, limit)
                then(pickle.loads(answer))
            except (OSError, PeerFailed) as error:
                then(error)


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
