"""What runs in a task of a gang of a function."""

import pickle
import sys

import cloudpickle

from .. import _native
from .._reported import reported
from ..errors import PeerFailed
from ._context import context

__all__ = ["main"]


def main() -> None:
    """Join, call the function, and hand back what it returns or raises."""
    channel = context()._channel
    assert isinstance(channel, _native.GangContext)
    assert channel.payload is not None
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
