"""What a training script waits for, and what it does not: on the table of bench/work.py.

- First batch: from asking for it to having it, in the time that reading one shuffle window
  takes at the loader's own rate, each time of another epoch. Bound: 1.3. And of loaders that
  are new, which have to get all their memory from the system first.
- Resuming: from `load_state_dict` to the first batch, in a fresh start's time to it, and what
  both read: resuming also passes over what lies before in each stream's row group.
- Counting a filter's survivors: rows a second, in those of Arrow's decode of the filter's
  columns. Bound: 0.7.
- Opening a table of 10,000 files whose footers are in the page cache. Bound: 2 s.
- Utilisation under a simulated training step (a sleep of a fixed length a batch, as MLPerf
  Storage does): the sleeps' part of the loop's time. Bound: 99 %, if a loop that only makes
  tensors of memory has that: a core that wakes up runs Python out of empty caches.

Medians over rounds.
"""

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import headrace as hr
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine
import work

ROUNDS = 5
#: Where streams begin, and how much lies before that in their row groups, differs by epoch.
FIRST_ROUNDS = 15
FIRST_EPOCH = 10
WINDOW_ROWS = 1 << 20
BATCH_SIZE = 4096
FILES = 10_000
#: Seconds of a simulated training step on 4096 rows; the loader needs some 2 % of that.
STEP = 0.01


def loader_of(folder: Path, threads: int) -> hr.Loader:
    """The loader of bench/loaders."""
    dataset = hr.open(folder).select(*work.COLUMNS)
    return dataset.loader(
        batch_size=BATCH_SIZE,
        seed=7,
        shuffle_window_rows=WINDOW_ROWS,
        num_threads=threads,
        to="torch",
    )


def seconds_to_first(loader: hr.Loader) -> float:
    """From asking for the first batch to having it."""
    begin = time.perf_counter()
    next(iter(loader))
    return time.perf_counter() - begin


def epoch_seconds(loader: hr.Loader) -> float:
    """Seconds of an epoch of a consumer that does nothing."""
    begin = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - begin


def beginnings(folder: Path, rows: int, threads: int) -> Iterator[str]:
    """First batch, and resuming."""
    with loader_of(folder, threads) as loader:
        epoch_seconds(loader)
        epoch = statistics.median(epoch_seconds(loader) for _ in range(3))
        window = epoch * WINDOW_ROWS / rows
        firsts = []
        before = loader.stats()["bytes_read"]
        for i in range(FIRST_ROUNDS):
            loader.set_epoch(FIRST_EPOCH + i)
            firsts.append(seconds_to_first(loader))
        first = statistics.median(firsts)
        first_bytes = (loader.stats()["bytes_read"] - before) / FIRST_ROUNDS
        for _ in itertools.islice(loader, len(loader) // 2 + 7):
            pass
        state = loader.state_dict()
        resumed = []
        before = loader.stats()["bytes_read"]
        for _ in range(ROUNDS):
            loader.load_state_dict(state)
            resumed.append(seconds_to_first(loader))
        resumed_bytes = (loader.stats()["bytes_read"] - before) / ROUNDS
    again = statistics.median(resumed)
    new = []
    for _ in range(ROUNDS):
        with loader_of(folder, threads) as loader:
            new.append(seconds_to_first(loader))
    yield (
        f"first batch, {threads} threads: {first:.3f} s ({min(firsts):.3f} to "
        f"{max(firsts):.3f}), {first / window:.2f} of a window's {window:.3f} s; "
        f"{statistics.median(new):.3f} s in a new loader"
    )
    yield (
        f"resumed, {threads} threads: {again:.3f} s, {again / first:.2f} of a fresh start's; "
        f"{resumed_bytes / 1e6:.0f} MB, {resumed_bytes / first_bytes:.2f} of its bytes"
    )


def counting(folder: Path, rows: int, limit: Path, threads: int) -> Iterator[str]:
    """Counting a filter's survivors."""
    ratios = []
    rates = []
    for i in range(ROUNDS):
        chosen = hr.open(folder).select("f0").where(f"f1 > 0.1 and i1 < {500 + i}")
        begin = time.perf_counter()
        chosen.loader(batch_size=BATCH_SIZE, num_threads=threads).close()
        rates.append(rows / (time.perf_counter() - begin))
        found, _ = machine.limit(limit, folder, threads, ["f1", "i1"])
        ratios.append(rates[-1] / found)
    yield (
        f"counting survivors, {threads} threads: {statistics.median(rates) / 1e6:.1f} Mrows/s, "
        f"{statistics.median(ratios):.2f} of Arrow's decode of the filter's columns"
    )


def opening() -> Iterator[str]:
    """Opening many files."""
    with tempfile.TemporaryDirectory() as name:
        table = pa.table({f"x{i}": pa.array(range(10), pa.float32()) for i in range(20)})
        path = Path(name) / "part-0.parquet"
        pq.write_table(table, path)
        content = path.read_bytes()
        for i in range(1, FILES):
            (Path(name) / f"part-{i}.parquet").write_bytes(content)
        seconds = []
        for _ in range(3):
            begin = time.perf_counter()
            hr.open(name)
            seconds.append(time.perf_counter() - begin)
    yield f"opening {FILES} files of 20 columns: {statistics.median(seconds):.2f} s"


def slept_part(batches: Callable[[], Iterable[object]], minutes: float) -> float:
    """The sleeps' part of passes over batches, with a step after each."""
    quiet = not sys.stderr.isatty()
    until = time.monotonic() + 60 * minutes
    slept = 0.0
    begin = time.perf_counter()
    with tqdm(desc="steps", disable=quiet, leave=False) as bar:
        while time.monotonic() < until:
            for _ in batches():
                asleep = time.perf_counter()
                time.sleep(STEP)
                slept += time.perf_counter() - asleep
                bar.update()
                if time.monotonic() >= until:
                    break
    return slept / (time.perf_counter() - begin)


def bare_batches() -> Iterator[dict[str, torch.Tensor]]:
    """Yield as many tensors of as many rows, made of memory that is there."""
    memory = torch.zeros(len(work.COLUMNS) * BATCH_SIZE)
    while True:
        yield dict(zip(work.COLUMNS, memory.unsafe_split(BATCH_SIZE), strict=True))


def utilisation(folder: Path, minutes: float, threads: int) -> Iterator[str]:
    """A training step of a fixed length."""
    with loader_of(folder, threads) as loader:
        epoch_seconds(loader)
        found = slept_part(lambda: loader, minutes)
    bare = slept_part(bare_batches, minutes / 10)
    yield (
        f"utilisation, {threads} threads: {100 * found:.2f} % over {60 * minutes:.0f} s of "
        f"steps of {1e3 * STEP:.2f} ms; {100 * bare:.2f} % with tensors of memory alone"
    )


def main() -> None:
    """Measure; print a line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--minutes", type=float, default=10, help="of simulated steps")
    parser.add_argument("--data", type=Path, default=Path("build/bench/data"))
    parser.add_argument(
        "--limit", type=Path, default=Path("build/bench/bench/headrace_limit")
    )
    arguments = parser.parse_args()
    os.environ["HEADRACE_CACHE_DIR"] = ""  # remembers no counts: they are made anew
    folder = work.write(arguments.data, arguments.rows)
    for threads in (1, 2):
        for line in beginnings(folder, arguments.rows, threads):
            print(line, flush=True)
        for line in counting(folder, arguments.rows, arguments.limit, threads):
            print(line, flush=True)
    for line in itertools.chain(opening(), utilisation(folder, arguments.minutes, 2)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
