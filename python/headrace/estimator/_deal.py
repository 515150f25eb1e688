"""How a run's batches are shared out to tasks, and which other numbers of tasks fit it."""

import math
from collections.abc import Mapping
from typing import Any

from ..errors import Conflict, InvalidArgument
from ._loop import Deal
from .options import LoaderOptions

__all__ = ["deal_of"]

_STREAMS = 8


def deal_of(
    rows: int,
    tasks: int,
    batch_size: int,
    loader: LoaderOptions,
    record: Mapping[str, Any] | None,
) -> Deal:
    """Return how an epoch of `rows` rows is dealt out; of a begun run, by its record.

    Raises
    ------
    InvalidArgument
        The rows make no step, or the tasks do not divide the streams.
    Conflict
        The tasks do not divide the run's global batch and streams, or another batch size
        is asked for.
    """
    if record is None:
        streams = loader.streams or _default_streams(tasks, loader.shuffle)
        if streams % tasks:
            raise InvalidArgument(
                f"LoaderOptions.streams is {streams} and tasks {tasks}: expected a "
                f"multiple of tasks, such as {math.lcm(_STREAMS, tasks)}"
            )
    else:
        streams = int(record["streams"])
        batch_size = _batch_size_of(tasks, batch_size, loader, record)
    global_batch = batch_size * tasks
    usable = streams * (rows // streams)
    steps = usable // global_batch
    if steps == 0:
        raise InvalidArgument(
            f"there are {rows} rows to train on, {usable} of them in whole rounds of "
            f"{streams} streams, and a step takes {global_batch} (batch_size {batch_size} * "
            f"{tasks} tasks): expected enough for one step, so use a smaller batch_size, "
            "fewer tasks or more rows"
        )
    return Deal(batch_size, streams, steps)


def _default_streams(tasks: int, shuffle: bool) -> int:
    return math.lcm(_STREAMS, tasks) if shuffle else tasks


def _batch_size_of(
    tasks: int, batch_size: int, loader: LoaderOptions, record: Mapping[str, Any]
) -> int:
    """Return the batch of a task that keeps the run's global batch."""
    run, streams = record["run_id"], int(record["streams"])
    global_batch = int(record["global_batch"])
    common = math.gcd(global_batch, streams)
    if common % tasks:
        fits = ", ".join(str(n) for n in range(1, common + 1) if common % n == 0)
        raise Conflict(
            f'run "{run}" has a global batch of {global_batch} over {streams} streams, '
            f"which {tasks} tasks do not divide both: expected tasks to be one of {fits}"
        )
    if loader.streams not in (None, streams):
        raise Conflict(
            f'run "{run}" has {streams} streams and LoaderOptions.streams is '
            f"{loader.streams}: leave it out to go on, or take another run_id"
        )
    if batch_size not in (int(record["batch_size"]), global_batch // tasks):
        raise Conflict(
            f'run "{run}" has a global batch of {global_batch} and batch_size is '
            f"{batch_size} in {tasks} tasks: expected {global_batch // tasks} (or "
            f"{record['batch_size']}, as it began), or take another run_id"
        )
    return global_batch // tasks
