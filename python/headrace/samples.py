"""Which samples: splits of a dataset, times, and rows by their ids."""

import datetime
from collections.abc import Iterable, Mapping
from typing import Self

import numpy.typing as npt
import pyarrow as pa

from . import _native, _validate
from .choice import Choice

__all__ = ["Samples", "table_of"]


def table_of(scan: _native.ScanBatches, schema: pa.Schema) -> pa.Table:
    """Read a scan to its end."""
    batches = []
    while (rows := scan.next()) is not None:
        batches.append(pa.record_batch(rows))
    return pa.Table.from_batches(batches, schema)


class Samples(Choice):
    """What a Dataset can do with its rows as such."""

    def split(
        self,
        fractions: Mapping[str, float],
        *,
        by: str | None = None,
        seed: int = 0,
    ) -> dict[str, Self]:
        """Cut the rows into datasets, at random but always alike, and without leaks.

        Parameters
        ----------
        fractions : dict of str to float
            The share of each split, by name; together 1.
        by : str, optional
            A column: all rows with one value of it are in one split, which stays the same
            when files are added, rewritten or moved. Of integers, booleans, text, bytes,
            dates or times; a null is a value like others. Each row by itself, by its row
            id, if not given.
        seed : int, optional
            From 0 to 2**64 - 1; another seed is another split.

        Returns
        -------
        dict of str to Dataset
            The splits, in the order given; each row is in exactly one.

        Raises
        ------
        InvalidArgument
            The fractions are not positive or not 1 together, or the column is of another
            type; or `by` is not given and the table stores a column `row_id` of its own.
        NotFound
            The column is not there.

        Notes
        -----
        Nothing is read: a split is a `where`, on `split_key` (docs/guide/filters.md). Shares
        are exact for many keys of like size, not for few or uneven ones. A split of a split
        needs another seed, as the keys of one seed are already parted.

        Examples
        --------
        >>> splits = clicks.split({"train": 0.9, "val": 0.1}, by="user_id")  # doctest: +SKIP
        >>> train = splits["train"].loader(batch_size=256)  # doctest: +SKIP
        """
        shares = [
            (name, _validate.real(f"fractions[{name!r}]", share))
            for name, share in _validate.mapping(
                "fractions", fractions, "a dict of name to share"
            ).items()
        ]
        if by is not None:
            _validate.text("by", by, "a column name or None")
        seed = _validate.integer("seed", seed, 0, 2**64 - 1)
        return {
            name: self._with(native)
            for name, native in self._native.split(shares, by, seed)
        }

    def between(
        self,
        start: "str | int | datetime.date",
        end: "str | int | datetime.date",
        *,
        column: str | None = None,
    ) -> Self:
        """Choose rows by time: those in [start, end), the end left out.

        Parameters
        ----------
        start, end : str, int, datetime.date or datetime.datetime
            Text as in filters ("2026-11-01", "2026-11-01T06:00Z"). Integers are seconds
            since the epoch below 10**11, milliseconds below 10**14, microseconds below
            10**17, else nanoseconds. Without a zone, a bound is UTC where the column has a
            zone, and where it holds dates, epochs or parts of a time.
        column : str, optional
            The column of time: dates, timestamps, or a partition column of integers since
            the epoch. If not given, the one partition column of time: a date, a timestamp,
            an integer named `ts`, `time`, `timestamp`, `epoch` or `..._ts`; or `year` with
            `month`, `day`, `hour`, `minute`, or a date with those of the hour, which are one
            time. If there is none, the one column of dates or timestamps.

        Returns
        -------
        Dataset
            These rows alone.

        Raises
        ------
        InvalidArgument
            No column or several could be meant; a bound is no time, or finer than what the
            column holds, as a time of day is beside dates; or `start` is after `end`.
        NotFound
            A column is not there.

        Notes
        -----
        It is a `where`, and prunes files by their partition values as that does. The
        argument `between` of `headrace.open` leaves out directories before they are listed.

        Examples
        --------
        >>> clicks.between("2026-11-01", "2026-12-01")  # doctest: +SKIP
        """
        if column is not None:
            _validate.text("column", column, "a column name or None")
        return self._with(
            self._native.between(
                _validate.moment("start", start), _validate.moment("end", end), column
            )
        )

    def take(self, row_ids: Iterable[int] | npt.ArrayLike) -> pa.Table:
        """Read the rows of these ids, to see which row made the NaN.

        Parameters
        ----------
        row_ids : array of int64, or list of int
            Ids from the column `row_id` of this version of the table, in any order, also
            more than once.

        Returns
        -------
        pyarrow.Table
            A row for each id, in the order asked, with `select` and `cast` applied; `where`
            is not, since the id says which row.

        Raises
        ------
        NotFound
            The table has no such row; the message names the id.
        InvalidArgument
            Something is no integer.
        Corrupt, Unavailable, Denied, Conflict
            What had to be read could not be, or has changed.

        Notes
        -----
        Reads only the pages that hold the rows, where files have an offset index.

        Examples
        --------
        >>> flights.take(batch["row_id"][bad])  # doctest: +SKIP
        """
        ids = _validate.int64s("row_ids", row_ids)
        return table_of(self._native.take(ids.tobytes()), pa.schema(self._native))
