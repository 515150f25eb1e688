"""Launching a gang of a function."""

import json
import os
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cloudpickle

from .. import _native, _validate
from ..errors import InvalidArgument
from ._accelerators import shares
from ._context import milliseconds
from ._failures import Cause, Failure, recovered_report
from ._output import Output
from ._task import START

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["run"]


def run(
    fn: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    tasks: int = 1,
    gpus_per_task: float = 0,
    engine: "SparkSession | None" = None,
    max_restarts: int = 0,
    timeout: float = 600.0,
    env: Mapping[str, str] | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    on_report: Callable[[int, Any], None] | None = None,
) -> list[Any]:
    """Call a function in many processes at once, and return what each call returned.

    All tasks start, or none does. The first one that fails (an exception, an exit, a
    signal, silence) ends the attempt; the others are stopped, and whatever they have
    started with them. When this process dies, by SIGKILL too, so do all of them.

    Parameters
    ----------
    fn : callable
        Called as ``fn(*args, **kwargs)`` in each task. It travels by cloudpickle.
    tasks : int
        How many.
    gpus_per_task : float
        Accelerators of each task: a whole number, which are its own, or at most 0.5 of one,
        which it shares. See `accelerators`. They are in ``CUDA_VISIBLE_DEVICES``.
    engine : SparkSession, optional
        Where: in a barrier stage of this session's cluster, classic or Connect. If not
        given, on this machine.
    max_restarts : int
        How many times all tasks start again, from the beginning, after a failure.
        ``context().attempt`` counts them.
    timeout : float
        Seconds that tasks wait for each other, at the start and wherever they meet.
    env : mapping, optional
        Variables for the tasks, beside this process' own; on Spark, beside the executor's.
    output_dir : path, optional
        What tasks print goes to ``attempt-0/rank-1.out`` and ``.err`` in here, not to this
        process' own output with the rank before each line. On Spark, it is a folder of
        the host of each task, and else lines are in the executors' logs.
    on_report : callable, optional
        Called as ``on_report(rank, value)`` in this thread for what tasks report. On Spark,
        reports come at the end where executors cannot reach this process.

    Returns
    -------
    list
        By rank.

    Raises
    ------
    PeerFailed
        A task failed, and no restart was left. The message says which rank and how; an
        exception of the task is the cause of this one, and its traceback is in the notes.
    ResourceExhausted
        There are too few accelerators, or slots of the cluster.
    Unsupported
        Spark's dynamic allocation is on.
    InvalidArgument
        An argument is wrong, or does not pickle.

    Notes
    -----
    Each task finds RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR,
    MASTER_PORT, TF_CONFIG, JAX_COORDINATOR_ADDRESS and OMP_NUM_THREADS in its environment,
    so that ``torch.distributed.init_process_group`` and its like need no arguments. Loaders
    take their rank from there, too. Ctrl-C ends the gang.

    Examples
    --------
    >>> import headrace as hr
    >>> hr.gang.run(lambda x: x + hr.gang.context().rank, [10], tasks=2)
    [10, 11]
    """
    tasks = _validate.integer("tasks", tasks, 1)
    max_restarts = _validate.integer("max_restarts", max_restarts, 0)
    timeout_ms = milliseconds("timeout", timeout) or 1
    gpus_per_task = _validate.real("gpus_per_task", gpus_per_task)
    addresses = shares(tasks, gpus_per_task) if engine is None else []
    try:
        payload = cloudpickle.dumps((fn, tuple(args), dict(kwargs or {})))
    except Exception as error:
        raise InvalidArgument(
            f"{_name(fn)} or its arguments do not pickle ({error}): make in the task what "
            f"cannot travel"
        ) from error

    def hand(rank: int, value: bytes) -> None:
        if on_report is not None:
            on_report(rank, pickle.loads(value))

    def say_restart(attempt: int, why: str) -> None:
        _say_restart(attempt, max_restarts, why)

    if engine is not None:
        from ._spark import Gang, launch

        gang = Gang(
            payload=payload,
            tasks=tasks,
            gpus_per_task=gpus_per_task,
            max_restarts=max_restarts,
            timeout_ms=timeout_ms,
            env=dict(env or {}),
            output_dir=None if output_dir is None else os.fspath(output_dir),
            on_report=None if on_report is None else hand,
            on_restart=say_restart,
        )
        return [pickle.loads(result) for result in launch(engine, gang)]
    path = json.dumps([os.fspath(folder) for folder in sys.path])
    end = _native.run_gang(
        [sys.executable, "-c", START, path],
        tasks=tasks,
        environment=[*os.environ.items(), *(env or {}).items()],
        accelerators=addresses,
        max_restarts=max_restarts,
        timeout_ms=timeout_ms,
        payload=payload,
        on_output=Output(output_dir).put,
        on_report=hand,
        on_restart=say_restart,
    )
    if end.failure is not None:
        report = recovered_report(end.exception)
        raise Failure(Cause.RAISED, end.rank, end.failure, report).exception()
    return [pickle.loads(result) for result in end.results]


def _name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__qualname__", None) or repr(fn)


def _say_restart(attempt: int, max_restarts: int, why: str) -> None:
    print(  # noqa: T201 (as what tasks print)
        f"headrace: {why}\nheadrace: starting again, attempt {attempt + 1} of "
        f"{max_restarts + 1}",
        file=sys.stderr,
        flush=True,
    )
