"""Petastorm's Spark converter, on Headrace's."""

import contextlib
import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import InvalidArgument
from ...spark import Converter, convert
from ._batches import Batches
from ._transform import TransformSpec

if TYPE_CHECKING:
    import tensorflow as tf
    import torch
    from pyspark.sql import DataFrame

__all__ = ["SparkDatasetConverter", "make_spark_converter"]

_CODECS = {
    None: "none",
    "uncompressed": "none",
    "snappy": "snappy",
    "gzip": "gzip",
    "lz4": "lz4",
    "zstd": "zstd",
}
# Arguments of Petastorm's readers that say how, not what: all of it is the loader's.
_HOW = {
    "reader_pool_type",
    "results_queue_size",
    "hdfs_driver",
    "cache_type",
    "cache_location",
    "cache_size_limit",
    "cache_row_size_estimate",
    "cache_extra_settings",
    "storage_options",
    "zmq_copy_buffers",
}


def make_spark_converter(
    df: "DataFrame",
    parquet_row_group_size_bytes: int = 32 << 20,
    compression_codec: str | None = None,
    dtype: str | None = "float32",
) -> "SparkDatasetConverter":
    """Convert a DataFrame, as Petastorm does; see `headrace.spark.convert`.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
        What is to be read.
    parquet_row_group_size_bytes : int, optional
        Bytes of a row group, 32 MiB if not given.
    compression_codec : str, optional
        "snappy", "gzip", "lz4" or "zstd"; uncompressed if not given.
    dtype : str, optional
        "float32" (the default), "float64", or None: what floating-point columns become.

    Raises
    ------
    ValueError
        No cache directory is configured, or an argument is not as above.
    """
    codec = compression_codec.lower() if compression_codec else None
    if codec not in _CODECS:
        raise InvalidArgument(
            f'compression_codec is "{compression_codec}", expected one of '
            f"{', '.join(str(name) for name in _CODECS if name)} or None"
        )
    return SparkDatasetConverter(
        convert(
            df,
            row_group_bytes=parquet_row_group_size_bytes,
            compression=_CODECS[codec],
            dtype=dtype,
        )
    )


class SparkDatasetConverter:
    """A converted DataFrame with Petastorm's methods; what `make_spark_converter` returns."""

    PARENT_CACHE_DIR_URL_CONF = "petastorm.spark.converter.parentCacheDirUrl"

    def __init__(self, converter: Converter) -> None:
        self._converter = converter

    @property
    def cache_dir_url(self) -> str:
        """Where the table is."""
        return self._converter.uri

    @property
    def dataset_size(self) -> int:
        """Rows."""
        return len(self._converter)

    def __len__(self) -> int:
        return len(self._converter)

    def delete(self) -> None:
        """Delete the table."""
        self._converter.delete()

    def make_tf_dataset(
        self,
        batch_size: int | None = None,
        prefetch: int | None = None,
        num_epochs: int | None = None,
        workers_count: int | None = None,
        shuffling_queue_capacity: int | None = None,
        **petastorm_reader_kwargs: Any,
    ) -> "contextlib.AbstractContextManager[tf.data.Dataset]":
        """Return a context manager that gives a `tf.data.Dataset` of named tuples.

        Parameters
        ----------
        batch_size : int, optional
            Rows of a batch, 32 if not given.
        prefetch : int, optional
            Batches that TensorFlow keeps ready; as many as it likes if not given.
        num_epochs : int, optional
            Passes over the rows; without end if not given.
        workers_count : int, optional
            Threads that run the transform function; 4 if not given.
        shuffling_queue_capacity : int, optional
            Rows that are shuffled together; what `headrace.Dataset.loader` has if not given.
        **petastorm_reader_kwargs : object
            `transform_spec`, `schema_fields`, `cur_shard` and `shard_count`,
            `shuffle_row_groups`, `seed`. Those that say how a reader works are accepted, and
            change nothing.
        """
        return _tf_dataset(
            self._batches(
                batch_size,
                num_epochs,
                workers_count,
                shuffling_queue_capacity,
                petastorm_reader_kwargs,
            ),
            prefetch,
        )

    def make_torch_dataloader(
        self,
        batch_size: int = 32,
        num_epochs: int | None = None,
        workers_count: int | None = None,
        shuffling_queue_capacity: int | None = 0,
        **petastorm_reader_kwargs: Any,
    ) -> "contextlib.AbstractContextManager[Iterable[dict[str, Any]]]":
        """Return a context manager that gives an iterable of dicts of tensors.

        Parameters
        ----------
        batch_size : int, optional
            Rows of a batch, 32 if not given.
        num_epochs : int, optional
            Passes over the rows; without end if not given.
        workers_count : int, optional
            Threads that run the transform function; 4 if not given.
        shuffling_queue_capacity : int, optional
            As for `make_tf_dataset`.
        **petastorm_reader_kwargs : object
            As for `make_tf_dataset`.
        """
        return _torch_batches(
            self._batches(
                batch_size,
                num_epochs,
                workers_count,
                shuffling_queue_capacity,
                petastorm_reader_kwargs,
            )
        )

    def _batches(
        self,
        batch_size: int | None,
        num_epochs: int | None,
        workers_count: int | None,
        shuffling_queue_capacity: int | None,
        reader: dict[str, Any],
    ) -> Callable[[], Batches]:
        given = dict(reader)
        spec = given.pop("transform_spec", None) or TransformSpec()
        fields = given.pop("schema_fields", None)
        options: dict[str, Any] = {"shuffle": given.pop("shuffle_row_groups", True)}
        for theirs, ours in (
            ("cur_shard", "rank"),
            ("shard_count", "world_size"),
            ("seed", "seed"),
        ):
            if given.get(theirs) is not None:
                options[ours] = given[theirs]
            given.pop(theirs, None)
        if shuffling_queue_capacity:
            options["shuffle_window_rows"] = shuffling_queue_capacity
        unknown = sorted(set(given) - _HOW)
        if unknown:
            raise TypeError(
                f"{unknown} are no arguments that Headrace has a meaning for: leave them "
                "out, or use converter.dataset() of headrace.spark.convert"
            )

        def opened() -> Batches:
            dataset = self._converter.dataset()
            if fields is not None:
                dataset = dataset.select(*_matching(fields, dataset.schema.names))
            return Batches(
                dataset,
                spec,
                batch_size=batch_size or 32,
                num_epochs=num_epochs,
                workers=workers_count or 4,
                options=options,
            )

        return opened

    def __repr__(self) -> str:
        return f"SparkDatasetConverter({self._converter!r})"


def _matching(patterns: Sequence[str], names: Iterable[str]) -> list[str]:
    """Return the names that one of the regular expressions matches as a whole."""
    return [
        name for name in names if any(re.fullmatch(pattern, name) for pattern in patterns)
    ]


@contextlib.contextmanager
def _tf_dataset(
    opened: Callable[[], Batches], prefetch: int | None
) -> "Iterator[tf.data.Dataset]":
    import tensorflow as tf

    with opened() as batches:
        first = batches.first()
        row = namedtuple("row", batches.names)  # type: ignore[misc]
        columns = {} if first is None else {n: _for_tf(first[n]) for n in batches.names}
        signature = row(
            *(
                tf.TensorSpec(
                    (None, *columns[name].shape[1:]) if columns else None,
                    columns[name].dtype if columns else tf.float32,
                )
                for name in batches.names
            )
        )

        def rows() -> Iterator[Any]:
            for batch in batches:
                yield row(*(_for_tf(batch[name]) for name in batches.names))

        made = tf.data.Dataset.from_generator(rows, output_signature=signature)
        yield made.prefetch(tf.data.AUTOTUNE if prefetch is None else prefetch)


@contextlib.contextmanager
def _torch_batches(opened: Callable[[], Batches]) -> "Iterator[_TorchBatches]":
    with opened() as batches:
        yield _TorchBatches(batches)


class _TorchBatches:
    """An iterable of dicts of tensors; text comes as lists."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._batches:
            yield {name: _for_torch(name, values) for name, values in batch.items()}


def _for_tf(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array as TensorFlow has a type for it, as Petastorm does."""
    if values.dtype.kind == "M":
        return values.astype("datetime64[ns]").astype(np.int64)
    if values.dtype.kind in "OU":
        return np.asarray([_text(value) for value in values], dtype=object)
    return _promoted(values)


def _for_torch(name: str, values: Any) -> "torch.Tensor | list[Any]":
    import torch

    if values.dtype.kind == "M":
        values = values.astype("datetime64[ns]").astype(np.int64)
    if values.dtype.kind in "OU":
        if any(value is None for value in values):
            raise TypeError(
                f'column "{name}" has nulls, which no tensor holds: fill them in the '
                "DataFrame"
            )
        return list(values)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    values = _promoted(values)
    return torch.as_tensor(np.ascontiguousarray(values))


def _text(value: Any) -> str | bytes:
    if value is None:
        raise RuntimeError(
            "a column of text has nulls, which TensorFlow has no value for: fill them in "
            "the DataFrame"
        )
    return value if isinstance(value, str | bytes) else str(value)


def _promoted(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return numbers that the frameworks lack as the next wider ones, as Petastorm does."""
    if values.dtype == np.uint16:
        return values.astype(np.int32)
    if values.dtype == np.uint32:
        return values.astype(np.int64)
    return values
