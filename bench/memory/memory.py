"""Memory of a loader over epochs: what its process holds beside files and code.

Each case writes a table of many times its budget and reads it in a process of its own,
which samples RssAnon + RssShmem after every batch. Shown are the peak above the value
before the loader, the budget, and the growth from the second epoch's peak to the last's.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

#: Above the budget: allocators, Python, what the consumer holds (issue's bound).
SLACK = 150_000_000


@dataclass(frozen=True)
class Case:
    """A table by row groups, and how it is read."""

    schema: pa.Schema
    #: A row group; its bytes in memory are what a table is made of.
    group: Callable[[np.random.Generator], list[pa.Array]]
    options: dict[str, Any]
    select: list[str] | None = None
    #: In floors. Columns without a fixed width have a floor that is an estimate.
    budget: float = 1.0
    #: How it is written.
    writer: dict[str, Any] = field(default_factory=lambda: {"compression": "zstd"})


def _numbers(rows: int, columns: int) -> Callable[[np.random.Generator], list[pa.Array]]:
    def group(rng: np.random.Generator) -> list[pa.Array]:
        return [pa.array(rng.random(rows, np.float32)) for _ in range(columns)]

    return group


def _blobs(rows: int, size: int, kind: pa.DataType) -> Callable[..., list[pa.Array]]:
    def group(rng: np.random.Generator) -> list[pa.Array]:
        values = [bytes([97 + int(rng.integers(26))]) * size for _ in range(rows)]
        return [pa.array(values, pa.binary()).cast(kind)]

    return group


#: In pages of 1,024, which is more than where writers count bytes.
TENSORS = hr.Schema([hr.Field("x", "uint8", (40, 40, 3), codec="raw")])


def _tensors(rows: int) -> Callable[[np.random.Generator], list[pa.Array]]:
    def group(rng: np.random.Generator) -> list[pa.Array]:
        values = rng.integers(0, 256, (rows, 40, 40, 3), np.uint8)
        return [TENSORS.encode({"x": values})["x"].combine_chunks()]

    return group


def _schema(columns: int) -> pa.Schema:
    return pa.schema([(f"x{i}", pa.float32()) for i in range(columns)])


CASES = {
    "large_row_groups": Case(
        _schema(5),
        _numbers(1 << 20, 5),
        {"batch_size": 4096, "streams": 4, "shuffle_window_rows": 1 << 16},
    ),
    "wide": Case(
        _schema(2000),
        _numbers(10_000, 2000),
        {"batch_size": 256, "streams": 4, "shuffle_window_rows": 4096},
        select=[f"x{i}" for i in range(0, 2000, 40)],
    ),
    "long_strings": Case(
        pa.schema([("text", pa.string())]),
        _blobs(200, 100_000, pa.string()),
        {"batch_size": 8, "streams": 4, "shuffle_window_rows": 64},
        budget=1.5,
    ),
    "blobs": Case(
        pa.schema([("blob", pa.large_binary())]),
        _blobs(8, 16 << 20, pa.large_binary()),
        {"batch_size": 1, "streams": 1, "shuffle_window_rows": 2},
        budget=1.5,
    ),
    "tensors": Case(
        TENSORS.to_arrow(),
        _tensors(4096),
        {"batch_size": 32, "streams": 4, "shuffle_window_rows": 512},
        writer={"compression": "none", "use_dictionary": False},
    ),
}


def held_bytes() -> int:
    """Anonymous and shared memory of this process."""
    fields = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    return sum(1024 * int(fields[name].split()[0]) for name in ("RssAnon", "RssShmem"))


def loader_of(case: Case, folder: Path, budget: int | None) -> hr.Loader:
    """The case's loader."""
    dataset = hr.open(folder)
    if case.select:
        dataset = dataset.select(*case.select)
    return dataset.loader(**case.options, seed=3, memory_budget=budget)


def write(case: Case, folder: Path, times: float) -> int:
    """Write a table of `times` the budget, and return the budget."""
    rng = np.random.default_rng(1)
    budget = 0
    with pq.ParquetWriter(
        folder / "part-0.parquet", case.schema, **case.writer
    ) as writer:
        group = pa.table(case.group(rng), case.schema)
        writer.write_table(group, row_group_size=len(group))
    group_bytes = group.nbytes
    groups = 1
    while True:  # more groups may raise the floor, up to as many as there are streams
        with loader_of(case, folder, 8 << 30) as loader:
            budget = int(case.budget * loader.stats()["memory_floor"])
        if groups * group_bytes >= times * budget:
            return budget
        more = min(64, -(-int(times * budget) // group_bytes) - groups)
        path = folder / f"part-{groups}.parquet"
        with pq.ParquetWriter(path, case.schema, **case.writer) as writer:
            for _ in range(more):
                group = pa.table(case.group(rng), case.schema)
                writer.write_table(group, row_group_size=len(group))
        groups += more


def read(case: Case, folder: Path, budget: int, epochs: int) -> Iterator[int]:
    """Read epochs; yield the peak of each, above what was held before the loader."""
    gc.collect()
    before = held_bytes()
    with loader_of(case, folder, budget) as loader:
        for _ in range(epochs):
            peak = 0
            sampled = 0.0
            for _batch in loader:
                if time.monotonic() - sampled > 0.002:
                    sampled = time.monotonic()
                    peak = max(peak, held_bytes() - before)
            yield peak
        if loader.stats()["memory_peak"] > budget:
            raise SystemExit("memory_peak is above the budget")


def main() -> None:
    """Measure the cases, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--times", type=float, default=20, help="table in budgets")
    parser.add_argument("--json", action="store_true", help="a line of JSON a case")
    parser.add_argument(
        "--read", nargs=2, metavar=("FOLDER", "BUDGET"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.read:
        folder, budget = Path(arguments.read[0]), int(arguments.read[1])
        print(
            json.dumps(
                list(read(CASES[arguments.cases[0]], folder, budget, arguments.epochs))
            )
        )
        return
    for name in arguments.cases or CASES:
        with tempfile.TemporaryDirectory() as folder:
            budget = write(CASES[name], Path(folder), arguments.times)
            command = [sys.executable, __file__, name, "--epochs", str(arguments.epochs)]
            command += ["--read", folder, str(budget)]
            peaks = json.loads(subprocess.check_output(command))
        result = {
            "case": name,
            "budget": budget,
            "peak": max(peaks),
            "bound": budget + SLACK,
            "growth": peaks[-1] - peaks[1],
            "peaks": peaks,
        }
        if arguments.json:
            print(json.dumps(result), flush=True)
            continue
        print(
            f"{name:<18} budget {budget / 1e6:>6.0f} MB  peak {max(peaks) / 1e6:>6.0f} MB  "
            f"bound {result['bound'] / 1e6:>6.0f} MB  growth after epoch 2 "
            f"{result['growth'] / 1e6:>5.1f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
