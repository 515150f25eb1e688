"""Exceptions on their way from one process to another."""

import contextlib
import pickle
import traceback

import cloudpickle

__all__ = ["Report", "recovered", "reported"]

#: An exception pickled, or nothing if it cannot be, in a line, and in full.
Report = tuple[bytes, str, str]


def reported(error: BaseException) -> Report:
    """Return what another process is to know of an exception."""
    pickled = b""
    with contextlib.suppress(Exception):
        pickled = cloudpickle.dumps(error)
        pickle.loads(pickled)  # an exception may pickle and not come back
    summary = "".join(traceback.format_exception_only(error)).strip()
    return pickled, summary, "".join(traceback.format_exception(error)).rstrip()


def recovered(report: Report) -> BaseException | None:
    """Return the exception, unless it does not pickle."""
    pickled = report[0]
    error: object = None
    if pickled:
        with contextlib.suppress(Exception):
            error = pickle.loads(pickled)
    return error if isinstance(error, BaseException) else None
