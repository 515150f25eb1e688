"""Rows of a table as batches of NumPy arrays, pass after pass, through pandas."""

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from ...dataset import Dataset
from ._transform import Columns, TransformSpec, transformed

__all__ = ["Batches"]

_AHEAD = 2  # batches a worker


class Batches:
    """Batches of a dataset, made by threads in the order that the loader deals.

    Close it, or leave it as a context manager: threads end then.
    """

    def __init__(
        self,
        dataset: Dataset,
        spec: TransformSpec,
        *,
        batch_size: int,
        num_epochs: int | None,
        workers: int,
        options: dict[str, Any],
    ) -> None:
        self.names = spec.columns(dataset.schema.names)
        self._spec = spec
        self._epochs = num_epochs
        self._loader = dataset.loader(batch_size=batch_size, to="arrow", **options)
        self._workers = workers
        self._threads = ThreadPoolExecutor(workers, "headrace-compat")
        self._first: Columns | None = None
        self._begun: Iterator[Columns] | None = self._draw()
        # What is wrong with the function is told here, where the user called.
        try:
            self._first = next(self._begun, None)
        except BaseException:
            self.close()
            raise

    def first(self) -> Columns | None:
        """Return the first batch, which is delivered again; None if there are no rows."""
        return self._first

    def __iter__(self) -> Iterator[Columns]:
        """All batches of all epochs; a second time, they begin anew."""
        begun, self._begun = self._begun, None
        if begun is None:
            return self._draw()
        return itertools.chain([] if self._first is None else [self._first], begun)

    def _draw(self) -> Iterator[Columns]:
        epochs = itertools.count() if self._epochs is None else range(self._epochs)
        for _ in epochs:
            waiting: deque[Future[Columns]] = deque()
            any_row = False
            for batch in self._loader:
                any_row = True
                waiting.append(self._threads.submit(self._convert, batch))
                if len(waiting) >= _AHEAD * self._workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
            if not any_row:
                return

    def _convert(self, batch: pa.RecordBatch) -> Columns:
        return transformed(batch.to_pandas(), self._spec, self.names)

    def close(self) -> None:
        """End the threads and close the loader."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._loader.close()

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
