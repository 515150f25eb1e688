"""What becomes of nulls and of lists of unequal length, as `Dataset.nulls` and `ragged` take it."""

from dataclasses import dataclass

__all__ = ["fill", "pad"]


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
