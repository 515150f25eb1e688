"""Launching a gang of a function."""

import json
import os
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import cloudpickle

from .. import _native, _validate
from .._reported import recovered
from ..errors import InvalidArgument, PeerFailed
from ._accelerators import shares
from ._context import milliseconds

__all__ = ["run"]

#: The parent's paths come first, so that the package is found where it was.
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from headrace.gang._task import main; main()"
)


def run(
    fn: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    tasks: int = 1,
    gpus_per_task: float = 0,
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
    max_restarts : int
        How many times all tasks start again, from the beginning, after a failure.
        ``context().attempt`` counts them.
    timeout : float
        Seconds that tasks wait for each other, at the start and wherever they meet.
    env : mapping, optional
        Variables for the tasks, beside this process' own.
    output_dir : path, optional
        What tasks print goes to ``attempt-0/rank-1.out`` and ``.err`` in here, not to this
        process' own output with the rank before each line.
    on_report : callable, optional
        Called as ``on_report(rank, value)`` in this thread for what tasks report.

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
        There are too few accelerators.
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
    timeout_ms = milliseconds("timeout", timeout)
    addresses = shares(tasks, _validate.real("gpus_per_task", gpus_per_task))
    try:
        payload = cloudpickle.dumps((fn, tuple(args), dict(kwargs or {})))
    except Exception as error:
        raise InvalidArgument(
            f"{_name(fn)} or its arguments do not pickle ({error}): make in the task what "
            f"cannot travel"
        ) from error
    path = json.dumps([os.fspath(folder) for folder in sys.path])
    end = _native.run_gang(
        [sys.executable, "-c", START, path],
        tasks=tasks,
        environment=[*os.environ.items(), *(env or {}).items()],
        accelerators=addresses,
        max_restarts=max_restarts,
        timeout_ms=timeout_ms or 1,
        payload=payload,
        on_output=_Output(output_dir).put,
        on_report=lambda rank, value: on_report and on_report(rank, pickle.loads(value)),
        on_restart=lambda attempt, why: _say_restart(attempt, max_restarts, why),
    )
    if end.failure is not None:
        report = pickle.loads(end.exception)
        failure = PeerFailed(end.failure)
        failure.add_note(f"In rank {end.rank}:\n{report[2]}")
        raise failure from recovered(report)
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


class _Output:
    """Puts what tasks print where it belongs."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._folder = None if folder is None else Path(folder)

    def put(self, attempt: int, rank: int, is_error: bool, lines: bytes) -> None:
        if self._folder is not None:
            place = self._folder / f"attempt-{attempt}"
            place.mkdir(parents=True, exist_ok=True)
            name = f"rank-{rank}.{'err' if is_error else 'out'}"
            with (place / name).open("ab") as file:
                file.write(lines)
            return
        stream: TextIO = sys.stderr if is_error else sys.stdout
        text = lines.decode(errors="replace")
        stream.write("".join(f"[{rank}] {line}\n" for line in text.splitlines()))
        stream.flush()
