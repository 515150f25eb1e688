"""Headrace for PyTorch: batches as tensors, and loaders as datasets.

The only module of the package that imports torch.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from .. import _native
from ..errors import Unsupported
from ..loader import Loader

try:
    import torch
    from torch.utils.data import IterableDataset, get_worker_info
    from torch.utils.dlpack import from_dlpack
except ImportError:
    raise Unsupported("torch is not installed: pip install 'headrace[torch]'") from None

__all__ = ["LoaderDataset"]

Batch = dict[str, Any]


def converter(pin_memory: bool) -> Callable[[int, list[tuple[Any, Any]]], Batch]:
    """Return what makes a dict of tensors out of capsules; for `Dataset.loader`."""
    pin = pin_memory and torch.cuda.is_available()

    def convert(rows: int, columns: list[tuple[Any, Any]]) -> Batch:
        batch: Batch = {}
        for names, column in columns:
            if isinstance(column, _native.ArrowColumn):
                batch[names[0]] = pa.array(column).to_pylist()
                continue
            tensor = from_dlpack(column)
            if pin:
                tensor = tensor.pin_memory()
            if len(names) == 1:
                batch[names[0]] = tensor
            else:
                batch.update(zip(names, tensor.unbind(0), strict=True))
        return batch

    return convert


class LoaderDataset(IterableDataset[Batch]):
    """A loader as a dataset of whole batches, for code that wants a DataLoader.

    Parameters
    ----------
    loader : headrace.Loader
        With `to="torch"`.

    Notes
    -----
    Use `DataLoader(dataset, batch_size=None)` with `num_workers=0`, or torchdata's
    `StatefulDataLoader` likewise: Headrace reads and decodes in threads of its own. Worker processes would each deliver every row, so they
    are refused with Unsupported.

    Examples
    --------
    >>> dataset = flights.loader(to="torch").to_torch_dataset()  # doctest: +SKIP
    >>> for batch in DataLoader(dataset, batch_size=None):  # doctest: +SKIP
    ...     step(batch)
    """

    def __init__(self, loader: Loader) -> None:
        super().__init__()
        self._loader = loader
        # Trainers take it for the steps of every epoch, also when a state was loaded.
        self._epoch_steps = len(loader)

    def __iter__(self) -> Iterator[Batch]:
        if get_worker_info() is not None:
            raise Unsupported(
                "a DataLoader with worker processes would deliver every row once per worker: "
                "use num_workers=0, and the num_threads of Dataset.loader"
            )
        return iter(self._loader)

    def __len__(self) -> int:
        """Return the steps of a whole epoch, as of when the dataset was made."""
        return self._epoch_steps

    def set_epoch(self, epoch: int) -> None:
        """Move to the start of an epoch, as `Loader.set_epoch`."""
        self._loader.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the loader's position, as `Loader.state_dict`."""
        return self._loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on at a position, as `Loader.load_state_dict`."""
        self._loader.load_state_dict(state)
