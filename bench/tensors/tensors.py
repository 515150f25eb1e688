"""Rows a second of tensors in npy cells, beside reading and copying them once.

A table of uint8 (64, 64, 3) and float32 (128,) in two binary columns, shuffled, in batches of
64 and 1024. The limit is bench/tensors/limit.cc: the same column chunks read on as many
threads, each value copied once. Limit and loader run in turn; the ratio is that of a pair.
Bound: 0.5.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import headrace as hr
import numpy as np
import pyarrow.parquet as pq
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine

LIMIT = Path("build/bench/bench/headrace_cells_limit")
SCHEMA = hr.Schema(
    [
        hr.Field("pixels", "uint8", (64, 64, 3), codec="npy"),
        hr.Field("embedding", "float32", (128,), codec="npy"),
    ]
)
#: Bytes of an npy header.
HEADER = 128
FILES = 4
ROW_GROUP_ROWS = 2500
EPOCHS = 3


def write(parent: Path, rows: int) -> Path:
    """Write the table below `parent`, if it is not there, and return its folder."""
    folder = parent / f"tensors-{rows}"
    if folder.exists():
        return folder
    partial = parent / f"tensors-{rows}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    for number in tqdm(range(FILES), "writing", disable=not sys.stderr.isatty()):
        random = np.random.default_rng(number)
        count = rows // FILES
        table = SCHEMA.encode(
            {
                "pixels": random.integers(0, 256, (count, 64, 64, 3), np.uint8),
                "embedding": random.normal(size=(count, 128)).astype(np.float32),
            }
        )
        pq.write_table(
            table,
            partial / f"part-{number}.parquet",
            row_group_size=ROW_GROUP_ROWS,
            compression="none",
            use_dictionary=False,
        )
    partial.rename(folder)
    return folder


def limit(folder: Path, threads: int) -> float:
    """Return the rows a second of reading and copying."""
    files = sorted(str(path) for path in folder.glob("*.parquet"))
    names = ",".join(field.name for field in SCHEMA)
    command = [str(LIMIT), str(threads), "3", str(HEADER), names, *files]
    found = json.loads(subprocess.check_output(command, text=True))
    return float(found["rows"] / statistics.median(found["seconds"]))


def read(folder: Path, threads: int, batch_size: int) -> float:
    """Return the rows a second of a shuffled epoch; the first is not counted."""
    seconds = []
    rows = 0
    with hr.open(folder).loader(
        batch_size=batch_size, seed=7, num_threads=threads, to="torch"
    ) as loader:
        for _ in range(EPOCHS):
            rows = 0
            begin = time.perf_counter()
            for batch in loader:
                rows += len(batch["pixels"])
            seconds.append(time.perf_counter() - begin)
    return rows / statistics.median(seconds[1:])


def main() -> None:
    """Measure; print a table, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path("build/bench/data"))
    parser.add_argument("--json", type=Path, default=Path("build/bench/tensors.json"))
    arguments = parser.parse_args()
    folder = write(arguments.data, arguments.rows)
    results = []
    print("threads batch  rows/s   limit  ratio (range)")
    for threads in (1, 2):
        for batch_size in (64, 1024):
            limits, rates = [], []
            for _ in range(arguments.pairs):
                limits.append(limit(folder, threads))
                rates.append(read(folder, threads, batch_size))
            ratios = [a / b for a, b in zip(rates, limits, strict=True)]
            results.append(
                {
                    "threads": threads,
                    "batch_size": batch_size,
                    "rows_per_second": rates,
                    "limit_rows_per_second": limits,
                }
            )
            print(
                f"{threads:>7} {batch_size:>5} {statistics.median(rates):>7.0f} "
                f"{statistics.median(limits):>7.0f} {statistics.median(ratios):>6.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f})"
            )
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": {"processor": machine.processor(), "cores": os.cpu_count()},
        "results": results,
    }
    arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
