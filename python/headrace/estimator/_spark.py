"""DataFrames: converted to be trained on, and predicted in Spark's tasks through Arrow."""

import contextlib
import functools
import pickle
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import cloudpickle
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.util import MLReader, MLWriter
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sql
from pyspark.sql import types as of_sql
from pyspark.sql.pandas.functions import arrow_udf

from .. import _native, _validate, opening
from ..dataset import Dataset
from ..errors import Conflict, InvalidArgument, NotFound
from ..spark import convert
from ._columns import Columns, parted
from ._model import Output, Predictor, in_batches
from ._saving import Saved
from .options import Store

if TYPE_CHECKING:
    from ._estimator import BaseEstimator
    from ._store import RunStore

__all__ = ["Reader", "Writer", "active_session", "fit", "resolved", "transform"]

# What hr.spark.convert takes.
_CONVERTED = ("float32", "float64")


def fit(estimator: "BaseEstimator", df: DataFrame) -> Any:
    """Convert a DataFrame and train on it."""
    columns = estimator._checked()
    validation = estimator._value("validation")
    taken = (float, str, Dataset, *_frame_types(df))
    if validation is not None and not isinstance(validation, taken):
        raise _validate.rejected(
            "validation",
            validation,
            "a fraction, a column's name, a DataFrame or a Dataset",
        )
    _check_columns(df, [*columns.names, *_column_of(validation)])

    def train(run_id: str, run: "RunStore | None", record: dict[str, Any] | None) -> Any:
        with contextlib.ExitStack() as tables:
            rows = _Rows(estimator, columns, tables)
            if record is None:
                given = rows.converted(df, _column_of(validation))
                held_out: Any = validation
                if isinstance(validation, _frame_types(df)):
                    held_out = rows.converted(cast(DataFrame, validation), [])
            else:
                given, *others = rows.of_record(record, run_id)
                held_out = others[0] if others else validation
            first, second = parted(given, held_out, estimator._value("random_seed"))
            model = estimator._fit_rows(
                columns, first, second, run_id, run, record, data={"tables": rows.tables}
            )
            rows.release()
        return model

    return estimator._once(columns, None, train)


def _frame_types(df: DataFrame) -> tuple[type, ...]:
    return (DataFrame, type(df))


def _column_of(validation: Any) -> list[str]:
    return [validation] if isinstance(validation, str) else []


def _check_columns(df: DataFrame, names: Sequence[str]) -> None:
    missing = sorted(set(names) - set(df.columns))
    if missing:
        raise NotFound(
            f"the DataFrame has no columns {missing}: expected some of {df.columns}"
        )


class _Rows:
    """Converted tables of a run: kept while it may have to go on, released at its end."""

    def __init__(
        self,
        estimator: "BaseEstimator",
        columns: Columns,
        tables: contextlib.ExitStack,
    ) -> None:
        self._estimator = estimator
        self._columns = columns
        self._stack = tables
        store = estimator._value("store")
        self._store = None if store is None else Store.of(store)
        # A run without a name of the user's is not gone on with later.
        self._keep = self._store is not None and estimator._value("run_id") is not None
        self._kept: list[str] = []
        self.tables: list[dict[str, Any]] = []

    @property
    def _storage_options(self) -> dict[str, str]:
        return {} if self._store is None else dict(self._store.storage_options)

    def converted(self, df: DataFrame, more: Sequence[str]) -> Dataset:
        """Return a DataFrame's rows as a table of the store."""
        chosen = df
        if self._estimator._value("transformation_fn") is None:
            names = dict.fromkeys([*self._columns.names, *more])
            chosen = df.select(*(df[_quoted(name)] for name in names))
        dtype = self._estimator._value("loader").dtype
        try:
            converter = convert(
                chosen,
                cache_dir=None if self._store is None else self._store._below("data"),
                dtype=dtype if dtype in _CONVERTED else None,
                keep=self._keep,
                storage_options=self._storage_options,
            )
        except InvalidArgument as error:
            if self._store is None and "cache_dir" in str(error):
                raise InvalidArgument(f"store is None, and {error}") from None
            raise
        self._stack.callback(converter.delete)
        if self._keep:
            self._kept.append(_last(converter.uri))
        self.tables.append({"uri": converter.uri, "version": converter.version})
        return converter.dataset()

    def of_record(self, record: dict[str, Any], run_id: str) -> list[Dataset]:
        """Return the tables that a run was begun with."""
        self.tables = list(record["data"].get("tables", []))
        self._kept = [_last(table["uri"]) for table in self.tables]
        if not self.tables:
            raise Conflict(
                f'run "{run_id}" was begun by fit_table: go on with that, or take another '
                "run_id"
            )
        try:
            return [
                opening.open(
                    table["uri"],
                    version=table["version"],
                    storage_options=self._storage_options,
                )
                for table in self.tables
            ]
        except NotFound as error:
            raise Conflict(
                f'the rows that run "{run_id}" was begun with are gone ({error}): take '
                "another run_id"
            ) from error

    def release(self) -> None:
        """Let the tables go: the run is over."""
        if not self._kept:
            return
        assert self._store is not None
        cache = _native.TableCache.open(self._store._below("data"), self._storage_options)
        self._stack.close()
        for directory in self._kept:
            with contextlib.suppress(Conflict, NotFound):  # others use it
                cache.remove(directory, force=False)


def _last(uri: str) -> str:
    return uri.rstrip("/").rsplit("/", 1)[-1]


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


# -- predictions ------------------------------------------------------------------------


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
    _check_columns(df, columns.features)
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
        *(with_outputs[_quoted(name)] for name in df.columns), *found
    )


def _feature(df: DataFrame, name: str, of: Any, dtype: str | None) -> Column:
    """Return a column as the UDF takes it: a vector as an array, a null one as null."""
    column = df[_quoted(name)]
    if isinstance(of, VectorUDT):
        to = dtype if dtype in _CONVERTED else "float64"
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


# -- saved and loaded by Spark ML -------------------------------------------------------


class Writer(MLWriter):
    """Saves a stage of a pipeline."""

    def __init__(self, stage: Saved) -> None:
        super().__init__()
        self._stage = stage

    def save(self, path: str) -> None:
        """Save to a path, as Hadoop would take it."""
        self._stage.save(path, overwrite=self.shouldOverwrite)


class Reader(MLReader[Any]):
    """Loads a stage of a pipeline."""

    def __init__(self, of: type[Saved]) -> None:
        super().__init__()
        self._of = of

    def load(self, path: str) -> Any:
        """Load from a path, as Hadoop would take it."""
        return self._of.load(path)


def active_session() -> SparkSession:
    """Return the session in which a stage is loaded."""
    session = SparkSession.getActiveSession()
    if session is None:
        raise InvalidArgument(
            "the estimator was saved with an engine, and no Spark session is active: start "
            "one, and load again"
        )
    return session


def resolved(path: str) -> str:
    """Return a path without a scheme as Hadoop has it: on its default filesystem."""
    if path.startswith("file:/"):
        return "/" + path.removeprefix("file:").lstrip("/")
    session = SparkSession.getActiveSession()
    if "://" in path or not hasattr(session, "_jsc"):
        return path
    assert session is not None
    default = str(session._jsc.hadoopConfiguration().get("fs.defaultFS") or "file:///")
    if default.startswith("file:"):
        return path
    if not path.startswith("/"):
        raise InvalidArgument(
            f'path is "{path}" and the default filesystem {default}: expected an absolute '
            "path, or a URI"
        )
    return default.rstrip("/") + path
