"""DataFrames, converted to be trained on."""

import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TypeGuard

from pyspark.sql import DataFrame

from .. import _native, opening
from ..dataset import Dataset
from ..errors import Conflict, InvalidArgument, NotFound
from ..spark import convert
from ..spark._columns import FLOATS, quoted
from .options import Store

__all__ = ["ConvertedRows", "check_columns", "is_frame"]


def is_frame(value: Any, df: DataFrame) -> TypeGuard[DataFrame]:
    """Return whether a value is a DataFrame, of the kind of another."""
    return isinstance(value, (DataFrame, type(df)))


def check_columns(df: DataFrame, names: Sequence[str]) -> None:
    """Refuse names that a DataFrame does not have."""
    missing = sorted(set(names) - set(df.columns))
    if missing:
        raise NotFound(
            f"the DataFrame has no columns {missing}: expected some of {df.columns}"
        )


class ConvertedRows:
    """Converted tables of a run: kept while it may have to go on, released at its end.

    Parameters
    ----------
    names : sequence of str or None
        The columns that are converted; None: all.
    dtype : str or None
        What floats become.
    store : Store, str, PathLike or None
        Where the tables are; None: in the cache of `hr.spark`.
    keep : bool
        The run has a name of the user's, by which it may be gone on with later.
    """

    def __init__(
        self, names: Sequence[str] | None, dtype: str | None, store: Any, *, keep: bool
    ) -> None:
        self._names = names
        self._dtype = dtype if dtype in FLOATS else None
        self._store = None if store is None else Store.of(store)
        self._keep = keep and self._store is not None
        self._converters = contextlib.ExitStack()
        self._kept: list[str] = []
        self.tables: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._converters.close()

    @property
    def _storage_options(self) -> dict[str, str]:
        return {} if self._store is None else dict(self._store.storage_options)

    def converted(self, df: DataFrame, more: Sequence[str] = ()) -> Dataset:
        """Return a DataFrame's rows as a table of the store, with `more` columns."""
        chosen = df
        if self._names is not None:
            names = dict.fromkeys([*self._names, *more])
            chosen = df.select(*(df[quoted(name)] for name in names))
        try:
            converter = convert(
                chosen,
                cache_dir=None if self._store is None else self._store._below("data"),
                dtype=self._dtype,
                keep=self._keep,
                storage_options=self._storage_options,
            )
        except InvalidArgument as error:
            if self._store is None and "cache_dir" in str(error):
                raise InvalidArgument(f"store is None, and {error}") from None
            raise
        self._converters.callback(converter.delete)
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
        self._converters.close()
        for directory in self._kept:
            with contextlib.suppress(Conflict, NotFound):  # others use it
                cache.remove(directory, force=False)


def _last(uri: str) -> str:
    return uri.rstrip("/").rsplit("/", 1)[-1]
