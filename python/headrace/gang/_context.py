"""A task's place in its gang."""

import os
import pickle
import threading
from typing import Any, Protocol, runtime_checkable

import cloudpickle

from .. import _native
from ..errors import InvalidArgument

__all__ = ["Channel", "Context", "TaskChannel", "context", "enter", "milliseconds"]


class Channel(Protocol):
    """What carries bytes between the tasks of a gang, and to who launched it."""

    @property
    def rank(self) -> int: ...
    @property
    def world_size(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def accelerators(self) -> list[str]: ...

    def barrier(self, timeout_ms: int | None) -> None: ...
    def all_gather(self, value: bytes, timeout_ms: int | None) -> list[bytes]: ...
    def broadcast(self, value: bytes, root: int, timeout_ms: int | None) -> bytes: ...
    def report(self, value: bytes, /) -> None: ...


@runtime_checkable
class TaskChannel(Channel, Protocol):
    """That of a task whose launcher has it call a function."""

    @property
    def payload(self) -> bytes | None: ...

    def alive(self) -> None: ...
    def return_value(self, value: bytes, /) -> None: ...
    def raise_exception(self, line: str, value: bytes, *, by_peer: bool) -> None: ...


class Context:
    """A task's place in its gang. Made by `context`, for all of its process.

    Attributes
    ----------
    rank, world_size : int
        Which task this is, from 0, and of how many.
    local_rank, local_world_size : int
        The same among the tasks on this host.
    attempt : int
        How many times the gang has started again.
    is_elastic_restart : bool
        It has: there may be a checkpoint to go on from.
    addresses : list of str
        The host of each task, by rank.
    accelerators : list of str
        The addresses of this task's accelerators.

    Notes
    -----
    All ranks have to call `barrier`, `all_gather` and `broadcast` in the same order. May be
    used from any thread; calls from several wait for one another. A process that a task
    forks is no part of the gang.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        local_rank: int,
        local_world_size: int,
        addresses: list[str],
    ) -> None:
        self._channel = channel
        self.rank = channel.rank
        self.world_size = channel.world_size
        self.attempt = channel.attempt
        self.is_elastic_restart = self.attempt > 0
        self.accelerators = list(channel.accelerators)
        self.local_rank = local_rank
        self.local_world_size = local_world_size
        self.addresses = addresses

    def __repr__(self) -> str:
        again = f", attempt={self.attempt}" if self.attempt else ""
        own = f", accelerators={self.accelerators}" if self.accelerators else ""
        return f"Context(rank={self.rank}, world_size={self.world_size}{again}{own})"

    def barrier(self, timeout: float | None = None) -> None:
        """Wait until all ranks are here.

        Parameters
        ----------
        timeout : float, optional
            Seconds; those of the gang if not given.

        Raises
        ------
        PeerFailed
            A rank did not come in time, came to something else, or has ended. The message
            names it.
        """
        self._channel.barrier(milliseconds("timeout", timeout))

    def all_gather(self, value: Any, timeout: float | None = None) -> list[Any]:
        """Return the values of all ranks, by rank: any objects that pickle.

        Raises
        ------
        PeerFailed
            As `barrier`.
        """
        limit = milliseconds("timeout", timeout)
        values = self._channel.all_gather(cloudpickle.dumps(value), limit)
        return [pickle.loads(each) for each in values]

    def broadcast(
        self, value: Any = None, root: int = 0, timeout: float | None = None
    ) -> Any:
        """Return the value of rank `root`, on all ranks; others' values are not looked at.

        Raises
        ------
        PeerFailed
            As `barrier`.
        InvalidArgument
            No such rank.
        """
        limit = milliseconds("timeout", timeout)
        own = cloudpickle.dumps(value) if self.rank == root else b""
        return pickle.loads(self._channel.broadcast(own, root, limit))

    def report(self, value: Any) -> None:
        """Hand a value to who launched the gang, which calls `on_report(rank, value)`."""
        self._channel.report(cloudpickle.dumps(value))


def milliseconds(name: str, seconds: float | None) -> int | None:
    """Return seconds in milliseconds. InvalidArgument for what is none."""
    if seconds is None:
        return None
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not seconds >= 0
    ):
        raise InvalidArgument(f"{name} is {seconds!r}, expected seconds, at least 0")
    return round(min(float(seconds), 1e9) * 1000)


class _Own:
    """The context of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.context: Context | None = None


_own = _Own()


def context() -> Context:
    """Return this task's place in its gang. The first call joins it.

    Raises
    ------
    InvalidArgument
        This process is no task of a gang.
    Denied, Conflict
        The gang's launcher does not take it for one: it is of an earlier attempt, or a
        process that a task has started.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.gang.run(lambda: hr.gang.context().rank, tasks=2)
    [0, 1]
    """
    with _own.lock:
        if _own.context is None:
            channel = _native.GangContext.join(dict(os.environ))
            if channel is None:
                raise InvalidArgument(
                    "this process is no task of a gang: start it by headrace.gang.run(...) "
                    "or by `headrace run -n 2 -- python ...`"
                )
            _own.context = Context(
                channel,
                local_rank=channel.rank,
                local_world_size=channel.world_size,
                addresses=["127.0.0.1"] * channel.world_size,
            )
        return _own.context


def enter(entered: Context | None) -> None:
    """Make a context this process' own, or none."""
    with _own.lock:
        _own.context = entered
