"""Functions of users that go over batches, and checks of what they return."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from . import _forms, _validate
from ._forms import Array, Columns
from .errors import InvalidArgument, NotFound, SchemaMismatch, Unsupported

__all__ = ["MappedFunction", "OutputField", "mapped_function"]

Form = Literal["numpy", "pandas", "arrow"]
FORMS = ("numpy", "pandas", "arrow")
TEXTS = ("string", "binary")
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", *TEXTS,
)  # fmt: skip

#: What makes a form of columns.
MAKERS: dict[str, Callable[[int, Columns], Any]] = {
    "numpy": _forms.numpy_batch,
    "pandas": _forms.pandas_batch,
    "arrow": _forms.arrow_batch,
}


@dataclass(frozen=True, slots=True)
class OutputField:
    """A column that a function returns.

    `shape` is of a row, with None for sizes that vary. The first dimension is by `leading`
    the batch, the values of ragged lists, or their offsets, one more than the batch.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] = ()
    leading: Literal["rows", "values", "offsets"] = "rows"
    #: Of values: the column with their offsets.
    offsets: str = ""

    def __str__(self) -> str:
        first = {"rows": "batch", "values": "any", "offsets": "batch + 1"}[self.leading]
        sizes = [first, *("any" if size is None else str(size) for size in self.shape)]
        return f"{self.dtype} ({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


@dataclass(frozen=True, slots=True)
class MappedFunction:
    """A function, what it gets, what it returns, and where it runs. Immutable."""

    function: Callable[[Any], Any]
    columns: tuple[str, ...] | None
    fields: tuple[OutputField, ...] | None
    processes: int
    form: Form

    @property
    def name(self) -> str:
        """What messages call it."""
        function = self.function
        while isinstance(function, functools.partial):
            function = function.func
        return getattr(function, "__name__", None) or type(function).__name__

    def __str__(self) -> str:
        """Return it as the call of a Dataset."""
        parts = [self.name]
        if self.columns is not None:
            parts.append(f"columns={list(self.columns)}")
        if self.fields is not None:
            shown = ", ".join(f"{field.name}: {field}" for field in self.fields)
            parts.append(f"schema={{{shown}}}")
        if self.processes:
            parts.append(f"processes={self.processes}")
        if self.form != "numpy":
            parts.append(f'form="{self.form}"')
        return f"map_batches({', '.join(parts)})"

    def given(self, rows: int, columns: Columns, loaders: tuple[str, ...]) -> Columns:
        """Return the columns of a batch that the function gets.

        Ragged lists come with their offsets and shapes. What the loader itself adds
        (`loaders`) is given if it is asked for by name. NotFound for what is not there.
        """
        if self.columns is None:
            return [(name, column) for name, column in columns if name not in loaders]
        there = dict(columns)
        names: dict[str, None] = {}
        for name in self.columns:
            if name not in there:
                raise NotFound(
                    f'map_batches({self.name}) asks for the column "{name}", which the '
                    f"batch does not have: expected one of {list(there)}"
                )
            names[name] = None
            if offsets := _forms.offsets_of(name, there, rows):
                names[offsets] = None
                if f"{name}_shape" in there:
                    names[f"{name}_shape"] = None
        return [(name, there[name]) for name in names]

    def expected(self, rows: int, given: Columns) -> tuple[OutputField, ...]:
        """Return what the function has to return for a batch."""
        if self.fields is not None:
            return self.fields
        return tuple(_field_as_got(name, rows, given) for name, _ in given)

    def call(self, rows: int, given: Columns, where: str) -> Columns:
        """Call the function on a batch of one row or more, and check what it returns."""
        expected = self.expected(rows, given)
        output = self.function(MAKERS[self.form](rows, given))
        return checked(output, rows, expected, where)

    def empty(self, given: Columns) -> Columns:
        """Return what stands for a batch without rows, for which it is not called."""
        if self.fields is None:
            return given
        return [(field.name, _empty(field)) for field in self.fields]


def merged(columns: Columns, given: Columns, output: Columns) -> Columns:
    """Return a batch after a function: what it returned in place, or at the end."""
    returned = dict(output)
    taken = {name for name, _ in given}
    kept = [
        (name, returned.pop(name, column))
        for name, column in columns
        if name in returned or name not in taken
    ]
    return [*kept, *((name, column) for name, column in output if name in returned)]


def owned(output: Columns, given: Columns) -> Columns:
    """Return columns that are the consumer's, aligned, whatever the function keeps."""
    there = {id(column) for _, column in given}
    return [
        (name, column if _forms.is_text(column) or id(column) in there else _copy(column))
        for name, column in output
    ]


def _copy(column: Array) -> Array:
    copy = _forms.aligned(column.shape, column.dtype)
    np.copyto(copy, column)
    return copy


def _field_as_got(name: str, rows: int, given: Columns) -> OutputField:
    there = dict(given)
    column = there[name]
    if _forms.is_text(column):
        return OutputField(name, _text_dtype(pa.array(column).type) or "string")
    dtype, shape = column.dtype.name, column.shape[1:]
    if offsets := _forms.offsets_of(name, there, rows):
        return OutputField(name, dtype, shape, "values", offsets)
    if _forms.is_offsets(name, column, rows):
        return OutputField(name, dtype, shape, "offsets")
    return OutputField(name, dtype, shape)


def _empty(field: OutputField) -> Any:
    if field.dtype in TEXTS:
        return pa.array([], pa.string() if field.dtype == "string" else pa.binary())
    rows = 1 if field.leading == "offsets" else 0
    array = _forms.aligned(
        (rows, *(size or 0 for size in field.shape)), np.dtype(field.dtype)
    )
    array[...] = 0
    return array


def _text_dtype(type_: pa.DataType) -> str | None:
    if pa.types.is_dictionary(type_):
        return _text_dtype(type_.value_type)
    if (
        pa.types.is_string(type_)
        or pa.types.is_large_string(type_)
        or pa.types.is_string_view(type_)
    ):
        return "string"
    if (
        pa.types.is_binary(type_)
        or pa.types.is_large_binary(type_)
        or pa.types.is_binary_view(type_)
        or pa.types.is_fixed_size_binary(type_)
    ):
        return "binary"
    return None


# Checks of what a function returned


def checked(
    output: Any, rows: int, expected: tuple[OutputField, ...], where: str
) -> Columns:
    """Return what a function returned, as expected; else SchemaMismatch."""
    pairs = _forms.named_columns(output)
    if pairs is None:
        raise SchemaMismatch(
            f"{where} returned a {type(output).__name__}: expected a dict of arrays, a "
            f"pandas.DataFrame, or a pyarrow.Table or RecordBatch"
        )
    found: dict[Any, Any] = dict(pairs)
    _split_lists(found, expected, where)
    names = [field.name for field in expected]
    missing = [name for name in names if name not in found]
    extra = [name for name in found if name not in names]
    if missing or extra or len(dict(pairs)) != len(pairs):
        raise SchemaMismatch(
            f"{where} returned the columns {[name for name, _ in pairs]}: expected "
            f"{names}"
            + (f", of which {missing} are missing" if missing else "")
            + (f"; {extra} are not in its schema" if extra else "")
        )
    columns = [
        (field.name, _checked(found[field.name], rows, field, where))
        for field in expected
    ]
    _check_offsets(dict(columns), expected, where)
    return columns


def _split_lists(
    found: dict[Any, Any], expected: tuple[OutputField, ...], where: str
) -> None:
    """Make values and offsets of columns of lists, where there are no offsets."""
    split: dict[str, Array] = {}
    for field in expected:
        if field.leading != "values" or field.name not in found or field.offsets in found:
            continue
        values, offsets = _converted(found[field.name], field, where, _forms.ragged_of)
        if not np.array_equal(offsets, split.setdefault(field.offsets, offsets)):
            raise SchemaMismatch(
                f'column "{field.name}" of what {where} returned has lists of other lengths '
                f'than the other column of "{field.offsets}": expected the same'
            )
        found[field.name] = values
    found |= split


def _converted(
    values: Any, field: OutputField, where: str, convert: Callable[[Any], Any]
) -> Any:
    try:
        return convert(values)
    except (TypeError, ValueError) as error:  # Arrow's errors are these, too
        raise SchemaMismatch(
            f'column "{field.name}" of what {where} returned cannot become {field}: {error}'
        ) from None


def _checked(values: Any, rows: int, field: OutputField, where: str) -> Any:
    shape: tuple[int, ...]
    if field.dtype in TEXTS:
        texts = _converted(values, field, where, _forms.texts_of)
        dtype, shape = _text_dtype(texts.type) or str(texts.type), (len(texts),)
    else:
        texts = _converted(values, field, where, _forms.numbers_of)
        dtype, shape = _dtype_name(texts), texts.shape
    if dtype != field.dtype:
        raise SchemaMismatch(
            f'column "{field.name}" of what {where} returned is {dtype}: expected '
            f"{field.dtype}; convert it in the function, or declare it so"
        )
    fits = len(shape) == 1 + len(field.shape) and all(
        wanted in (None, size)
        for wanted, size in zip(field.shape, shape[1:], strict=True)
    )
    if not fits:
        raise SchemaMismatch(
            f'column "{field.name}" of what {where} returned has the shape {shape}: '
            f"expected {field}"
        )
    count = rows + 1 if field.leading == "offsets" else rows
    if field.leading != "values" and shape[0] != count:
        raise SchemaMismatch(
            f'column "{field.name}" of what {where} returned has {shape[0]} rows: expected '
            f"{count}, as a function returns as many rows as it gets"
        )
    return texts


def _dtype_name(array: Array) -> str:
    return str(array.dtype.name if array.dtype.isnative else array.dtype.str)


def _check_offsets(
    columns: dict[str, Any], expected: tuple[OutputField, ...], where: str
) -> None:
    for field in expected:
        if field.leading != "values":
            continue
        offsets, values = columns[field.offsets], len(columns[field.name])
        if offsets[0] != 0 or offsets[-1] != values or (np.diff(offsets) < 0).any():
            raise SchemaMismatch(
                f'column "{field.offsets}" of what {where} returned goes from '
                f"{offsets[0]} to {offsets[-1]}: expected from 0, without a step down, to "
                f'{values}, which "{field.name}" has'
            )


# What users declare


def mapped_function(
    function: Any, columns: Any, schema: Any, processes: Any, form: Any
) -> MappedFunction:
    """Return the function as declared; InvalidArgument names what is wrong."""
    if not callable(function):
        raise _validate.rejected("function", function, "a function of a batch")
    names: tuple[str, ...] | None = None
    if columns is not None:
        names = tuple(_validate.names("columns", columns))
        if not names or len(set(names)) != len(names):
            raise _validate.rejected(
                "columns", list(names), "one column name or more, each once"
            )
    if _validate.text("form", form) not in FORMS:
        raise _validate.rejected("form", form, '"numpy", "pandas" or "arrow"')
    if form == "pandas":
        _validate.installed('form="pandas"', "pandas")
    return MappedFunction(
        function,
        names,
        None if schema is None else _declared(schema),
        _validate.integer("processes", processes, 0, 2**10),
        form,
    )


def _declared(schema: Any) -> tuple[OutputField, ...]:
    fields = getattr(schema, "fields", None)
    if isinstance(fields, str | bytes) or not isinstance(fields, Iterable):
        raise _validate.rejected("schema", schema, "a headrace.Schema, or None")
    declared = [_declared_field(field) for field in fields]
    names = [field.name for field in declared]
    if not names or len(set(names)) != len(names):
        raise _validate.rejected("schema", names, "one field or more, each name once")
    scalars = {
        field.name for field in declared if (field.dtype, field.shape) == ("int64", ())
    }
    by_offsets: set[str] = set()
    for i, field in enumerate(declared):
        offsets = scalars.intersection(_forms.offsets_names(field.name))
        if offsets and field.dtype not in TEXTS:
            # A row is a list of any length, and its values lie one after the other.
            shape = field.shape[1:] if field.shape[:1] == (None,) else field.shape
            by_offsets |= offsets
            declared[i] = replace(
                field, shape=shape, leading="values", offsets=min(offsets)
            )
    for i, field in enumerate(declared):
        if field.name in by_offsets:
            declared[i] = replace(field, leading="offsets")
    return tuple(declared)


def _declared_field(field: Any) -> OutputField:
    name = _validate.text("the name of a field of schema", getattr(field, "name", None))
    dtype = _validate.text(f'the dtype of "{name}"', getattr(field, "dtype", None))
    if dtype == "bfloat16":
        raise Unsupported(
            f'"{name}" is declared bfloat16, which numpy does not have: declare float32'
        )
    if dtype not in DTYPES:
        raise InvalidArgument(
            f'the dtype of "{name}" is "{dtype}": expected one of {", ".join(DTYPES)}'
        )
    sizes = tuple(getattr(field, "shape", ()))
    shape = tuple(
        None if size is None else _validate.integer(f'a size of "{name}"', size, 0)
        for size in sizes
    )
    if dtype in TEXTS and shape:
        raise InvalidArgument(
            f'"{name}" is {dtype} of shape {shape}: expected (), as texts have no shape'
        )
    return OutputField(name, dtype, shape)
