"""Rows of NumPy values, checked and encoded for Spark."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Row
from pyspark.sql import types as spark_types

from .. import _validate
from ..errors import InvalidArgument
from ..schema import Field, Schema
from ._types import spark_field

__all__ = ["Rows", "rows"]


class Rows:
    """Makes Spark rows of dicts of values; as `rows` returns it.

    It pickles, for use in tasks. Thread-safety: immutable.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._fields = {field.name: field for field in schema}
        self._row = Row(*self._fields)

    @property
    def schema(self) -> Schema:
        """The fields that values are checked against."""
        return self._schema

    @property
    def spark_schema(self) -> spark_types.StructType:
        """What `spark.createDataFrame` takes: binary columns where a codec encodes."""
        arrow = pa.schema(self._schema)
        return spark_types.StructType(
            [
                spark_field(field)
                if self._fields[field.name].codec == "arrow"
                else spark_types.StructField(
                    field.name, spark_types.BinaryType(), field.nullable
                )
                for field in arrow
            ]
        )

    def __call__(self, values: Mapping[str, Any]) -> Row:
        """Return a row.

        Parameters
        ----------
        values : dict of str to object
            A value a field: arrays of the field's dtype and shape, or scalars. Nullable
            fields may be left out.

        Raises
        ------
        InvalidArgument
            A field is missing that has no nulls, there is a value of no field, or a value
            is not of its field's dtype or shape.
        """
        unknown = [name for name in values if name not in self._fields]
        if unknown:
            raise InvalidArgument(
                f"the row has values of {unknown}, which are no fields: expected some of "
                f"{list(self._fields)}"
            )
        return self._row(
            *(self._cell(field, values.get(name)) for name, field in self._fields.items())
        )

    def _cell(self, field: Field, value: Any) -> Any:
        if value is None:
            if field.nullable:
                return None
            raise InvalidArgument(
                f'field "{field.name}" has no value, and is not nullable: give one'
            )
        if field.codec == "arrow" and not field.shape:
            return _scalar(field, value)
        encoded = Schema([field]).encode({field.name: [value]})
        return encoded.column(0)[0].as_py()

    def __reduce__(self) -> tuple[Any, ...]:
        return Rows, (self._schema,)


def rows(schema: Schema) -> Rows:
    """Return what makes Spark rows of dicts of NumPy values, checked against a schema.

    Parameters
    ----------
    schema : Schema
        The fields of a row; tensors and images are encoded by their codecs.

    Returns
    -------
    Rows
        Call it with a dict; `rows(schema).spark_schema` is what `createDataFrame` needs.

    Examples
    --------
    >>> import headrace as hr
    >>> schema = hr.Schema([hr.Field("image", "uint8", (None, None, 3), codec="png")])
    >>> as_row = hr.spark.rows(schema)  # doctest: +SKIP
    >>> rdd = spark.sparkContext.parallelize(range(10)).map(  # doctest: +SKIP
    ...     lambda i: as_row({"image": picture(i)})
    ... )
    >>> df = spark.createDataFrame(rdd, as_row.spark_schema)  # doctest: +SKIP
    >>> hr.spark.write(df, "lake/pictures", schema=schema)  # doctest: +SKIP
    """
    if not isinstance(schema, Schema):
        raise _validate.rejected("schema", schema, "a headrace.Schema")
    return Rows(schema)


def _scalar(field: Field, value: Any) -> Any:
    """Return a number, a text or bytes as Python has them."""
    found = value.item() if isinstance(value, np.generic) else value
    kinds = {"string": str, "binary": bytes, "bool": bool}
    expected = kinds.get(field.dtype)
    if expected is None:
        dtype = np.dtype(field.dtype)
        kind = (int, float) if dtype.kind == "f" else int
        fits = isinstance(found, kind) and not isinstance(found, bool)
        if fits and dtype.kind in "iu":
            fits = np.iinfo(dtype).min <= found <= np.iinfo(dtype).max
        if fits:
            return float(found) if dtype.kind == "f" else found
    elif isinstance(found, expected):
        return found
    raise InvalidArgument(
        f'field "{field.name}" is given as {value!r}, expected a value of {field.dtype}'
    )
