"""Petastorm's TransformSpec, and what it makes of batches of rows."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas

__all__ = ["Column", "TransformSpec", "edit_field", "transformed"]

Edit = tuple[str, Any, tuple[int | None, ...], bool]
Columns = dict[str, npt.NDArray[Any]]


class Column(NamedTuple):
    """A field of the batches: what every value is."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    nullable: bool


def edit_field(
    name: str, numpy_dtype: Any, shape: tuple[int | None, ...], nullable: bool = False
) -> Edit:
    """Return a field that a `TransformSpec` adds or changes, as a tuple."""
    return name, numpy_dtype, shape, nullable


class TransformSpec:
    """What becomes of the rows before they are batched.

    Parameters
    ----------
    func : callable, optional
        Takes a pandas DataFrame of some rows, and returns one of as many.
    edit_fields : list of tuple, optional
        (name, numpy dtype, shape, nullable) of columns that `func` adds or changes.
    removed_fields : list of str, optional
        Columns that are left out.
    selected_fields : list of str, optional
        The columns that are left, in this order. Not with `removed_fields`.

    Raises
    ------
    ValueError
        Both `removed_fields` and `selected_fields` are given.
    """

    def __init__(
        self,
        func: "Callable[[pandas.DataFrame], pandas.DataFrame] | None" = None,
        edit_fields: Iterable[Edit] | None = None,
        removed_fields: Iterable[str] | None = None,
        selected_fields: Iterable[str] | None = None,
    ) -> None:
        self.func = func
        self.edit_fields = [
            Column(name, np.dtype(dtype), tuple(shape), nullable)
            for name, dtype, shape, nullable in edit_fields or ()
        ]
        self.removed_fields = list(removed_fields or ())
        self.selected_fields = None if selected_fields is None else list(selected_fields)
        if self.removed_fields and self.selected_fields is not None:
            raise ValueError(
                "removed_fields and selected_fields are both given: expected at most one"
            )

    def columns(self, names: Iterable[str]) -> list[str]:
        """Return the names of the result's columns, those of the rows being `names`."""
        edited = [column.name for column in self.edit_fields]
        left = [
            name
            for name in names
            if name not in edited and name not in self.removed_fields
        ]
        left += [name for name in edited if name not in self.removed_fields]
        if self.selected_fields is None:
            return left
        unknown = [name for name in self.selected_fields if name not in left]
        if unknown:
            raise ValueError(
                f"selected_fields has {unknown}, which are no fields: found {left}"
            )
        return self.selected_fields


def transformed(
    frame: "pandas.DataFrame", spec: TransformSpec, names: list[str]
) -> Columns:
    """Apply a spec to rows; the columns of the result, each an array of one value a row.

    Raises
    ------
    ValueError
        The function's result lacks a column, or a value is not of its field's shape.
    """
    rows = len(frame)
    result = frame if spec.func is None else spec.func(frame)
    edited = {column.name: column for column in spec.edit_fields}
    missing = [name for name in names if name not in result.columns]
    if missing:
        raise ValueError(
            f"Transformed result columns ({', '.join(map(str, result.columns))}) do not "
            f"match required schema columns ({', '.join(names)})"
        )
    if len(result) != rows:
        raise ValueError(
            f"the transform function returned {len(result)} rows for {rows}: expected as many"
        )
    return {
        name: _edited(result[name], edited[name])
        if name in edited
        else _plain(name, result)
        for name in names
    }


def _edited(values: "pandas.Series[Any]", column: Column) -> npt.NDArray[Any]:
    """Return a column as its field says that it is."""
    if not column.shape:
        return np.asarray(values.to_numpy(), dtype=column.dtype)
    cells = [np.asarray(value, dtype=column.dtype) for value in values]
    for cell in cells:
        fits = cell.ndim == len(column.shape) and all(
            expected is None or expected == size
            for expected, size in zip(column.shape, cell.shape, strict=False)
        )
        if not fits:
            raise ValueError(
                f"field {column.name} must be the shape {_shape(column.shape)}, found "
                f"{cell.shape}"
            )
    return _stack(column.name, cells)


def _shape(shape: tuple[int | None, ...]) -> str:
    return str(tuple(shape))


def _plain(name: str, frame: "pandas.DataFrame") -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = frame[name].to_numpy()
    if values.dtype == object and len(values) and isinstance(values[0], np.ndarray):
        return _stack(name, list(values))
    return values


def _stack(name: str, cells: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    if len({cell.shape for cell in cells}) > 1:
        raise ValueError(
            f"Length of all values in column '{name}' are expected to be the same length, "
            f"found {sorted({cell.shape for cell in cells})[:4]}"
        )
    return np.stack(cells) if cells else np.empty(0)
