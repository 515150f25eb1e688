"""Which columns a model sees: features in groups, labels, weights, and the rows to validate on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from .. import _validate
from ..dataset import Dataset
from ..errors import InvalidArgument

__all__ = ["Columns", "parted"]

_FEATURES = (
    'a list of column names, or of lists of those, such as ["image", ["age", "height"]]'
)


@dataclass(frozen=True)
class Columns:
    """The columns of a model.

    Attributes
    ----------
    inputs : tuple of tuple of str
        One a model's input: a column, or several that are packed side by side.
    groups : tuple of bool
        Whether an input was given as a list.
    labels : tuple of str
        One an output.
    weight : str or None
        The samples' weights.
    shapes : tuple or None
        Of each input without its first dimension; None: as the column has it.
    """

    inputs: tuple[tuple[str, ...], ...]
    groups: tuple[bool, ...]
    labels: tuple[str, ...]
    weight: str | None = None
    shapes: tuple[tuple[int, ...] | None, ...] | None = None

    @classmethod
    def of(
        cls,
        feature_cols: Sequence[Any],
        label_cols: Sequence[str],
        sample_weight_col: str | None = None,
        input_shapes: Sequence[Any] | None = None,
    ) -> "Columns":
        """Return them, checked as far as they can be without a table."""
        if isinstance(feature_cols, str) or not isinstance(feature_cols, Sequence):
            raise _validate.rejected("feature_cols", feature_cols, _FEATURES)
        inputs, groups = [], []
        for place, given in enumerate(feature_cols):
            name = f"feature_cols[{place}]"
            groups.append(not isinstance(given, str))
            inputs.append(
                (given,)
                if isinstance(given, str)
                else tuple(_validate.names(name, given))
            )
            if not inputs[-1]:
                raise _validate.rejected(name, given, "at least one column name")
        if not inputs:
            raise _validate.rejected("feature_cols", feature_cols, _FEATURES)
        labels = tuple(_validate.names("label_cols", label_cols))
        if not labels:
            raise _validate.rejected("label_cols", label_cols, "at least one column name")
        if sample_weight_col is not None:
            _validate.text(
                "sample_weight_col", sample_weight_col, "a column name or None"
            )
        columns = cls(
            tuple(inputs),
            tuple(groups),
            labels,
            sample_weight_col,
            _shapes(input_shapes, len(inputs)),
        )
        names = columns.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InvalidArgument(
                f"{twice} are given more than once among feature_cols, label_cols and "
                "sample_weight_col: expected each column in one place"
            )
        return columns

    @property
    def features(self) -> list[str]:
        """The columns of all inputs."""
        return [name for group in self.inputs for name in group]

    @property
    def names(self) -> list[str]:
        """All columns."""
        weight = [] if self.weight is None else [self.weight]
        return [*self.features, *self.labels, *weight]

    @property
    def keys(self) -> list[str]:
        """The name of each input in a batch."""
        return [
            f"features[{place}]" if group else names[0]
            for place, (names, group) in enumerate(
                zip(self.inputs, self.groups, strict=True)
            )
        ]

    def of_features(self) -> "Columns":
        """Return the same without labels and weights, for predictions."""
        return Columns(self.inputs, self.groups, (), None, self.shapes)

    def casts(self, schema: pa.Schema, dtype: str | None) -> dict[str, str]:
        """Return what the columns of a chosen dataset are to be cast to."""
        if dtype is None:
            return {}
        grouped = {
            name
            for names, group in zip(self.inputs, self.groups, strict=True)
            if group
            for name in names
        }
        if self.weight is not None:
            grouped.add(self.weight)
        return {
            field.name: dtype
            for field in schema
            if field.name in grouped or _is_float(field.type)
        }

    def prepared(self, dataset: Dataset, dtype: str | None, *, whole: bool) -> Dataset:
        """Return a dataset whose batches have the inputs by their `keys`, and the labels.

        `whole`: other columns stay as well, for a function that sees the batch.
        """
        chosen = dataset if whole else dataset.select(*self.names)
        casts = self.casts(chosen.schema, dtype)
        if casts:
            chosen = chosen.cast(casts)
        for key, names, group in zip(self.keys, self.inputs, self.groups, strict=True):
            if group:
                chosen = chosen.pack(key, names)
        return chosen


def _shapes(
    given: Sequence[Any] | None, inputs: int
) -> tuple[tuple[int, ...] | None, ...] | None:
    if given is None:
        return None
    shapes = tuple(
        None
        if shape is None
        else tuple(
            _validate.integer(f"input_shapes[{place}]", size, -1) for size in shape
        )
        for place, shape in enumerate(given)
    )
    if len(shapes) != inputs:
        raise InvalidArgument(
            f"input_shapes has {len(shapes)} shapes and feature_cols {inputs} inputs: "
            "expected one shape (without the batch), or None, for each"
        )
    return shapes


def _is_float(of: pa.DataType) -> bool:
    while (
        pa.types.is_list(of)
        or pa.types.is_large_list(of)
        or pa.types.is_fixed_size_list(of)
    ):
        of = of.value_type
    if isinstance(of, pa.FixedShapeTensorType):
        of = of.value_type
    return bool(pa.types.is_floating(of) or pa.types.is_decimal(of))


def parted(
    dataset: Dataset, validation: "float | str | Dataset | None", seed: int
) -> tuple[Dataset, Dataset | None]:
    """Return the rows to train on and those to validate on.

    Raises
    ------
    InvalidArgument
        The fraction is not between 0 and 1, or the column is neither boolean nor of
        numbers.
    """
    if validation is None:
        return dataset, None
    if isinstance(validation, Dataset):
        return dataset, validation
    if isinstance(validation, str):
        return _by_column(dataset, validation)
    share = _validate.real("validation", validation)
    if not 0 < share < 1:
        raise _validate.rejected(
            "validation", validation, "a fraction between 0 and 1, both left out"
        )
    parts = dataset.split({"train": 1 - share, "validation": share}, seed=seed)
    return parts["train"], parts["validation"]


def _by_column(dataset: Dataset, column: str) -> tuple[Dataset, Dataset]:
    """Validate on rows where the column is true or positive; a null is to train on."""
    of: Mapping[str, pa.DataType] = {field.name: field.type for field in dataset.schema}
    if column not in of:
        # As the core words it, with the names that are there.
        dataset.select(column)
        raise InvalidArgument(f'validation is "{column}": expected a column at the top')
    name = '"' + column.replace('"', '""') + '"'
    if pa.types.is_boolean(of[column]):
        validates = name
    elif pa.types.is_integer(of[column]) or pa.types.is_floating(of[column]):
        validates = f"{name} > 0"
    else:
        raise InvalidArgument(
            f'validation is "{column}", a column of {of[column]}: expected booleans, or '
            "numbers of which the positive ones mark rows to validate on"
        )
    return (
        dataset.where(f"not ({validates}) or {name} is null"),
        dataset.where(validates),
    )
