"""Rows a second of the loader beside Arrow's decode limit, on a generated table.

The limit reads each row group with `pyarrow.parquet.ParquetFile.read_row_group` and makes
no batches. Limit and loader run in turn; the ratio is the median over the pairs.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

COLUMNS = 20
ROW_GROUP_ROWS = 310_000


@dataclass(frozen=True)
class Case:
    """A way of reading, named as in the table that is printed."""

    name: str
    threads: int
    shuffle: bool
    batch_size: int
    to: str = "numpy"


@dataclass(frozen=True)
class Measured:
    """A case's median rate, and its rate in that of Arrow's decoding (1.0: no slower)."""

    case: Case
    rows_per_second: float
    limit_rows_per_second: float
    ratio: float
    pairs: int


CASES = (
    Case("in stored order", 1, False, 4096),
    Case("shuffled", 1, True, 4096),
    Case("shuffled", 2, True, 4096),
    Case("shuffled, small batches", 2, True, 256),
    Case("shuffled, to torch", 2, True, 4096, to="torch"),
)


def make_table(path: Path, rows: int) -> None:
    """Writes one file of float32 and int32 columns, half of them compressible."""
    if path.exists():
        return
    random = np.random.default_rng(7)
    columns: dict[str, np.ndarray] = {}
    for i in range(COLUMNS):
        if i % 2:
            columns[f"i{i}"] = random.integers(0, 10_000, rows, dtype=np.int32)
        else:
            columns[f"x{i}"] = random.normal(size=rows).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    pq.write_table(
        pa.table(columns), partial, row_group_size=ROW_GROUP_ROWS, compression="snappy"
    )
    partial.rename(path)


def read_limit(path: Path, threads: int) -> int:
    """Decodes every row group, on so many threads, and drops it."""

    def rows_of(groups: range) -> int:
        file = pq.ParquetFile(path)
        return sum(file.read_row_group(i, use_threads=False).num_rows for i in groups)

    count = pq.read_metadata(path).num_row_groups
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(rows_of, [range(i, count, threads) for i in range(threads)]))


def read_loader(path: Path, case: Case) -> int:
    """One epoch of the loader."""
    rows = 0
    with hr.open(str(path)).loader(
        batch_size=case.batch_size,
        shuffle=case.shuffle,
        seed=7,
        num_threads=case.threads,
        to=case.to,
    ) as loader:
        for batch in loader:
            rows += len(batch["x0"])
    return rows


def timed(read: Callable[[], int], expected: int) -> float:
    """Rows a second of one reading; every row must have come."""
    begin = time.perf_counter()
    rows = read()
    seconds = time.perf_counter() - begin
    if rows != expected:
        raise SystemExit(f"read {rows} rows of {expected}")
    return rows / seconds


def measure(path: Path, case: Case, rows: int, pairs: int) -> Measured:
    """Runs limit and loader in turn, after one unmeasured pair."""
    limits, loaders = [], []
    for i in range(pairs + 1):
        limit = timed(lambda: read_limit(path, case.threads), rows)
        loader = timed(lambda: read_loader(path, case), rows)
        if i:
            limits.append(limit)
            loaders.append(loader)
    ratios = [a / b for a, b in zip(loaders, limits, strict=True)]
    return Measured(
        case,
        statistics.median(loaders),
        statistics.median(limits),
        statistics.median(ratios),
        pairs,
    )


def lines(results: list[Measured]) -> Iterator[str]:
    """The table that is printed."""
    yield f"{'case':<26} threads  batch  Mrows/s    limit  ratio"
    for result in results:
        case = result.case
        yield (
            f"{case.name:<26} {case.threads:>7} {case.batch_size:>6} "
            f"{result.rows_per_second / 1e6:>8.2f} "
            f"{result.limit_rows_per_second / 1e6:>8.2f} {result.ratio:>6.2f}"
        )


def processor() -> str:
    """The processor's name, as Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main() -> None:
    """Measures all cases; prints a table, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--data", type=Path, default=Path("build/bench/data"))
    parser.add_argument("--json", type=Path, default=Path("build/bench/loaders.json"))
    arguments = parser.parse_args()
    path = arguments.data / f"numbers-{arguments.rows}.parquet"
    make_table(path, arguments.rows)
    progress = tqdm(CASES, disable=not sys.stderr.isatty(), leave=False)
    results = [measure(path, case, arguments.rows, arguments.pairs) for case in progress]
    for line in lines(results):
        print(line)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": {"processor": processor(), "cores": os.cpu_count()},
        "rows": arguments.rows,
        "columns": COLUMNS,
        "row_group_rows": ROW_GROUP_ROWS,
        "results": [asdict(result) for result in results],
    }
    arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
