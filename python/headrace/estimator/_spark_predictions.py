"""Predictions in Spark's tasks, through Arrow."""

import functools
import pickle
from collections.abc import Sequence
from typing import Any

import cloudpickle
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as sql
from pyspark.sql import types as of_sql
from pyspark.sql.pandas.functions import arrow_udf

from .. import _validate
from ..errors import InvalidArgument
from ..spark._columns import FLOATS, quoted
from ._columns import Columns
from ._predictor import Output, Predictor, in_batches
from ._spark_rows import check_columns

__all__ = ["transform"]


def transform(
    df: DataFrame,
    predictor: Predictor,
    outputs: Sequence[Output],
    names: Sequence[str],
    batch_size: int,
    vectors: str,
) -> DataFrame:
    """Add a model's outputs to a DataFrame, a column each."""
    columns = predictor.columns
    check_columns(df, columns.features)
    there = sorted(set(names) & set(df.columns))
    if there:
        raise InvalidArgument(
            f"output_cols are {list(names)} and the DataFrame has {there} already: expected "
            "other names"
        )
    if vectors not in ("vector", "array"):
        raise _validate.rejected("vectors", vectors, '"vector" or "array"')
    types = [_type_of(output) for output in outputs]
    kind = of_sql.StructType(
        [of_sql.StructField(f"_{place}", one) for place, one in enumerate(types)]
    )
    fields = {field.name: field.dataType for field in df.schema.fields}
    given = [
        _feature(df, name, fields[name], predictor.dtype) for name in columns.features
    ]
    payload = cloudpickle.dumps(predictor)
    # Its kind is told by annotations; to name it, as its types would have it, warns.
    as_udf: Any = arrow_udf
    predict = as_udf(_udf(payload, columns, outputs, batch_size), kind)
    taken = "__headrace_outputs"
    with_outputs = df.withColumn(taken, predict(*given))
    found = []
    for place, (name, (shape, _)) in enumerate(zip(names, outputs, strict=True)):
        value = with_outputs[taken][f"_{place}"]
        if vectors == "vector" and len(_shape(shape)) == 1:
            value = array_to_vector(value)
        found.append(value.alias(name))
    return with_outputs.select(
        *(with_outputs[quoted(name)] for name in df.columns), *found
    )


def _feature(df: DataFrame, name: str, of: Any, dtype: str | None) -> Column:
    """Return a column as the UDF takes it: a vector as an array, a null one as null."""
    column = df[quoted(name)]
    if isinstance(of, VectorUDT):
        to = dtype if dtype in FLOATS else "float64"
        return sql.when(column.isNotNull(), vector_to_array(column, to))
    return column


def _shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return an output's shape as a column has it: one value is a number."""
    return () if tuple(shape) == (1,) else tuple(shape)


def _type_of(output: Output) -> Any:
    shape, dtype = output
    if dtype == "bool":
        element: Any = of_sql.BooleanType()
    elif dtype.startswith(("int", "uint")):
        element = of_sql.LongType()
    else:
        element = of_sql.DoubleType()
    for _ in _shape(shape):
        element = of_sql.ArrayType(element, containsNull=False)
    return element


@functools.lru_cache(maxsize=2)
def _loaded(payload: bytes) -> Predictor:
    """Return a predictor, loaded once in a process for all batches."""
    predictor: Predictor = pickle.loads(payload)
    return predictor


def _udf(
    payload: bytes, columns: Columns, outputs: Sequence[Output], batch_size: int
) -> Any:
    """Return the function that Spark's tasks run on Arrow arrays."""

    def predict(*arrays: pa.Array) -> pa.Array:
        predictor = _loaded(payload)
        named = dict(zip(columns.features, arrays, strict=True))
        inputs = [
            _input(names, group, named, predictor.dtype)
            for names, group in zip(columns.inputs, columns.groups, strict=True)
        ]
        parts = list(in_batches(predictor, inputs, batch_size))
        fields = []
        for place, (shape, dtype) in enumerate(outputs):
            rows = [part[place] for part in parts]
            values = np.concatenate(rows) if rows else np.zeros((0, *shape), dtype)
            fields.append(_arrow(values.reshape(len(values), *_shape(shape))))
        return pa.StructArray.from_arrays(
            fields, [f"_{place}" for place in range(len(fields))]
        )

    # By these Spark knows what it is given; written out, as they are strings here.
    predict.__annotations__ = {"arrays": pa.Array, "return": pa.Array}
    return predict


def _input(
    names: Sequence[str], group: bool, named: dict[str, pa.Array], dtype: str | None
) -> npt.NDArray[Any]:
    """Return one input of a model: a column, or several side by side."""
    parts = [_numbers(name, named[name]) for name in names]
    of = "float32" if dtype == "bfloat16" else dtype  # numpy lacks it; the model casts
    if not group:
        [one] = parts
        return one.astype(of) if of is not None and one.dtype.kind == "f" else one
    return np.stack([part if of is None else part.astype(of) for part in parts], axis=1)


def _numbers(name: str, array: pa.Array) -> npt.NDArray[Any]:
    """Return a column's values; of lists, one more dimension each."""
    if array.null_count:
        raise InvalidArgument(
            f'feature "{name}" has {array.null_count} nulls in a batch of {len(array)} '
            "rows: drop or fill them before transform"
        )
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    if not pa.types.is_list(array.type) and not pa.types.is_large_list(array.type):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    flat = _numbers(name, array.flatten())
    lengths = set(array.value_lengths().to_pylist())
    if len(lengths) > 1:
        raise InvalidArgument(
            f'feature "{name}" has lists of {min(lengths)} to {max(lengths)} values: '
            "expected lists of one length"
        )
    return flat.reshape(len(array), lengths.pop() if lengths else 0, *flat.shape[1:])


def _arrow(values: npt.NDArray[Any]) -> pa.Array:
    """Return values as Spark takes them: lists of float64, int64 or booleans."""
    wide = values.astype({"f": "float64", "b": "bool"}.get(values.dtype.kind, "int64"))
    array = pa.array(np.ascontiguousarray(wide).reshape(-1))
    rows = wide.size
    for size in reversed(wide.shape[1:]):
        rows //= max(size, 1)
        offsets = pa.array(np.arange(rows + 1, dtype="int32") * size)
        array = pa.ListArray.from_arrays(offsets, array)
    return array
