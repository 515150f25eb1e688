"""Schemas: what the values of a table's columns are, and how they are stored."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from . import _native, _validate
from .errors import InvalidArgument

__all__ = ["Field", "Schema"]

_NativeField = tuple[str, str, list[int | None], str, int | None, bool]


@dataclass(frozen=True, slots=True, repr=False)
class Field:
    """One column: scalars, or tensors that a field codec stores as bytes.

    Parameters
    ----------
    name : str
        The column's name.
    dtype : str
        "bool", "int8" to "int64", "uint8" to "uint64", "float16", "bfloat16", "float32",
        "float64"; of scalars also "string" and "binary".
    shape : tuple of int or None, optional
        Of one value: () for scalars, None for a dimension that varies.
    codec : str, optional
        "raw", "npy", "npz", "zstd", "jpeg", "png", "webp", or "arrow": as Arrow's own type,
        a scalar, a list or a tensor. If not given: "arrow" for scalars, "raw" for tensors
        of which at most one dimension varies, else "npy".
    quality : int, optional
        Of "jpeg" and "webp": 1 to 100; 90 if not given.
    nullable : bool, optional
        Whether a value may be missing; True if not given.

    Raises
    ------
    InvalidArgument
        A dtype or codec is not known, or the codec cannot hold dtype and shape.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.Field("embedding", "float32", (128,))
    Field("embedding", "float32", (128,), codec="raw")
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] = ()
    codec: str | None = field(default=None, kw_only=True)
    quality: int | None = field(default=None, kw_only=True)
    nullable: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        """Check, and fill in what was left open."""
        whole = _native.Schema.make([self._given()]).fields()[0]
        for name, value in zip(
            ("shape", "codec", "quality"), (tuple(whole[2]), *whole[3:5]), strict=True
        ):
            object.__setattr__(self, name, value)

    def _given(self) -> _NativeField:
        _validate.text("name", self.name, "a column name")
        _validate.text("dtype", self.dtype, 'a dtype such as "float32"')
        if isinstance(self.shape, str | bytes) or not isinstance(self.shape, Iterable):
            raise _validate.rejected("shape", self.shape, "a tuple of integers or None")
        shape = [
            None if size is None else _validate.integer(f"shape[{i}]", size, 0)
            for i, size in enumerate(self.shape)
        ]
        if self.codec is not None:
            _validate.text("codec", self.codec, 'a codec such as "npy"')
        quality = self.quality
        if quality is not None:
            quality = _validate.integer("quality", quality, 1, 100)
        nullable = _validate.boolean("nullable", self.nullable)
        return (self.name, self.dtype, shape, self.codec or "", quality, nullable)

    def __repr__(self) -> str:
        return _native.Schema.make([self._given()]).show(0)


class Schema(Sequence[Field]):
    """The fields of a table, in order. Immutable; thread-safe; pickles as JSON.

    Parameters
    ----------
    fields : list of Field
        Names differ.

    Raises
    ------
    InvalidArgument
        Two fields have one name.

    Examples
    --------
    >>> import headrace as hr
    >>> schema = hr.Schema([hr.Field("x", "float32", (3,)), hr.Field("label", "int64")])
    >>> schema["x"].shape
    (3,)
    """

    __slots__ = ("_fields", "_native")

    def __init__(self, fields: Iterable[Field]) -> None:
        given = list(fields)
        for i, one in enumerate(given):
            if not isinstance(one, Field):
                raise _validate.rejected(f"fields[{i}]", one, "a headrace.Field")
        self._native = _native.Schema.make([one._given() for one in given])
        self._fields = tuple(given)

    @classmethod
    def from_arrow(cls, schema: Any) -> "Schema":
        """Return the fields of an Arrow schema: by their metadata, else by their types.

        Parameters
        ----------
        schema : pyarrow.Schema
            Or another object with `__arrow_c_schema__`, a `Dataset` among them.

        Returns
        -------
        Schema
            Without the columns that no tensor holds and that are no strings or bytes.

        Raises
        ------
        Corrupt, Unsupported
            The metadata are no field's, or of a later format.
        """
        if not hasattr(schema, "__arrow_c_schema__"):
            raise _validate.rejected("schema", schema, "a pyarrow.Schema")
        return cls._of(_native.Schema.from_arrow(schema))

    @classmethod
    def from_json(cls, text: str) -> "Schema":
        """Return the schema that `to_json` described (docs/format/schema.md).

        Parameters
        ----------
        text : str
            JSON.

        Returns
        -------
        Schema
            Equal to the one described.

        Raises
        ------
        InvalidArgument, Unsupported
            The text is no schema's JSON, or is of a later format.
        """
        return cls._of(_native.Schema.from_json(_validate.text("text", text)))

    @classmethod
    def _of(cls, native: _native.Schema) -> "Schema":
        return cls(
            Field(name, dtype, tuple(shape), codec=codec, quality=quality, nullable=null)
            for name, dtype, shape, codec, quality, null in native.fields()
        )

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields, in order."""
        return self._fields

    def to_json(self) -> str:
        """Return the schema as JSON (docs/format/schema.md).

        Returns
        -------
        str
            What `from_json` takes.
        """
        return self._native.to_json()

    def to_arrow(self) -> pa.Schema:
        """Return how the fields are stored, with the metadata that says so.

        Returns
        -------
        pyarrow.Schema
            What a table has to have for `open` to know the fields.
        """
        return pa.schema(self._native)

    def encode(
        self, columns: Mapping[str, Sequence[Any]], *, num_threads: int = 2
    ) -> pa.Table:
        """Encode values by the codecs of their fields.

        Parameters
        ----------
        columns : dict of str to sequence
            A sequence of values for each field: numpy arrays (or what `numpy.asarray` takes)
            of its dtype and shape, or scalars; None for a null. All of one length.
        num_threads : int, optional
            Threads that encode, without the GIL; 2 if not given.

        Returns
        -------
        pyarrow.Table
            With `to_arrow()` as its schema, to be written as Parquet.

        Raises
        ------
        InvalidArgument
            A column is missing, unknown or of another length; or a value is not of its
            field's dtype or shape, or null where it may not be: the message names field and
            row.

        Examples
        --------
        >>> import headrace as hr
        >>> import numpy as np
        >>> schema = hr.Schema([hr.Field("x", "float32", (3,))])
        >>> schema.encode({"x": np.zeros((2, 3), "float32")}).num_rows
        2
        """
        given = _validate.mapping("columns", columns, "a dict of column to values")
        threads = _validate.integer("num_threads", num_threads, 1, 2**31 - 1)
        unknown = [name for name in given if name not in self._names()]
        missing = [name for name in self._names() if name not in given]
        if unknown or missing:
            raise InvalidArgument(
                f"columns are {list(given)}: expected {list(self._names())}, the schema's "
                "fields"
            )
        lengths = {name: len(values) for name, values in given.items()}
        if len(set(lengths.values())) > 1:
            raise InvalidArgument(
                f"columns have lengths {lengths}: expected one for all, as many as rows"
            )
        arrow = self.to_arrow()
        return pa.Table.from_arrays(
            [self._column(one, given[one.name], arrow, threads) for one in self],
            schema=arrow,
        )

    def _names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self)

    def _column(
        self, one: Field, values: Sequence[Any], arrow: pa.Schema, num_threads: int
    ) -> pa.ChunkedArray:
        stored = arrow.field(one.name).type
        if one.codec != "arrow":
            cells = self._native.encode(
                one.name, [_element_bytes(value) for value in values], num_threads
            )
            return pa.chunked_array([pa.array(cell) for cell in cells], stored)
        listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
        plain = [
            value.tolist() if hasattr(value, "tolist") else value for value in listed
        ]
        try:
            return pa.chunked_array([_arrow_array(plain, stored)])
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise InvalidArgument(
                f"field {one.name} must be {stored}, found other values: {error}"
            ) from None

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return self._fields[key]
        for one in self._fields:
            if one.name == key:
                return one
        raise KeyError(key)

    def __len__(self) -> int:
        return len(self._fields)

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self._fields == other._fields

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        return str(self._native)

    def __arrow_c_schema__(self) -> object:
        return self._native.__arrow_c_schema__()

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Schema.from_json, (self.to_json(),)


def _element_bytes(
    value: Any,
) -> tuple[str, list[int], np.ndarray[Any, np.dtype[np.uint8]]] | None:
    """Return a value's dtype, shape and elements in C order, of this machine's byte order."""
    if value is None:
        return None
    array = np.asarray(value, order="C")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return (
        array.dtype.name,
        list(array.shape),
        np.frombuffer(array.data.cast("B") if array.size else b"", np.uint8)
        if array.dtype.isbuiltin == 1
        else np.frombuffer(array.tobytes(), np.uint8),
    )


def _arrow_array(values: list[Any], stored: pa.DataType) -> pa.Array:
    """Return values as an array of a type, a tensor's among them."""
    if not isinstance(stored, pa.FixedShapeTensorType):
        return pa.array(values, stored)
    flat = [None if v is None else np.ravel(np.asarray(v)).tolist() for v in values]
    return pa.ExtensionArray.from_storage(stored, pa.array(flat, stored.storage_type))
