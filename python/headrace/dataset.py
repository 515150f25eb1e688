"""Datasets: what a sample is, column by column."""

import os
import pickle
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import cloudpickle
import pyarrow as pa
import pyarrow.compute as pc

from . import _native, _validate
from .feature_choices import FeatureChoices
from .filters import serialized
from .loader import Loader, native_options
from .maps import Maps
from .policies import fill, native_nulls, native_ragged, pad
from .samples import Samples, table_of
from .scan_summary import ScanSummary

if TYPE_CHECKING:
    import pandas
    import polars

__all__ = ["Dataset"]


class Dataset(Samples, Maps, FeatureChoices):
    """A lazy, immutable choice over one version of a table.

    Made by `open`. Every method returns a new Dataset or reads; none changes this one.
    Nothing is read until `loader`, `to_arrow`, `count_rows` or `explain` (and `codes` with
    None). It pickles, and an unpickled one is of the same version or raises Conflict; as
    the pickle holds the storage options, treat it as a secret where they are.

    Thread-safety: immutable; every method may be called from any thread.
    """

    def select(self, *columns: str, row_id: bool = False) -> "Dataset":
        """Choose columns, in the order given.

        Parameters
        ----------
        *columns : str
            Names; dotted names ("position.x") reach nested fields.
        row_id : bool, optional
            Add the int64 column `row_id`, shape (batch,): which row of the version each
            sample is, for `take`. Without names, to the columns there are.

        Returns
        -------
        Dataset
            These columns alone.

        Raises
        ------
        NotFound
            There is no such column.
        InvalidArgument
            A name is given twice, or none is given; or row ids are asked for and the table
            stores a column `row_id` of its own.

        Examples
        --------
        >>> flights.select("dep_delay", "distance")  # doctest: +SKIP
        >>> flights.select("dep_delay", row_id=True)  # doctest: +SKIP
        """
        if not _validate.boolean("row_id", row_id) and not columns:
            raise _validate.rejected(
                "select's columns", columns, "at least one column name"
            )
        return self._with(
            self._native.select(_validate.names("columns", columns), row_id)
        )

    def where(self, filter: "str | pc.Expression") -> "Dataset":
        """Choose rows: those for which the filter is true. A null counts as false.

        Parameters
        ----------
        filter : str or pyarrow.compute.Expression
            Text in the grammar of docs/guide/filters.md, or an expression over stored
            columns. A second call narrows further.

        Returns
        -------
        Dataset
            These rows alone.

        Raises
        ------
        InvalidArgument
            The text does not parse, the types do not fit, or a function is not known or
            does not work row by row.
        NotFound
            A column is not there.
        Unsupported
            The expression names columns by position.

        Notes
        -----
        The filter sees stored columns, selected or not, before `cast`.

        Examples
        --------
        >>> flights.where("year = 2013 and month <= 10")  # doctest: +SKIP
        >>> flights.where(pc.field("distance") > 500)  # doctest: +SKIP
        """
        if isinstance(filter, str):
            return self._with(self._native.where(filter))
        if isinstance(filter, pc.Expression):
            return self._with(self._native.where_serialized(serialized(filter)))
        raise _validate.rejected(
            "filter", filter, "a string or a pyarrow.compute.Expression"
        )

    def cast(self, types: Mapping[str, str]) -> "Dataset":
        """Convert columns: nothing is converted that was not asked for.

        Parameters
        ----------
        types : dict of str to str
            Type by column: "bool", "int8" to "int64", "uint8" to "uint64", "float16",
            "bfloat16", "float32", "float64".

        Returns
        -------
        Dataset
            With the columns converted, also in `schema` and `to_arrow`.

        Raises
        ------
        InvalidArgument
            A type is not known. A value that overflows or would be truncated raises it
            when it is met.
        NotFound
            A column is not there.
        Unsupported
            The stored type cannot become that one.

        Examples
        --------
        >>> flights.cast({"distance": "float32"})  # doctest: +SKIP
        """
        wanted = _validate.mapping("types", types, "a dict of column to type name")
        for name, type_name in wanted.items():
            _validate.text(f"types[{name!r}]", type_name, 'a type name such as "float32"')
        return self._with(self._native.cast(wanted))

    def nulls(
        self, policies: Mapping[str, 'fill | Literal["error", "mask"]']
    ) -> "Dataset":
        """Say what becomes of nulls.

        Parameters
        ----------
        policies : dict of str to policy
            By column: "error" (the default: a null is an error that names column and row),
            `headrace.fill(value)`, or "mask" (nulls become 0, and a boolean
            `<name>_mask`, shape (batch,), is true where the value is there).

        Returns
        -------
        Dataset
            With these policies; those of other columns stay.

        Raises
        ------
        InvalidArgument
            A policy is none of these. A fill value that the column's type, after `cast`,
            cannot hold raises it when a loader is made.
        NotFound
            A column is not there.

        Notes
        -----
        Loaders apply it; `to_arrow` keeps nulls.

        Examples
        --------
        >>> flights.nulls({"dep_delay": hr.fill(0), "arr_delay": "mask"})  # doctest: +SKIP
        """
        return self._with(self._native.nulls(native_nulls(policies)))

    def ragged(
        self, policies: Mapping[str, 'pad | Literal["error", "ragged", "sparse"]']
    ) -> "Dataset":
        """Say what becomes of lists, vectors, tensors and images that differ in shape.

        Parameters
        ----------
        policies : dict of str to policy
            By column: "error" (the default: lists of unequal length are an error),
            `headrace.pad(value, length=None)` (shape (batch, longest) or (batch, length);
            tensors are padded at the end of each dimension), "ragged" (`<name>`: all values
            one after the other, int64 `<name>_offsets`, shape (batch + 1,), and of tensors
            int64 `<name>_shape`, shape (batch, dimensions)), or, for Spark ML vectors,
            "sparse" (int32 `<name>_indices`, `<name>_values`, int64 `<name>_offsets` and
            int32 `<name>_size`, shape (batch,)).

        Returns
        -------
        Dataset
            With these policies; those of other columns stay.

        Raises
        ------
        InvalidArgument
            A policy is none of these, or a column is no list.
        NotFound
            A column is not there.

        Examples
        --------
        >>> clicks.ragged({"items": hr.pad(0, length=64)})  # doctest: +SKIP
        """
        return self._with(self._native.ragged(native_ragged(policies)))

    def pack(self, name: str, columns: Iterable[str]) -> "Dataset":
        """Put many scalar columns into one row-major tensor.

        Parameters
        ----------
        name : str
            The tensor's name; it takes the place of the first of the columns.
        columns : list of str
            Columns of one type; they leave the batch.

        Returns
        -------
        Dataset
            With a tensor `name` of shape (batch, len(columns)).

        Raises
        ------
        InvalidArgument
            The name is taken, or a column is no scalar. Types that differ, after `cast`,
            raise it when a loader is made.
        NotFound
            A column is not there.

        Examples
        --------
        >>> flights.pack("x", ["distance", "hour"])  # doctest: +SKIP
        """
        wanted = _validate.names("columns", columns)
        return self._with(self._native.pack(_validate.text("name", name), wanted))

    def on_error(self, policy: Literal["raise", "skip", "null"]) -> "Dataset":
        """Say what becomes of bad rows.

        A row is bad if a page of it is damaged, or if a value breaks its column's
        policies: a null under "error", a list longer than its pad length, a value outside
        of a vocabulary or of a cast's type.

        Parameters
        ----------
        policy : {"raise", "skip", "null"}
            "raise" (the default): the first bad row is an error. "skip": bad rows are left
            out; the batch gets shorter, possibly empty, and no other row moves; they count
            as consumed and are listed in `Loader.stats`. "null": bad values become nulls,
            and those what `nulls` says.

        Returns
        -------
        Dataset
            With this policy.

        Raises
        ------
        InvalidArgument
            The policy is none of these.

        Notes
        -----
        Loaders apply it. A damaged column of the filter is always an error, and so is what
        no single row is to blame for, as lists of unequal length.

        Examples
        --------
        >>> clicks.on_error("skip")  # doctest: +SKIP
        """
        return self._with(self._native.on_error(_validate.text("policy", policy)))

    def loader(
        self,
        *,
        batch_size: int | None = None,
        shuffle: bool | None = None,
        seed: int | None = None,
        epoch: int | None = None,
        streams: int | None = None,
        shuffle_window_rows: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        drop_last: bool | None = None,
        pad_last: bool | None = None,
        num_threads: int | None = None,
        memory_budget: int | None = None,
        to: str = "numpy",
        pin_memory: bool = False,
        trace: str | os.PathLike[str] | None = None,
    ) -> Loader:
        """Deal the samples out as batches, epoch after epoch.

        The first ten parameters are the order, and the order depends on nothing else; the
        others are resources, which never change what is delivered.

        Parameters
        ----------
        batch_size : int, optional
            Samples per step and rank; 256 if not given.
        shuffle : bool, optional
            True if not given, or what a loaded state says. False is the stored order.
        seed : int, optional
            From 0 to 2**64 - 1; 0 if not given, or what a loaded state says.
        epoch : int, optional
            Where to begin; 0 if not given.
        streams : int, optional
            Places that are read at once; a multiple of world_size. 8 when shuffling, else
            world_size, if not given.
        shuffle_window_rows : int, optional
            Rows permuted together, over all streams: 2**28 bytes' worth of rows, at most
            2**20, if not given.
        rank, world_size : int, optional
            Which share of every global batch; from the environment's RANK and WORLD_SIZE,
            else 0 of 1, if not given.
        drop_last : bool, optional
            Leave out the last, shorter step.
        pad_last : bool, optional
            Fill the last step with repeats and add a boolean `valid`, shape (batch,), so
            that every row is valid exactly once on any number of ranks.
        num_threads : int, optional
            Threads of the loader; 2 if not given. The consumer's own is extra, and
            assembles a batch that it would else wait for, without the GIL, unless tensors
            or images are to be decoded. On a local disk it fills windows that the batch
            lacks, too, if it has a core of its own.
        memory_budget : int, optional
            Bytes held between storage and consumer; 2 GiB if not given.
        to : {"numpy", "torch", "jax", "tensorflow", "arrow"}
            What a batch is: dicts of numpy arrays (text: object arrays of str or bytes),
            dicts of CPU tensors (text: lists; in TensorFlow string tensors), or
            `pyarrow.RecordBatch` with stored types and nulls.
        pin_memory : bool, optional
            With "torch": copy every tensor to page-locked memory, where CUDA is there.
        trace : str or PathLike, optional
            A file that gets what the threads did and when, at the end of each pass and by
            `close`, for chrome://tracing or ui.perfetto.dev.

        Returns
        -------
        Loader
            An iterable of batches; use it as a context manager.

        Raises
        ------
        InvalidArgument
            A parameter is of a wrong type or value; the message names it. Or, with "jax", a
            column has 64 bits and JAX has not (`jax_enable_x64`).
        ResourceExhausted
            The budget is below the floor; the message has both numbers.
        Unsupported
            A column has a type that no tensor holds, or `to` is not of this build.

        Notes
        -----
        Survivors of the filter are counted here, which may read; threads start with the
        first batch.

        Examples
        --------
        >>> with flights.loader(batch_size=4096, seed=7) as loader:  # doctest: +SKIP
        ...     for batch in loader:
        ...         step(batch["x"])
        """
        return Loader(
            self._native,
            native_options(
                batch_size=batch_size,
                shuffle=shuffle,
                seed=seed,
                epoch=epoch,
                streams=streams,
                shuffle_window_rows=shuffle_window_rows,
                rank=rank,
                world_size=world_size,
                drop_last=drop_last,
                pad_last=pad_last,
                num_threads=num_threads,
                memory_budget=memory_budget,
                trace=trace,
            ),
            to=to,
            pin_memory=pin_memory,
            functions=self._functions,
        )

    @property
    def schema(self) -> pa.Schema:
        """The selected columns with `cast` applied, as a `pyarrow.Schema`."""
        return pa.schema(self._native)

    @property
    def version(self) -> int | None:
        """The version of a Delta table; None for plain Parquet, which has none."""
        return self._native.version

    @property
    def fingerprint(self) -> str:
        """Identity of the version: equal for equal paths, sizes and footers.

        Of a Delta table, for equal table and version.
        """
        return self._native.fingerprint

    def count_rows(self) -> int:
        """Count the rows that pass the filter.

        Returns
        -------
        int
            Rows. Where statistics decide, nothing is read.

        Raises
        ------
        Corrupt, Unavailable, Denied, Conflict
            What had to be read could not be, or has changed.
        """
        return self._native.count_rows()

    def explain(self) -> ScanSummary:
        """Plan the scan without reading data pages.

        Returns
        -------
        ScanSummary
            Prints as text; `to_dict()` gives the numbers.

        Examples
        --------
        >>> print(flights.where("month = 3").explain())  # doctest: +SKIP
        """
        return ScanSummary(self._native.explain())

    def to_arrow(self, *, decode: bool = False) -> pa.Table:
        """Read everything, in stored order, with `select`, `where` and `cast` applied.

        Parameters
        ----------
        decode : bool, optional
            Decode what field codecs encoded, to `arrow.fixed_shape_tensor`, to lists, or to
            `arrow.variable_shape_tensor`. If not given, cells stay as they are stored.

        Returns
        -------
        pyarrow.Table
            Stored types, nulls kept.

        Raises
        ------
        Corrupt, Unavailable, Denied, Conflict
            What had to be read could not be, or has changed.
        """
        scan = self._native.scan(_validate.boolean("decode", decode))
        return table_of(scan, pa.schema(scan))

    def to_pandas(self) -> "pandas.DataFrame":
        """Read everything, as `to_arrow`, into a `pandas.DataFrame`.

        Returns
        -------
        pandas.DataFrame
            By pyarrow's conversion.

        Raises
        ------
        Unsupported
            pandas is not installed.
        """
        _validate.installed("to_pandas", "pandas")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> "polars.DataFrame":
        """Read everything, as `to_arrow`, into a `polars.DataFrame`.

        Returns
        -------
        polars.DataFrame
            Without a copy where Polars can.

        Raises
        ------
        Unsupported
            Polars is not installed.
        """
        _validate.installed("to_polars", "polars")
        import polars

        frame = polars.from_arrow(self.to_arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame

    def __arrow_c_schema__(self) -> object:
        return self._native.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Export as an Arrow stream, read as it is pulled: DuckDB, Polars, pyarrow take it.

        Parameters
        ----------
        requested_schema : capsule, optional
            What the consumer wants the columns cast to.

        Returns
        -------
        capsule
            "arrow_array_stream" of the Arrow PyCapsule interface.
        """
        if requested_schema is None:
            return self._native.__arrow_c_stream__()
        # By way of pyarrow, which casts.
        reader = pa.RecordBatchReader.from_stream(self._native)
        return reader.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return "".join([str(self._native), *(f".{one}" for one in self._functions)])

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        text = self._native.to_json()
        if not self._functions:
            return _from_json, (text,)
        return _from_json, (text, cloudpickle.dumps(self._functions))


def _from_json(text: str, functions: bytes | None = None) -> Dataset:
    native = _native.Dataset.from_json(text)
    return Dataset(native, () if functions is None else pickle.loads(functions))
