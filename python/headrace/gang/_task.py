"""What runs in a task of a gang of a function."""

import contextlib
import pickle
import sys
import threading
import time

import cloudpickle

from .._reported import reported
from ..errors import PeerFailed
from ._agent_channel import AgentChannel
from ._context import Context, TaskChannel, context, enter

__all__ = ["START", "main"]

#: The program of a task. The parent's paths come first, so that the package is found where
#: it was; an agent's descriptor may follow.
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from headrace.gang._task import main; main(*map(int, sys.argv[2:]))"
)

#: How often a task says that its interpreter runs.
_ALIVE_SECONDS = 2.0


def main(descriptor: int | None = None) -> None:
    """Join, call the function, and hand back what it returns or raises.

    Parameters
    ----------
    descriptor : int, optional
        The socket of an agent, by which to join; else by the environment.
    """
    if descriptor is not None:
        own = AgentChannel(descriptor)
        enter(
            Context(
                own,
                local_rank=own.place.local_rank,
                local_world_size=own.place.local_world_size,
                addresses=own.place.addresses,
            )
        )
    channel = context()._channel
    assert isinstance(channel, TaskChannel)
    assert channel.payload is not None
    threading.Thread(
        target=_say_alive, args=(channel,), name="headrace-alive", daemon=True
    ).start()
    try:
        fn, args, kwargs = pickle.loads(channel.payload)
        result = cloudpickle.dumps(fn(*args, **kwargs))
    except SystemExit:
        raise  # an end before it returned
    except BaseException as error:
        report = reported(error)
        by_peer = isinstance(error, PeerFailed)
        channel.raise_exception(report[1], pickle.dumps(report), by_peer=by_peer)
        sys.exit(1)
    channel.return_value(result)


def _say_alive(channel: TaskChannel) -> None:
    """Be heard of, as long as Python runs in this process."""
    with contextlib.suppress(PeerFailed):
        while True:
            channel.alive()
            time.sleep(_ALIVE_SECONDS)
