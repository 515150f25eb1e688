"""A model as it goes to where rows are."""

import abc
from collections.abc import Iterator, Sequence
from typing import Any

import numpy.typing as npt

from ._columns import Columns

__all__ = ["Output", "Predictor", "in_batches"]

#: Of an output: its shape without the batch, and its dtype's name.
Output = tuple[tuple[int, ...], str]


class Predictor(abc.ABC):
    """A model as it goes to where rows are. Pickles, without Spark."""

    columns: Columns
    dtype: str | None

    @abc.abstractmethod
    def __call__(self, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Return the outputs of a batch of inputs."""


def in_batches(
    predictor: Predictor, inputs: Sequence[npt.NDArray[Any]], batch_size: int
) -> Iterator[list[npt.NDArray[Any]]]:
    """Predict so many rows at once."""
    rows = len(inputs[0])
    for first in range(0, rows, batch_size):
        yield predictor([one[first : first + batch_size] for one in inputs])
