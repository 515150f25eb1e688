"""Policies of columns, as `Dataset.nulls`, `ragged` and `codes` take them."""

import numbers
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from . import _validate

__all__ = ["fill", "native_codes", "native_nulls", "native_ragged", "pad"]


@dataclass(frozen=True, slots=True)
class fill:  # noqa: N801 (read as a verb: hr.fill(0))
    """Nulls become a value.

    Parameters
    ----------
    value : int, float, bool, str or bytes
        The value put for a null; it has to be of the column's type.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.fill(0)
    fill(value=0)
    """

    value: int | float | str | bytes


@dataclass(frozen=True, slots=True)
class pad:  # noqa: N801 (read as a verb: hr.pad(0, length=128))
    """Lists are filled up at their end, to the longest of the batch or to a length.

    Parameters
    ----------
    value : int, float or bool
        The value put after a list's last.
    length : int, optional
        Elements of every list; a longer list is an error. The longest of the batch if it
        is not given.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.pad(0, length=128)
    pad(value=0, length=128)
    """

    value: int | float
    length: int | None = None


def native_nulls(policies: Any) -> dict[str, tuple[str, Any]]:
    """Return (kind, fill value) by column; InvalidArgument names the column."""
    native: dict[str, tuple[str, Any]] = {}
    for name, policy in _validate.mapping("policies", policies, "a dict").items():
        if isinstance(policy, fill):
            native[name] = ("fill", _scalar(f"fill of {name!r}", policy.value))
        elif isinstance(policy, str) and policy in ("error", "mask"):
            native[name] = (policy, None)
        else:
            expected = '"error", headrace.fill(value) or "mask"'
            raise _validate.rejected(f"policies[{name!r}]", policy, expected)
    return native


def native_ragged(policies: Any) -> dict[str, tuple[str, Any, int | None]]:
    """Return (kind, pad value, length) by column; InvalidArgument names the column."""
    native: dict[str, tuple[str, Any, int | None]] = {}
    for name, policy in _validate.mapping("policies", policies, "a dict").items():
        if isinstance(policy, pad):
            length = policy.length
            if length is not None:
                length = _validate.integer(f"pad length of {name!r}", length, 0)
            value = _scalar(f"pad of {name!r}", policy.value)
            if isinstance(value, str | bytes):
                raise _validate.rejected(f"pad of {name!r}", value, "a number")
            native[name] = ("pad", value, length)
        elif isinstance(policy, str) and policy in ("error", "ragged", "sparse"):
            native[name] = (policy, None, None)
        else:
            expected = '"error", headrace.pad(value), "ragged" or "sparse"'
            raise _validate.rejected(f"policies[{name!r}]", policy, expected)
    return native


def native_codes(vocabularies: Any) -> dict[str, list[str | bytes] | None]:
    """Return the vocabulary by column; InvalidArgument names the column."""
    native: dict[str, list[str | bytes] | None] = {}
    given = _validate.mapping("vocabularies", vocabularies, "a dict")
    for name, values in given.items():
        parameter = f"vocabularies[{name!r}]"
        if values is None:
            native[name] = None
            continue
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            expected = "a list of str or bytes, or None"
            raise _validate.rejected(parameter, values, expected)
        entries = list(values)
        for i, value in enumerate(entries):
            if not isinstance(value, str | bytes):
                raise _validate.rejected(f"{parameter}[{i}]", value, "str or bytes")
        native[name] = entries
    return native


def _scalar(parameter: str, value: Any) -> int | float | str | bytes:
    """Return a Python scalar of a fill or pad value; numpy's scalars are taken."""
    if isinstance(value, str | bytes | bool | int | float):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if hasattr(value, "item"):  # numpy.bool_ and float16
        item = value.item()
        if isinstance(item, str | bytes | bool | int | float):
            return item
    raise _validate.rejected(parameter, value, "a number, a string or bytes")
