"""What becomes of Spark's columns in a table: their types, and their batches."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import types as spark_types

from .. import _validate
from ..errors import InvalidArgument, NotFound, Unsupported
from ..schema import Field, Schema
from ._vectors import dense_lists, vector_size

__all__ = ["FLOATS", "StoredColumns", "quoted"]

#: What floats may become.
FLOATS = {"float32": pa.float32(), "float64": pa.float64()}
_SIMPLE: list[tuple[type[spark_types.DataType], pa.DataType]] = [
    (spark_types.BooleanType, pa.bool_()),
    (spark_types.ByteType, pa.int8()),
    (spark_types.ShortType, pa.int16()),
    (spark_types.IntegerType, pa.int32()),
    (spark_types.LongType, pa.int64()),
    (spark_types.FloatType, pa.float32()),
    (spark_types.DoubleType, pa.float64()),
    (spark_types.StringType, pa.string()),
    (spark_types.CharType, pa.string()),
    (spark_types.VarcharType, pa.string()),
    (spark_types.BinaryType, pa.binary()),
    (spark_types.DateType, pa.date32()),
    (spark_types.TimestampType, pa.timestamp("us", "UTC")),
    (spark_types.TimestampNTZType, pa.timestamp("us")),
]
# By the name of the type.
_REMEDIES = {
    "void": "cast it to the type that it is to have",
    "daytimeinterval": "cast it to decimal(18, 6), which counts its smallest unit",
    "yearmonthinterval": "cast it to int, which counts its smallest unit",
    "interval": "take the parts that are needed out of it, by extract",
    "time": "cast it to string",
    "variant": "take the parts that are needed out of it, by variant_get",
    "matrixudt": "make it array<double>, row by row, by "
    'udf(lambda m: m.toArray().ravel().tolist(), "array<double>"), '
    "and a tensor of that, by a field of schema",
}


@dataclass
class StoredColumns:
    """How a DataFrame's columns are stored. It pickles, for use in tasks.

    Attributes
    ----------
    arrow_schema : pa.Schema
        Of the batches that `convert` returns.
    schema : Schema or None
        Fields of columns that a codec encodes, or that are declared.
    """

    arrow_schema: pa.Schema
    schema: Schema | None
    _dense: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        spark_schema: spark_types.StructType,
        *,
        dtype: str | None = None,
        schema: Schema | None = None,
        vectors: str = "dense",
    ) -> "StoredColumns":
        """Plan the columns of a DataFrame.

        Parameters
        ----------
        spark_schema : pyspark.sql.types.StructType
            The DataFrame's.
        dtype : str, optional
            What columns of floating-point numbers become: "float32" or "float64".
        schema : Schema, optional
            Fields of columns: how these are stored.
        vectors : str, optional
            "dense": Spark ML vectors become tensors of one dimension; "sparse": they stay
            what they are.

        Raises
        ------
        InvalidArgument
            An argument is not as above, or a name occurs twice.
        NotFound
            A field of no column.
        Unsupported
            A column of a type that cannot be stored; the message names it.
        """
        if dtype is not None and dtype not in FLOATS:
            raise _validate.rejected("dtype", dtype, "float32, float64 or None")
        if vectors not in ("dense", "sparse"):
            raise _validate.rejected("vectors", vectors, "dense or sparse")
        if schema is not None and not isinstance(schema, Schema):
            raise _validate.rejected("schema", schema, "a headrace.Schema")
        names = spark_schema.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InvalidArgument(
                f"the DataFrame has several columns named {twice}: rename them, by alias"
            )
        declared = {one.name: one for one in schema or ()}
        unknown = [name for name in declared if name not in names]
        if unknown:
            raise NotFound(
                f"the schema has fields {unknown}, which the DataFrame has no columns of: "
                f"it has {names}"
            )
        floats = FLOATS.get(dtype or "")
        fields: list[pa.Field] = []
        dense: list[str] = []
        for column in spark_schema:
            if _is_vector(column.dataType) and vectors == "dense":
                one = declared.get(column.name) or Field(
                    column.name,
                    dtype or "float64",
                    (vector_size(column.metadata),),
                    nullable=column.nullable,
                )
                declared[column.name] = one
                dense.append(column.name)
                stored: pa.DataType = pa.list_(FLOATS.get(one.dtype, pa.float64()))
            else:
                stored = _arrow_type(column.dataType, floats, column.name)
                if column.name in declared:
                    stored = _as_declared(stored, declared[column.name])
            fields.append(pa.field(column.name, stored, column.nullable))
        return cls(
            pa.schema(fields),
            Schema(list(declared.values())) if declared else None,
            dense,
        )

    def convert(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return a batch that Spark hands over, as it is to be written.

        Raises
        ------
        InvalidArgument
            A value does not fit the type that is declared; the message names the column.
        """
        arrays = []
        for column, wanted in zip(batch.columns, self.arrow_schema, strict=True):
            found = dense_lists(column) if wanted.name in self._dense else column
            try:
                arrays.append(_cast(found, wanted.type))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise InvalidArgument(
                    f'column "{wanted.name}" cannot be stored as {wanted.type}: {error}'
                ) from None
        return pa.RecordBatch.from_arrays(arrays, schema=self.arrow_schema)


def quoted(name: str) -> str:
    """Return a column's name as Spark takes it, whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def _is_vector(kind: spark_types.DataType) -> bool:
    return kind.typeName() == "vectorudt"


def _arrow_type(
    kind: spark_types.DataType, floats: pa.DataType | None, name: str
) -> pa.DataType:
    """Return how a type is stored."""
    for known, arrow in _SIMPLE:
        if type(kind) is known:
            return floats if floats is not None and pa.types.is_floating(arrow) else arrow
    if isinstance(kind, spark_types.DecimalType):
        return pa.decimal128(kind.precision, kind.scale)
    if isinstance(kind, spark_types.ArrayType):
        element = _arrow_type(kind.elementType, floats, f"{name}.element")
        return pa.list_(pa.field("element", element, kind.containsNull))
    if isinstance(kind, spark_types.StructType):
        # Spark fills rows that are null as a whole with nulls, also in fields without.
        return pa.struct(
            [
                pa.field(
                    one.name, _arrow_type(one.dataType, floats, f"{name}.{one.name}")
                )
                for one in kind
            ]
        )
    if isinstance(kind, spark_types.MapType):
        item = _arrow_type(kind.valueType, floats, f"{name}.value")
        return pa.map_(
            _arrow_type(kind.keyType, floats, f"{name}.key"),
            pa.field("value", item, kind.valueContainsNull),
        )
    if _is_vector(kind):
        return _arrow_type(kind.sqlType(), None, name)  # type: ignore[attr-defined]
    remedy = _REMEDIES.get(
        kind.typeName(), "cast it to a type of Spark's own, or leave it out"
    )
    raise Unsupported(
        f'column "{name}" is {kind.simpleString()}, which no table holds: {remedy}'
    )


def _as_declared(stored: pa.DataType, declared: Field) -> pa.DataType:
    """Return the type of what the writer is given for a declared field."""
    if pa.types.is_binary(stored) or declared.dtype in ("string", "binary", "bfloat16"):
        return stored
    element = pa.from_numpy_dtype(np.dtype(declared.dtype))
    depth, leaf = 0, stored
    while pa.types.is_list(leaf):
        depth, leaf = depth + 1, leaf.value_type
    if depth != len(declared.shape) or not _is_number(leaf):
        return stored  # the writer says what is wrong with it
    for _ in range(depth):
        element = pa.list_(element)
    return element


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
    )


def _cast(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Return an array as another type; nested ones part by part.

    Arrow's own cast refuses structs with nulls whose fields are said to have none, which is
    how Spark hands over what is null as a whole.
    """
    if array.type == wanted:
        return array
    if pa.types.is_struct(wanted):
        fields = [_cast(array.field(i), one.type) for i, one in enumerate(wanted)]
        return pa.StructArray.from_arrays(fields, fields=list(wanted), mask=_nulls(array))
    if pa.types.is_list(wanted):
        return _rebuilt(
            array,
            lambda whole: pa.ListArray.from_arrays(
                whole.offsets,
                _cast(whole.values, wanted.value_type),
                type=wanted,
                mask=_nulls(whole),
            ),
        )
    if pa.types.is_map(wanted):
        return _rebuilt(
            array,
            lambda whole: pa.MapArray.from_arrays(
                whole.offsets,
                _cast(whole.keys, wanted.key_type),
                _cast(whole.items, wanted.item_type),
                type=wanted,
                mask=_nulls(whole),
            ),
        )
    return array.cast(wanted, safe=not pa.types.is_floating(wanted))


def _rebuilt(array: pa.Array, make: Callable[[Any], pa.Array]) -> pa.Array:
    # Offsets of a part of an array cannot be given together with its nulls.
    return make(array.take(pa.array(np.arange(len(array)))) if array.offset else array)


def _nulls(array: pa.Array) -> pa.Array | None:
    return array.is_null() if array.null_count else None
