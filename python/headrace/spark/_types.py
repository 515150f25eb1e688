"""Arrow's types as Spark has them, and batches of ours as batches that Spark takes."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import types as spark_types

from ..errors import Unsupported

__all__ = ["spark_field", "spark_schema", "to_spark"]

_WIDER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
}
_SIMPLE: dict[pa.DataType, spark_types.DataType] = {
    pa.bool_(): spark_types.BooleanType(),
    pa.int8(): spark_types.ByteType(),
    pa.int16(): spark_types.ShortType(),
    pa.int32(): spark_types.IntegerType(),
    pa.int64(): spark_types.LongType(),
    pa.float32(): spark_types.FloatType(),
    pa.float64(): spark_types.DoubleType(),
    pa.string(): spark_types.StringType(),
    pa.binary(): spark_types.BinaryType(),
    pa.date32(): spark_types.DateType(),
}


def spark_schema(schema: pa.Schema) -> spark_types.StructType:
    """Return the Spark schema of a dataset's, as `to_arrow(decode=True)` has it.

    Raises
    ------
    Unsupported
        A column of a type that Spark lacks; the message names it.
    """
    return spark_types.StructType([spark_field(field) for field in schema])


def spark_field(field: pa.Field) -> spark_types.StructField:
    """Return a column as Spark has it."""
    kind, _ = _types_of(field.type, field.name)
    return spark_types.StructField(field.name, kind, field.nullable)


def to_spark(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch, of which tensors are nested lists, in the types of `spark_schema`."""
    columns: list[pa.Array] = []
    fields: list[pa.Field] = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        _, arrow = _types_of(field.type, field.name)
        found = _lists(column) if isinstance(field.type, pa.BaseExtensionType) else column
        columns.append(found if found.type == arrow else found.cast(arrow))
        fields.append(pa.field(field.name, arrow, field.nullable))
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _types_of(given: pa.DataType, name: str) -> tuple[spark_types.DataType, pa.DataType]:
    """Return a type as Spark has it, and as Spark takes it from Arrow."""
    if isinstance(given, pa.FixedShapeTensorType):
        return _nested(given.value_type, len(given.shape), name)
    if isinstance(given, pa.BaseExtensionType):
        if given.extension_name == "arrow.variable_shape_tensor":
            storage = given.storage_type
            rank = storage.field("shape").type.list_size
            return _nested(storage.field("data").type.value_type, rank, name)
        return _types_of(given.storage_type, name)
    arrow = _WIDER.get(given, given)
    if arrow in _SIMPLE:
        return _SIMPLE[arrow], arrow
    if pa.types.is_dictionary(arrow):
        return _types_of(arrow.value_type, name)
    if pa.types.is_decimal(arrow) and arrow.precision <= 38:
        decimal = spark_types.DecimalType(arrow.precision, arrow.scale)
        return decimal, pa.decimal128(arrow.precision, arrow.scale)
    if pa.types.is_timestamp(arrow):
        if arrow.tz is None:
            return spark_types.TimestampNTZType(), pa.timestamp("us")
        return spark_types.TimestampType(), pa.timestamp("us", "UTC")
    if _is_list(arrow):
        element, stored = _types_of(arrow.value_type, f"{name}.element")
        nullable = arrow.value_field.nullable
        return (
            spark_types.ArrayType(element, nullable),
            pa.list_(pa.field("element", stored, nullable)),
        )
    if pa.types.is_struct(arrow):
        parts = [_types_of(part.type, f"{name}.{part.name}") for part in arrow]
        fields = list(zip(arrow, parts, strict=True))
        return (
            spark_types.StructType(
                [spark_types.StructField(f.name, p[0], f.nullable) for f, p in fields]
            ),
            pa.struct([pa.field(f.name, p[1], f.nullable) for f, p in fields]),
        )
    if pa.types.is_map(arrow):
        key, stored_key = _types_of(arrow.key_type, f"{name}.key")
        item, stored_item = _types_of(arrow.item_type, f"{name}.value")
        return spark_types.MapType(key, item), pa.map_(stored_key, stored_item)
    raise Unsupported(
        f'column "{name}" is {given}, which Spark has no type for: leave it out by the '
        "option columns, or cast it when the table is written"
    )


def _is_list(arrow: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(arrow)
        or pa.types.is_large_list(arrow)
        or pa.types.is_fixed_size_list(arrow)
    )


def _nested(
    values: pa.DataType, rank: int, name: str
) -> tuple[spark_types.DataType, pa.DataType]:
    kind, arrow = _types_of(values, name)
    for _ in range(rank):
        kind = spark_types.ArrayType(kind, containsNull=False)
        arrow = pa.list_(pa.field("element", arrow, nullable=False))
    return kind, arrow


def _lists(column: pa.ExtensionArray) -> pa.Array:
    """Return tensors as lists of lists; the outermost keeps the nulls."""
    if isinstance(column.type, pa.FixedShapeTensorType):
        # The values of nulls are left out.
        values = column.drop_null().storage.flatten()
        present = column.is_valid().to_numpy(zero_copy_only=False)
        return _fold(values, column.type.shape, present)
    storage = column.storage
    return _ragged(storage.field("data"), storage.field("shape"), column)


def _fold(values: pa.Array, shape: Sequence[int], present: np.ndarray) -> pa.Array:
    """Return flat values of equal shapes as nested lists, with empty places for nulls."""
    cells = int(np.count_nonzero(present))
    for depth in range(len(shape) - 1, 0, -1):
        lists = cells * int(np.prod(shape[:depth], dtype=np.int64))
        values = _list(values, np.arange(lists + 1, dtype=np.int64) * shape[depth])
    rows = np.where(present, shape[0], 0)
    return _list(values, np.concatenate([[0], np.cumsum(rows)]), ~present)


def _ragged(data: pa.Array, shapes: pa.Array, column: pa.Array) -> pa.Array:
    rank = shapes.type.list_size
    values = data.flatten()  # of null cells there are none
    present = column.is_valid().to_numpy(zero_copy_only=False)
    sizes = np.zeros((len(column), rank), np.int64)
    if present.any():
        flat = shapes.filter(column.is_valid()).flatten()
        sizes[present] = flat.to_numpy(zero_copy_only=False).reshape(-1, rank)
    for depth in range(rank - 1, 0, -1):
        lists = np.prod(sizes[:, :depth], axis=1, dtype=np.int64)
        lengths = np.repeat(sizes[:, depth], lists)
        values = _list(values, np.concatenate([[0], np.cumsum(lengths)]))
    return _list(values, np.concatenate([[0], np.cumsum(sizes[:, 0])]), ~present)


def _list(
    values: pa.Array, offsets: np.ndarray, absent: np.ndarray | None = None
) -> pa.Array:
    mask = pa.array(absent) if absent is not None and absent.any() else None
    return pa.ListArray.from_arrays(
        pa.array(offsets.astype(np.int32)),
        values,
        type=pa.list_(pa.field("element", values.type, nullable=False)),
        mask=mask,
    )
