"""What every reader is measured by: one shuffled epoch, in a process of its own.

A script by_NAME.py hands `measure` a function that opens the table and yields the epoch's
batches. The clock runs from before that call to the last batch; imports, and conversions
to a format of the reader's own, are before it. The script prints one line of JSON.

That line also has what peers.py checks an epoch by: the sum of column f0's bits over all
rows, and for some batches the keys of some rows, their bits of f0 and f1.

This module and the scripts run in the peers' environments: nothing is imported but the
standard library and torch, which all of them have.
"""

import argparse
import importlib.metadata
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

FLOATS = [f"f{i}" for i in range(16)]
INTS = [f"i{i}" for i in range(4)]
COLUMNS = FLOATS + INTS
#: Of which rows keys are told: few, as the clock is running, and in no step with readers that
#: take rows in turn from 2, 4 or 8 places.
KEYS_EVERY_BATCHES = 32
KEYS_EVERY_ROWS = 17


@dataclass(frozen=True)
class Job:
    """What is to be read, and by which means."""

    files: list[Path]
    batch_size: int
    workers: int
    buffer_rows: int
    seed: int
    scratch: Path


def parse_job(description: str | None) -> Job:
    """Return what the command line of every script asks for."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the files")
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--buffer-rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--scratch", type=Path, required=True, help="where a peer's own format is kept"
    )
    arguments = parser.parse_args()
    return Job(
        files=sorted(arguments.data.resolve().glob("*.parquet")),
        batch_size=arguments.batch_size,
        workers=arguments.workers,
        buffer_rows=arguments.buffer_rows,
        seed=arguments.seed,
        scratch=arguments.scratch.resolve(),
    )


def convert(folder: Path, write: Callable[[Path], None]) -> float:
    """Return the seconds that writing a folder took, now or when it was written."""
    note = folder / "conversion.json"
    if not note.exists():
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        partial.mkdir(parents=True)
        begin = time.perf_counter()
        write(partial)
        seconds = time.perf_counter() - begin
        (partial / note.name).write_text(json.dumps({"seconds": seconds}))
        partial.rename(folder)
    return float(json.loads(note.read_text())["seconds"])


def bits(
    batch: Any, name: str, column: Callable[[Any, str], torch.Tensor]
) -> torch.Tensor:
    """Return the bits of a float column as integers."""
    return column(batch, name).view(torch.int32)


def keys(batch: Any, column: Callable[[Any, str], torch.Tensor]) -> torch.Tensor:
    """Return integers of 64 bits that tell rows apart, for some rows of a batch."""
    high = bits(batch, "f0", column)[::KEYS_EVERY_ROWS].long()
    low = bits(batch, "f1", column)[::KEYS_EVERY_ROWS].long()
    return (high << 32) | (low & 0xFFFFFFFF)


def measure(
    distribution: str,
    epoch: Callable[[], Iterator[Any]],
    job: Job,
    *,
    column: Callable[[Any, str], torch.Tensor] = lambda batch, name: batch[name],
    conversion_seconds: float | None = None,
) -> None:
    """Run an epoch and print what it took.

    Parameters
    ----------
    distribution : str
        The package whose version is told.
    epoch : callable
        Opens the table and yields the batches of a shuffled epoch.
    job : Job
        What was asked for.
    column : callable
        A batch's column of a name.
    conversion_seconds : float, optional
        What writing the reader's own format took before.
    """
    rows = total = count = 0
    first_batch_seconds = 0.0
    samples = []
    begin = time.perf_counter()
    for batch in epoch():
        if not count:
            first_batch_seconds = time.perf_counter() - begin
        found = bits(batch, "f0", column)
        rows += len(found)
        total += int(found.sum(dtype=torch.int64))
        if count % KEYS_EVERY_BATCHES == 0 and len(found) == job.batch_size:
            samples.append(keys(batch, column))
        count += 1
    seconds = time.perf_counter() - begin
    result = {
        "version": importlib.metadata.version(distribution),
        "rows": rows,
        "batches": count,
        "seconds": seconds,
        "first_batch_seconds": first_batch_seconds,
        "conversion_seconds": conversion_seconds,
        "f0_sum": total,
        "keys": [sample.tolist() for sample in samples],
    }
    print(json.dumps(result), flush=True)
