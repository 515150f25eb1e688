"""Functions on columns and batches, native ones and users' own: part of `Dataset`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Self

from . import _validate
from .choice import Choice
from .functions import mapped_function
from .image import Ops, native_maps

__all__ = ["Maps"]


class Maps(Choice):
    """The methods of a `Dataset` that map its columns or batches. Immutable."""

    def map(self, ops: Mapping[str, Ops] | None = None, /, **columns: Ops) -> Self:
        """Decode and change images, in the loader's threads.

        Parameters
        ----------
        ops : dict of str to headrace.image.Ops, optional
            Operations by column, for names that are no keywords.
        **columns : headrace.image.Ops
            Operations by column. A column holds encoded images (JPEG, PNG, WebP) as binary,
            or is a field with a codec whose values are uint8 images.

        Returns
        -------
        Dataset
            With (batch, height, width, channels) uint8 for each of them, or what
            `headrace.image.to_float` and `layout` say; a column's later operations replace
            its earlier ones.

        Raises
        ------
        InvalidArgument
            Operations stand in an order that makes no sense, or a column holds no images.
        NotFound
            A column is not there.

        Notes
        -----
        Loaders apply it; `to_arrow` keeps what is stored. Images of unequal size are an
        error that names the first two shapes, or what `ragged` says. Random operations are
        keyed by (seed, epoch, row id): the same on any world size and number of threads.

        Examples
        --------
        >>> pets.map(image=hr.image.resize(224, 224) | hr.image.flip())  # doctest: +SKIP
        """
        given = (
            {} if ops is None else _validate.mapping("ops", ops, "a dict of operations")
        )
        if twice := sorted(given.keys() & columns.keys()):
            raise _validate.rejected(
                "ops", twice, "columns that no keyword names as well"
            )
        wanted = native_maps({**given, **columns})
        if not wanted:
            raise _validate.rejected("map's columns", columns, "at least one column")
        return self._with(self._native.map(wanted))

    def map_batches(
        self,
        function: Callable[[Any], Any],
        *,
        columns: Iterable[str] | None = None,
        schema: Any = None,
        processes: int = 0,
        form: Literal["numpy", "pandas", "arrow"] = "numpy",
    ) -> Self:
        """Run a function on every batch of a loader (docs/guide/functions.md).

        Parameters
        ----------
        function : callable
            It gets a batch and returns as many rows: a dict of arrays, a frame or a table.
        columns : list of str, optional
            What it gets of the batch, all if not given. Other columns pass by it.
        schema : headrace.Schema, optional
            What it returns, else what it got. What it got and does not return is left out.
        processes : int, optional
            Processes of its own to run it in; 0 is a thread of this process.
        form : {"numpy", "pandas", "arrow"}
            What it gets: a dict of arrays, a frame, or a `pyarrow.RecordBatch`.

        Returns
        -------
        Dataset
            Whose loaders run it, after the functions that were given before.

        Raises
        ------
        InvalidArgument, Unsupported
            An argument is of a wrong type or value, or pandas is not installed.

        Examples
        --------
        >>> images.map_batches(augment, columns=["image"], processes=2)  # doctest: +SKIP
        """
        mapped = mapped_function(function, columns, schema, processes, form)
        return type(self)(self._native, (*self._functions, mapped))
