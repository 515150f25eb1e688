"""Rows a second of the loader beside Arrow's decode limit, on the table of bench/work.py.

The limit is bench/limit: `ReadRowGroup` of the same columns on as many threads, no batches.
Limit and loader run in turn, each after a round that is not counted; the ratio is that of a
pair. Shown are the median and the range of the ratio over the pairs.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import headrace as hr
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine
import work

#: Of a loader; the first is not counted.
EPOCHS = 4
SHUFFLE_WINDOW_ROWS = 1 << 20


@dataclass(frozen=True)
class Case:
    """A way of reading, named as in the table that is printed."""

    name: str
    threads: int
    batch_size: int
    packed: bool = False
    shuffle: bool = True
    to: str = "torch"


@dataclass(frozen=True)
class Measured:
    """A case's rates, and its rate in that of Arrow's decoding (1.0: no slower)."""

    case: Case
    rows_per_second: float
    limit_rows_per_second: float
    ratio: float
    least: float
    greatest: float
    first_batch_seconds: float
    consumer_wait_seconds: float
    memory_peak: int


CASES = [
    Case(f"{'packed' if packed else 'dict'}, shuffled", threads, batch_size, packed)
    for batch_size in (4096, 256)
    for packed in (False, True)
    for threads in (1, 2)
] + [
    Case("dict, stored order", 1, 4096, shuffle=False),
    Case("numpy, shuffled", 2, 4096, to="numpy"),
]


def read(folder: Path, case: Case, rows: int) -> tuple[float, float, dict[str, Any]]:
    """Return the rows a second of the loader, the first batch's seconds, and the stats."""
    dataset = hr.open(str(folder)).select(*work.COLUMNS)
    if case.packed:
        dataset = dataset.pack("x", work.FLOATS).pack("y", work.INTEGERS)
    seconds = []
    first = 0.0
    with dataset.loader(
        batch_size=case.batch_size,
        shuffle=case.shuffle,
        seed=7,
        shuffle_window_rows=SHUFFLE_WINDOW_ROWS,
        num_threads=case.threads,
        to=case.to,
    ) as loader:
        for epoch in range(EPOCHS):
            came = 0
            begin = time.perf_counter()
            for batch in loader:
                if came == 0 and epoch == 1:
                    first = time.perf_counter() - begin
                came += len(next(iter(batch.values())))
            seconds.append(time.perf_counter() - begin)
            if came != rows:
                raise SystemExit(f"read {came} rows of {rows}")
        return rows / statistics.median(seconds[1:]), first, loader.stats()


def measure(program: Path, folder: Path, case: Case, rows: int, pairs: int) -> Measured:
    """Run limit and loader in turn."""
    limits, rates, firsts = [], [], []
    stats: dict[str, Any] = {}
    for _ in range(pairs):
        limits.append(machine.limit(program, folder, case.threads)[0])
        rate, first, stats = read(folder, case, rows)
        rates.append(rate)
        firsts.append(first)
    ratios = [a / b for a, b in zip(rates, limits, strict=True)]
    return Measured(
        case,
        statistics.median(rates),
        statistics.median(limits),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        statistics.median(firsts),
        stats["stages"]["consumer"]["waiting"] / 1e9,
        stats["memory_peak"],
    )


def lines(results: list[Measured]) -> Iterator[str]:
    """Yield the table that is printed."""
    yield f"{'case':<20} threads batch  Mrows/s   limit  ratio (range)      first batch"
    for result in results:
        case = result.case
        yield (
            f"{case.name:<20} {case.threads:>7} {case.batch_size:>5} "
            f"{result.rows_per_second / 1e6:>8.2f} "
            f"{result.limit_rows_per_second / 1e6:>7.2f} {result.ratio:>6.2f} "
            f"({result.least:.2f} to {result.greatest:.2f})  "
            f"{result.first_batch_seconds:>8.3f} s"
        )


def main() -> None:
    """Measure all cases; print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path("build/bench/data"))
    parser.add_argument("--limit", type=Path, default=machine.LIMIT)
    parser.add_argument("--json", type=Path, default=Path("build/bench/loaders.json"))
    arguments = parser.parse_args()
    folder = work.write(arguments.data, arguments.rows)
    _, copied = machine.limit(arguments.limit, folder, 1)
    progress = tqdm(CASES, disable=not sys.stderr.isatty(), leave=False)
    results = [
        measure(arguments.limit, folder, case, arguments.rows, arguments.pairs)
        for case in progress
    ]
    for line in lines(results):
        print(line)
    print(f"memcpy: {copied / 1e9:.1f} GB/s")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": {"processor": machine.processor(), "cores": os.cpu_count()},
        "rows": arguments.rows,
        "columns": work.COLUMNS,
        "copy_bytes_per_second": copied,
        "results": [asdict(result) for result in results],
    }
    arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
