"""Converters: a DataFrame as a table that training reads."""

import logging
import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import pyarrow as pa

from .. import opening
from ..dataset import Dataset
from ..errors import NotFound
from ..loader import Loader

__all__ = ["Converter"]

_log = logging.getLogger("headrace.spark")


class Converter:
    """A DataFrame's rows as a table, at one version; what `convert` returns.

    It pickles, for use in other processes: there it reads, and what it deletes or keeps is
    decided by the process that converted. As a context manager it deletes at the end.
    """

    def __init__(
        self,
        uri: str,
        version: int,
        rows: int,
        row_groups: int,
        storage_options: Mapping[str, str],
        delete: Callable[[], None] | None = None,
    ) -> None:
        self._uri = uri
        self._version = version
        self._rows = rows
        self._row_groups = row_groups
        self._storage_options = dict(storage_options)
        self._delete = delete
        self._deleted = False

    @property
    def uri(self) -> str:
        """The table's folder."""
        return self._uri

    @property
    def version(self) -> int:
        """The table's version."""
        return self._version

    @property
    def schema(self) -> pa.Schema:
        """The columns, as `dataset()` has them."""
        return self.dataset().schema

    def __len__(self) -> int:
        return self._rows

    def dataset(self) -> Dataset:
        """Return the table as a Dataset, with all that one can do.

        Raises
        ------
        NotFound
            It was deleted.
        """
        if self._deleted:
            raise NotFound(
                f"{self._uri}: the table was deleted: convert the DataFrame again"
            )
        return opening.open(
            self._uri, version=self._version, storage_options=self._storage_options
        )

    def loader(self, **options: Any) -> Loader:
        """Return a loader of all columns; short for ``dataset().loader(...)``.

        Parameters
        ----------
        **options : object
            As `Dataset.loader` has them: `batch_size`, `shuffle`, `seed`, `to`, ...
        """
        made = self.dataset().loader(**options)
        ranks = options.get("world_size") or int(os.environ.get("WORLD_SIZE") or 1)
        if self._row_groups < ranks:
            _log.warning(
                "%s has %d row groups for %d ranks, so that ranks read the same ones: "
                "convert with smaller row_group_bytes",
                self._uri,
                self._row_groups,
                ranks,
            )
        return made

    def to_tf(self, **options: Any) -> Any:
        """Return a `tf.data.Dataset` of batches, each a dict of tensors.

        Parameters
        ----------
        **options : object
            As `Dataset.loader` has them, `to` left out. A pass is one epoch; repeat the
            dataset for more.
        """
        return self.loader(**options, to="tensorflow").to_tf_dataset()

    def delete(self) -> None:
        """Delete the table, unless others use it or it is kept; a second time does nothing."""
        if self._delete is not None and not self._deleted:
            self._deleted = True
            self._delete()

    def __enter__(self) -> "Converter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.delete()

    def __repr__(self) -> str:
        state = "deleted" if self._deleted else f"{self._rows} rows"
        return f"Converter({self._uri}: {state}, version {self._version})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Converter, (
            self._uri,
            self._version,
            self._rows,
            self._row_groups,
            self._storage_options,
        )
