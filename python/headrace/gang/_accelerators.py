"""Which accelerators this machine has."""

import os

from .. import _native

__all__ = ["accelerators", "shares"]


def accelerators(name: str = "gpu", *, command: str | None = None) -> list[str]:
    """Return the addresses of this machine's accelerators.

    Parameters
    ----------
    name : str
        What they are called; NVIDIA's and AMD's are ``"gpu"``.
    command : str, optional
        A program that prints ``{"name": "gpu", "addresses": ["0", "1"]}``, as Spark's
        discovery scripts do; ``$HEADRACE_ACCELERATOR_COMMAND`` if not given. Without one,
        the tools of NVIDIA and AMD are asked, as far as they are installed.

    Returns
    -------
    list of str
        Those that ``$CUDA_VISIBLE_DEVICES`` leaves, if it is set. A machine without any has
        none, which is no error.

    Raises
    ------
    NotFound, Unavailable, InvalidArgument
        A command that is not there, that fails, or that prints something else.
    """
    environment = os.environ
    if command is None:
        command = environment.get("HEADRACE_ACCELERATOR_COMMAND", "")
    visible = environment.get("CUDA_VISIBLE_DEVICES", "all")
    return _native.discover_accelerators(name, command=command, visible=visible)


def shares(tasks: int, per_task: float) -> list[list[str]]:
    """Return the addresses of each task; nothing if they ask for none."""
    if not per_task:
        return []
    return _native.share_accelerators(
        "gpu", accelerators(), tasks=tasks, per_task=per_task
    )
