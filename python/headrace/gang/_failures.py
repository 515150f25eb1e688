"""How a task of a gang failed, and what its launcher raises for it."""

import base64
import enum
import json
import pickle
import re
import signal
import zlib
from dataclasses import dataclass

from .._reported import Report, recovered
from ..errors import PeerFailed

__all__ = ["Cause", "Failure", "recovered_report", "signal_text", "the_cause"]

#: What stands around a failure that travels in the message of an exception.
_CARRIED = re.compile(r"headrace-gang-failure:([A-Za-z0-9+/=]+):")
#: An exception whose pickle is longer travels as text alone.
_PICKLE_BYTES_MAX = 256 << 10
#: Of a longer text, so many characters of its begin, and of its end.
_TEXT_PART = 8 << 10


class Cause(enum.IntEnum):
    """Why a task failed.

    Of several failures, the one with the least is told as the reason: what a task did by
    itself before what the end of another did to it.
    """

    SIGNALLED = 0
    SILENT = 1
    EXITED = 2
    RAISED = 3
    EARLY_END = 4
    PEER_FAILED = 5


@dataclass(frozen=True)
class Failure:
    """That of one task. `text` is a sentence for people that begins with its rank."""

    cause: Cause
    rank: int
    text: str
    report: Report | None = None

    def exception(self) -> PeerFailed:
        """Return what the launcher raises."""
        failed = PeerFailed(self.text)
        if self.report is not None:
            failed.add_note(f"In rank {self.rank}:\n{self.report[2]}")
            failed.__cause__ = recovered(self.report)
        return failed

    def to_json(self) -> str:
        """Return it for `from_json`, in another process."""
        report = None
        if self.report is not None:
            pickled, summary, full = self.report
            if len(pickled) > _PICKLE_BYTES_MAX:
                pickled = b""
            encoded = base64.b64encode(pickled).decode()
            report = [encoded, _cut(summary), _cut(full)]
        return json.dumps([self.cause, self.rank, _cut(self.text), report])

    @classmethod
    def from_json(cls, text: str) -> "Failure":
        """Return what `to_json` was called of."""
        cause, rank, sentence, report = json.loads(text)
        if report is not None:
            report = (base64.b64decode(report[0]), report[1], report[2])
        return cls(Cause(cause), rank, sentence, report)

    def carried(self) -> str:
        """Return a word that `found` finds in the message of an exception."""
        packed = base64.b64encode(zlib.compress(self.to_json().encode())).decode()
        return f"headrace-gang-failure:{packed}:"

    @classmethod
    def found(cls, message: str) -> "Failure | None":
        """Return the failure that a message carries, if it does."""
        match = _CARRIED.search(message)
        if match is None:
            return None
        return cls.from_json(zlib.decompress(base64.b64decode(match[1])).decode())


def _cut(text: str) -> str:
    if len(text) <= 2 * _TEXT_PART:
        return text
    return f"{text[:_TEXT_PART]} [...] {text[-_TEXT_PART:]}"


def the_cause(failures: list[Failure]) -> Failure:
    """Return the one to tell; of equals, the first."""
    return min(failures, key=lambda failure: failure.cause)


def signal_text(number: int) -> str:
    """Return ``SIGKILL (...)``."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number == signal.SIGKILL:
        name += " (by the kernel, perhaps, for want of memory)"
    return name


def recovered_report(pickled: bytes | None) -> Report | None:
    """Return what a task said of its exception."""
    if pickled is None:
        return None
    report: Report = pickle.loads(pickled)
    return report
