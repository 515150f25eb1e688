"""What every reader of images is measured by: one shuffled epoch, in a process of its own.

A script by_NAME.py hands `measure` a function that opens the table and yields the epoch's
batches of images, (batch, SIZE, SIZE, 3) or channels first, uint8. The clock runs from
before that call to the last batch; imports are before it. The script prints one line of
JSON, with the mean level of all pixels, by which images.py checks that they were read.

This module and the scripts run in the peers' environments: nothing is imported but the
standard library and numpy, which all of them have.
"""

import argparse
import importlib.metadata
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SIZE = 224
BATCH_SIZE = 64


@dataclass(frozen=True)
class Job:
    """What is to be read, and by which means."""

    files: list[Path]
    workers: int
    seed: int


def parse_job(description: str | None) -> Job:
    """Return what the command line of every script asks for."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the files")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    files = sorted(arguments.data.resolve().glob("*.parquet"))
    return Job(files, arguments.workers, arguments.seed)


def cells(job: Job) -> list[bytes]:
    """Return all encoded images, for readers that take no Parquet. It is timed with them."""
    import pyarrow.parquet as pq

    return [
        cell
        for path in job.files
        for cell in pq.read_table(path, columns=["image"])["image"].to_pylist()
    ]


def measure(distribution: str, epoch: Callable[[], Iterator[Any]]) -> None:
    """Run an epoch and print what it took.

    Parameters
    ----------
    distribution : str
        The package whose version is told.
    epoch : callable
        Opens the table and yields a shuffled epoch's batches, as numpy arrays or what
        numpy takes without a copy.
    """
    images = 0
    total = 0.0
    first_batch_seconds = 0.0
    begin = time.perf_counter()
    for batch in epoch():
        if not images:
            first_batch_seconds = time.perf_counter() - begin
        pixels = np.asarray(batch)
        images += len(pixels)
        total += float(pixels[:, ::7, ::7].mean(dtype=np.float64)) * len(pixels)
    seconds = time.perf_counter() - begin
    result = {
        "version": importlib.metadata.version(distribution),
        "images": images,
        "seconds": seconds,
        "first_batch_seconds": first_batch_seconds,
        "mean": total / max(images, 1),
    }
    print(json.dumps(result), flush=True)
