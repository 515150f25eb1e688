"""torch's process group of a gang's tasks."""

import datetime
import gc
from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist

from .. import gang
from ..errors import InvalidArgument

__all__ = ["in_group"]

T = TypeVar("T")


def in_group(
    ctx: "gang.Context", timeout_s: float, train: Callable[[torch.device], T]
) -> T:
    """Call a function while the tasks are joined: by NCCL where each has GPUs, else by gloo.

    It is given this task's device, and what it returns may hold nothing that holds the
    group, as a DistributedDataParallel does. One that dies last destroys the group with the
    GIL held and waits for gloo's threads, one of which may wait for the GIL.
    """
    usable = bool(ctx.accelerators) and torch.cuda.is_available()
    kinds = ctx.all_gather(usable)
    if len(set(kinds)) > 1:
        raise InvalidArgument(
            f"ranks {[rank for rank, has in enumerate(kinds) if not has]} have no usable "
            "GPU and others do: expected the same of all; ask for gpus_per_task=0, or see "
            "why torch finds none there"
        )
    device = torch.device("cpu")
    if usable:
        device = torch.device("cuda", 0)  # CUDA_VISIBLE_DEVICES names this task's own
        torch.cuda.set_device(device)
    if ctx.world_size == 1:
        return train(device)
    dist.init_process_group(
        "nccl" if usable else "gloo", timeout=datetime.timedelta(seconds=timeout_s)
    )
    result = train(device)
    gc.collect()  # what holds the group
    # Not after an error: it might wait for tasks that wait for this one.
    dist.destroy_process_group()
    return result
