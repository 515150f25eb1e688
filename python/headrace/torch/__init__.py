"""Headrace for PyTorch: batches as tensors, and loaders as datasets.

The only module of the package that imports torch.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from .. import _native
from .._forms import Columns, is_text
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


def converter(
    pin_memory: bool,
) -> Callable[[int, int, _native.WholeBatch], Batch]:
    """Return what makes a dict of tensors of a part of a whole; for `Dataset.loader`."""
    pin = pin_memory and torch.cuda.is_available()

    def convert(rows: int, first: int, whole: _native.WholeBatch) -> Batch:
        if whole.tensors is None:
            whole.tensors = _tensors(whole, rows, pin)
        names, tensors, steps = whole.tensors
        step = first // rows if rows else 0
        return dict(zip(names, tensors[step::steps], strict=True))

    return convert


def array_converter(pin_memory: bool) -> Callable[[int, Columns], Batch]:
    """Return what makes a dict of tensors that share the memory of numpy arrays."""
    pin = pin_memory and torch.cuda.is_available()

    def convert(rows: int, columns: Columns) -> Batch:
        batch: Batch = {}
        for name, column in columns:
            if is_text(column):
                batch[name] = pa.array(column).to_pylist()
            else:
                tensor = torch.from_numpy(column)
                batch[name] = tensor.pin_memory() if pin else tensor
        return batch

    return convert


def _tensors(
    whole: _native.WholeBatch, rows: int, pin: bool
) -> tuple[list[str], list[Any], int]:
    """Return names, the tensors of all steps, column by column, and how many steps.

    Tensors that share memory are split from one, which costs a quarter of importing each.
    `unsafe_split` makes no views, so autograd lets them be modified in place.
    """
    steps = whole.rows // rows if rows else 1
    all_names: list[str] = []
    tensors: list[Any] = []
    for names, distance, column in whole.lines():
        all_names += names
        if isinstance(column, _native.ArrowColumn):
            tensors.append(pa.array(column).to_pylist())
            continue
        tensor = from_dlpack(column)
        if pin:
            tensor = tensor.pin_memory()
        if len(names) == 1 and steps == 1:
            tensors.append(tensor)
        elif len(names) == 1:
            tensors += tensor.unsafe_split(rows)
        else:
            gap = distance - whole.rows
            sizes = [*[rows] * steps, gap] if gap else [rows] * steps
            pieces = tensor.unsafe_split_with_sizes(
                (sizes * len(names))[: -1 if gap else None]
            )
            if gap:
                tensors += [p for i, p in enumerate(pieces, 1) if i % (steps + 1)]
            else:
                tensors += pieces
    return all_names, tensors, steps


class LoaderDataset(IterableDataset[Batch]):
    """A loader as a dataset of whole batches, for code that wants a DataLoader.

    Parameters
    ----------
    loader : headrace.Loader
        With `to="torch"`.

    Notes
    -----
    Use `DataLoader(dataset, batch_size=None)` with `num_workers=0`, or torchdata's
    `StatefulDataLoader` likewise: Headrace reads and decodes in threads of its own. Worker
    processes would each deliver every row, so they are refused with Unsupported.

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
