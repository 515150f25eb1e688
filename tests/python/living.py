"""A table to iterate over, and checks that nothing is left behind."""

import contextlib
import gc
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import headrace as hr

ROWS = 20_000
STEPS = 200
BATCH = ROWS // STEPS
PROMPT = 30  # seconds: far more than needed, and far less than a time-out of storage


def make(dataset: hr.Dataset, **options: Any) -> hr.Loader:
    return dataset.loader(**{"batch_size": BATCH, "seed": 3, "num_threads": 3, **options})


def ids(batches: Any) -> list[int]:
    return [i for batch in batches for i in batch["id"].tolist()]


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def descriptors() -> set[str]:
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists
            found.add(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
    return found


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Check that threads and open files are afterwards as before."""
    gc.collect()
    threads_before, descriptors_before = threads(), descriptors()
    yield
    # A thread that is joined may be listed for some microseconds more.
    deadline = time.monotonic() + PROMPT
    while threads() > threads_before and time.monotonic() < deadline:
        os.sched_yield()
    assert threads() <= threads_before
    assert descriptors() <= descriptors_before


def script(text: str, **variables: object) -> list[str]:
    """Return the command that runs Python text with `hr`, `os`, `sys` and variables."""
    given = "".join(f"{name} = {value!r}\n" for name, value in variables.items())
    head = "import os, sys\nimport headrace as hr\n"
    return [sys.executable, "-c", head + given + textwrap.dedent(text)]


def run(text: str, **variables: object) -> str:
    """Run Python text; it has to exit with 0 and print nothing to stderr."""
    done = subprocess.run(
        script(text, **variables), capture_output=True, text=True, timeout=PROMPT
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
