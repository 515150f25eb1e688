"""Checks of arguments: each message names the parameter, what was found, what was expected."""

import datetime
import importlib.util
import operator
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InvalidArgument, Unsupported

__all__ = [
    "boolean",
    "installed",
    "int64s",
    "integer",
    "mapping",
    "moment",
    "names",
    "paths",
    "real",
    "rejected",
    "text",
    "text_mapping",
]

INT64_MAX = 2**63 - 1


def rejected(parameter: str, found: object, expected: str) -> InvalidArgument:
    """Return the error for a parameter: what was found against what was expected."""
    shown = repr(found)
    if len(shown) > 80:
        shown = shown[:77] + "..."
    return InvalidArgument(
        f"{parameter} is {shown} ({type(found).__name__}): expected {expected}"
    )


def installed(what: str, package: str) -> None:
    """Raise Unsupported if a package is not there that something needs."""
    if importlib.util.find_spec(package) is None:
        raise Unsupported(
            f"{what} needs {package}, which is not installed: pip install {package}"
        )


def moment(parameter: str, value: object) -> int | str:
    """Return a point of time as the core takes it: an integer, or text."""
    if isinstance(value, datetime.date):  # datetimes are dates as well
        return value.isoformat()
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise rejected(
            parameter,
            value,
            "a string, an integer, a datetime.date or a datetime.datetime",
        )
    return integer(parameter, value, -(2**63))


def integer(
    parameter: str, value: Any, minimum: int | None = None, maximum: int = INT64_MAX
) -> int:
    """Return the value as an int; numpy's integers are taken, floats and bools are not."""
    at_least = f" of at least {minimum}" if minimum is not None else ""
    expected = f"an integer{at_least}"
    if isinstance(value, bool):
        raise rejected(parameter, value, expected)
    try:
        number = operator.index(value)
    except TypeError:
        raise rejected(parameter, value, expected) from None
    if minimum is not None and number < minimum:
        raise rejected(parameter, number, expected)
    if number > maximum:
        raise rejected(parameter, number, f"an integer of at most {maximum}")
    return number


def boolean(parameter: str, value: Any) -> bool:
    """Return the value if it is a bool."""
    if not isinstance(value, bool):
        raise rejected(parameter, value, "True or False")
    return value


def real(parameter: str, value: Any) -> float:
    """Return the value as a float; numpy's numbers are taken, bools and text are not."""
    if isinstance(value, bool | str | bytes):
        raise rejected(parameter, value, "a number")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise rejected(parameter, value, "a number") from None


def int64s(parameter: str, values: Any) -> npt.NDArray[np.int64]:
    """Return integers of one dimension as an array."""
    expected = "integers of one dimension, of at most 64 bits"
    try:
        iterates = isinstance(values, Iterable) and not hasattr(values, "__array__")
        found = np.asarray(list(values) if iterates else values)
    except (TypeError, ValueError, RuntimeError):
        raise rejected(parameter, values, expected) from None
    if found.ndim == 1 and found.size == 0:
        return found.astype(np.int64)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise rejected(parameter, values, expected)
    if found.dtype == np.uint64 and found.max() > INT64_MAX:
        raise rejected(parameter, values, expected)
    return found.astype(np.int64)


def text(parameter: str, value: Any, expected: str = "a string") -> str:
    """Return the value if it is a str."""
    if not isinstance(value, str):
        raise rejected(parameter, value, expected)
    return value


def names(parameter: str, values: Iterable[Any]) -> list[str]:
    """Return a list of names; one str in place of a list is refused."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise rejected(parameter, values, "a list of column names")
    return [text(f"{parameter}[{i}]", v, "a column name") for i, v in enumerate(values)]


def mapping(parameter: str, values: Any, expected: str) -> dict[str, Any]:
    """Return a dict with str keys."""
    if not isinstance(values, Mapping):
        raise rejected(parameter, values, expected)
    return {text(f"a key of {parameter}", k): v for k, v in values.items()}


def text_mapping(parameter: str, values: Any) -> dict[str, str]:
    """Return a dict of str to str. Values may be secrets: messages have their type only."""
    expected = "expected a dict of str to str"
    if not isinstance(values, Mapping):
        raise InvalidArgument(
            f"{parameter} is of type {type(values).__name__}: {expected}"
        )
    for key, value in values.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InvalidArgument(
                f"{parameter}[{key!r}] is of type {type(value).__name__}: {expected}"
            )
    return dict(values)


def path(parameter: str, value: Any) -> str:
    """Return a path as a string."""
    found = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(found, str) or not found:
        raise rejected(parameter, value, "a path")
    return found


def paths(parameter: str, value: Any) -> list[str]:
    """Return one or many URIs or paths as strings."""
    expected = "a path, a URI or a list of those"
    many = [value] if isinstance(value, str | os.PathLike) else value
    if isinstance(many, bytes | Mapping) or not isinstance(many, Iterable):
        raise rejected(parameter, value, expected)
    uris = []
    for one in many:
        uri = os.fspath(one) if isinstance(one, str | os.PathLike) else one
        if not isinstance(uri, str):
            raise rejected(parameter, one, expected)
        uris.append(uri)
    if not uris:
        raise rejected(parameter, value, expected)
    return uris
