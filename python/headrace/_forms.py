"""Forms of a batch: its columns as numpy arrays, a pandas.DataFrame or Arrow, and back.

Columns are (name, column) pairs, where a column is a numpy array whose first dimension is
the batch, or an Arrow array of strings or bytes. Of a ragged list the values are a column
of any length, and `<name>_offsets` one of a row more than the batch.
"""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import pandas

__all__ = [
    "Array",
    "Columns",
    "aligned",
    "arrow_batch",
    "is_offsets",
    "is_text",
    "named_columns",
    "numbers_of",
    "numpy_batch",
    "offsets_names",
    "offsets_of",
    "pandas_batch",
    "ragged_of",
    "texts_of",
]

Array = np.ndarray[Any, Any]
Columns = list[tuple[str, Any]]

#: What tensors begin at a multiple of, in bytes.
ALIGNMENT = 64


def is_text(column: Any) -> bool:
    """Whether a column is strings or bytes, in Arrow's memory."""
    return hasattr(column, "__arrow_c_array__")


def is_offsets(name: str, column: Any, rows: int) -> bool:
    """Whether a column has the offsets of a ragged list."""
    return name.endswith("_offsets") and not is_text(column) and len(column) == rows + 1


def offsets_of(name: str, columns: Mapping[str, Any], rows: int) -> str | None:
    """Return the column with the offsets of a ragged list's or sparse vector's values."""
    for offsets in offsets_names(name):
        if offsets in columns and is_offsets(offsets, columns[offsets], rows):
            return offsets
    return None


def offsets_names(name: str) -> list[str]:
    """Return what the offsets of a column of values may be called."""
    names = [f"{name}_offsets"]
    for ending in ("_indices", "_values"):  # of sparse vectors
        if name.endswith(ending):
            names.append(f"{name.removesuffix(ending)}_offsets")
    return names


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return a new array that begins at a multiple of 64 bytes; its values are any."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % ALIGNMENT
    return memory[begin : begin + size].view(dtype).reshape(shape)


# From columns


def numpy_batch(rows: int, columns: Columns) -> dict[str, Array]:
    """Return a dict of arrays; of texts, arrays of str or bytes objects."""
    return {
        name: _objects(column) if is_text(column) else column for name, column in columns
    }


def _objects(column: Any) -> Array:
    values = pa.array(column)
    objects = np.empty(len(values), dtype=object)
    objects[:] = values.to_pylist()
    return objects


def arrow_batch(rows: int, columns: Columns) -> pa.RecordBatch:
    """Return a record batch that shares the memory; of tensors, fixed-size lists."""
    tensors = dict(columns)
    arrays: dict[str, pa.Array] = {}
    for name, column in columns:
        if is_text(column):
            arrays[name] = pa.array(column)
        elif offsets := offsets_of(name, tensors, rows):
            starts, values = pa.array(tensors[offsets]), _tensor_array(column)
            arrays[name] = pa.LargeListArray.from_arrays(starts, values)
        elif not is_offsets(name, column, rows):
            arrays[name] = _tensor_array(column)
    return pa.RecordBatch.from_pydict(arrays)


def _tensor_array(tensor: Array) -> pa.Array:
    """Return an array that shares the tensor's memory; bools are packed into bits."""
    array = pa.array(tensor.reshape(-1))
    for size in reversed(tensor.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array


def pandas_batch(rows: int, columns: Columns) -> "pandas.DataFrame":
    """Return a frame; a tensor of more dimensions is a column of arrays, a row each."""
    import pandas

    tensors = dict(columns)
    series: dict[str, Array] = {}
    for name, column in columns:
        if is_text(column):
            series[name] = _objects(column)
        elif found := offsets_of(name, tensors, rows):
            offsets = tensors[found]
            series[name] = _rows(
                [column[offsets[i] : offsets[i + 1]] for i in range(rows)]
            )
        elif is_offsets(name, column, rows):
            continue
        else:
            series[name] = column if column.ndim == 1 else _rows(list(column))
    return pandas.DataFrame(series, index=pandas.RangeIndex(rows))


def _rows(values: list[Any]) -> Array:
    objects = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        objects[row] = value
    return objects


# To columns


def named_columns(output: Any) -> list[tuple[Any, Any]] | None:
    """Return the columns of what a function returned, as they are; None of what has none."""
    if isinstance(output, Mapping):
        return list(output.items())
    if isinstance(output, pa.Table):
        arrays = [column.combine_chunks() for column in output.columns]
        return list(zip(output.column_names, arrays, strict=True))
    if isinstance(output, pa.RecordBatch):
        return list(zip(output.schema.names, output.columns, strict=True))
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(output, pandas.DataFrame):
        return [(name, column.to_numpy()) for name, column in output.items()]
    return None


def numbers_of(values: Any) -> Array:
    """Return values as an array; ValueError or TypeError if they are none."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        return _arrow_numbers(values)
    array = np.asarray(values)
    if array.dtype == object and array.ndim == 1 and len(array):
        return np.stack([np.asarray(value) for value in array])
    return array


def _arrow_numbers(array: pa.Array) -> Array:
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if array.null_count:
        raise ValueError(f"it has {array.null_count} nulls")
    if isinstance(array, pa.FixedSizeListArray):
        values = _arrow_numbers(array.flatten())
        return values.reshape(len(array), array.type.list_size, *values.shape[1:])
    if isinstance(array, pa.ListArray | pa.LargeListArray):
        lengths = np.unique(array.value_lengths().to_numpy(zero_copy_only=False))
        if len(lengths) > 1:
            raise ValueError(f"its lists have {lengths[0]} and {lengths[1]} elements")
        values = _arrow_numbers(array.flatten())
        return values.reshape(len(array), *lengths, *values.shape[1:])
    return np.asarray(array.to_numpy(zero_copy_only=False))


def ragged_of(values: Any) -> tuple[Array, Array]:
    """Return values and offsets of a column of lists, as numbers_of does."""
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if isinstance(values, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        lengths = values.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        return _arrow_numbers(values.flatten()), _offsets(lengths)
    lists = [np.asarray(value) for value in values]
    return np.concatenate(lists), _offsets([len(one) for one in lists])


def _offsets(lengths: Any) -> Array:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def texts_of(values: Any) -> pa.Array:
    """Return an Arrow array of strings or bytes; TypeError or ValueError if it is none."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    array = values if isinstance(values, pa.Array) else pa.array(values)
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    if array.null_count:
        raise ValueError(f"it has {array.null_count} nulls")
    return array
