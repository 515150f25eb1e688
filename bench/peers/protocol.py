"""What every peer is measured by: one shuffled epoch, in a process of its own.

A script by_NAME.py hands `measure` a function that opens the table and yields the epoch's
batches. The clock runs from before that call to the last batch; imports, and conversions
to a format of the peer's own, are before it. The script prints one line of JSON.

A batch counts by its row numbers, column i0: all of them must come once. `mixing` tells
what the shuffle was worth: the spread of a batch's row numbers in that of the whole table
(1.0: each batch is drawn from everywhere; 0.1: from a tenth).

This module and the scripts run in the peers' environments: nothing is imported but the
standard library and torch, which all of them have.
"""

import argparse
import importlib.metadata
import json
import os
import resource
import shutil
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

FLOATS = [f"f{i}" for i in range(16)]
INTS = [f"i{i}" for i in range(4)]
COLUMNS = FLOATS + INTS
SAMPLE_EVERY_SECONDS = 0.5
MIXING_EVERY_BATCHES = 16


@dataclass(frozen=True)
class Job:
    """What is to be read, and by which means."""

    files: list[Path]
    rows: int
    batch_size: int
    workers: int
    buffer_rows: int
    seed: int
    scratch: Path


def parse_job(description: str | None) -> Job:
    """The command line of every script."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the files")
    parser.add_argument("--rows", type=int, required=True, help="rows of all files")
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
        rows=arguments.rows,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
        buffer_rows=arguments.buffer_rows,
        seed=arguments.seed,
        scratch=arguments.scratch.resolve(),
    )


def convert(folder: Path, write: Callable[[Path], None]) -> float:
    """Seconds that writing a folder took, now or when it was written."""
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


def family(root: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for process in found:
        found.extend(children.get(process, ()))
    return found


def resident_bytes(processes: list[int]) -> int:
    """Memory of processes together; a page that several share counts once."""
    total = 0
    for process in processes:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:  # it ended meanwhile
            continue
        total += sum(1024 * int(x.split()[1]) for x in lines if x.startswith("Pss:"))
    return total


class PeakMemory(threading.Thread):
    """Samples the memory of this process and its children until it is stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._stop_event = threading.Event()
        self._peak = 0

    def run(self) -> None:
        """Samples now and then."""
        while not self._stop_event.wait(SAMPLE_EVERY_SECONDS):
            self._peak = max(self._peak, resident_bytes(family(os.getpid())))

    def stop(self) -> int:
        """The peak in bytes; that of this very process is exact."""
        self._stop_event.set()
        self.join()
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return max(self._peak, own)


def measure(
    distribution: str,
    epoch: Callable[[], Iterator[Any]],
    job: Job,
    *,
    row_numbers: Callable[[Any], torch.Tensor] = lambda batch: batch["i0"],
    conversion_seconds: float | None = None,
) -> None:
    """Runs an epoch, checks that it was one, and prints what it took.

    Parameters
    ----------
    distribution : str
        The package whose version is told.
    epoch : callable
        Opens the table and yields the batches of a shuffled epoch.
    job : Job
        What was asked for.
    row_numbers : callable
        A batch's column i0 as a tensor.
    conversion_seconds : float, optional
        What writing the peer's own format took before.
    """
    memory = PeakMemory()
    memory.start()
    rows = total = count = 0
    first_batch_seconds = 0.0
    spreads = []
    begin = time.perf_counter()
    for batch in epoch():
        if not count:
            first_batch_seconds = time.perf_counter() - begin
        numbers = row_numbers(batch)
        rows += len(numbers)
        total += int(numbers.sum(dtype=torch.int64))
        if count % MIXING_EVERY_BATCHES == 0 and len(numbers) > 1:
            spreads.append(float(numbers.double().std()))
        count += 1
    seconds = time.perf_counter() - begin
    if rows != job.rows or total != job.rows * (job.rows - 1) // 2:
        raise SystemExit(
            f"read {rows} rows whose numbers add up to {total}: expected {job.rows} rows, "
            f"each once"
        )
    result = {
        "version": importlib.metadata.version(distribution),
        "rows": rows,
        "batches": count,
        "seconds": seconds,
        "first_batch_seconds": first_batch_seconds,
        "peak_rss": memory.stop(),
        "mixing": statistics.median(spreads) / (job.rows / 12**0.5),
        "conversion_seconds": conversion_seconds,
    }
    print(json.dumps(result), flush=True)
