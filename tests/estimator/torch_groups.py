"""A check for tasks: nothing that holds torch's process group outlives the group."""

import gc
from typing import Any

import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

_destroy: Any = dist.destroy_process_group


def watch() -> None:
    """Have this task fail if a model is parallel when its group is destroyed.

    It would take the group with it while it holds the GIL, which a thread of gloo may wait
    for as it is joined.
    """
    dist.destroy_process_group = _checked


def _checked() -> None:
    held = [one for one in gc.get_objects() if isinstance(one, DistributedDataParallel)]
    assert not held, held
    _destroy()
