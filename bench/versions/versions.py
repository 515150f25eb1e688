"""Opening Delta tables of many files and of many versions, beside delta-rs.

    python bench/versions/versions.py

Makes two tables in a temporary folder: one of 100,000 files with a checkpoint (links to one small
file), one of 1,000 versions without. Prints medians of seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import deltalake
import headrace as hr
import pyarrow as pa

ROWS = 10
LINKS_MAX = 30_000


def measured(name: str, rounds: int, call: Callable[[], object]) -> float:
    """The median of seconds that a call takes."""
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    median = statistics.median(seconds)
    print(f"{name:48s} {median:7.3f} s  ({min(seconds):.3f} to {max(seconds):.3f})")
    return median


def wide(root: Path, files: int) -> str:
    """A table of many files, all links to one, with a checkpoint."""
    uri = root / "files"
    hr.write(pa.table({"id": pa.array(range(ROWS), pa.int64())}), uri, progress=False)
    (data,) = uri.glob("*.parquet")
    lines = []
    for i in range(1, files):
        name = f"part-{i:06d}.parquet"
        if i % LINKS_MAX == 0:  # file systems bound the links to a file
            shutil.copy(data, uri / name)
            data = uri / name
        else:
            os.link(data, uri / name)
        stats = {
            "numRecords": ROWS,
            "minValues": {"id": 0},
            "maxValues": {"id": ROWS - 1},
            "nullCount": {"id": 0},
        }
        add = {
            "path": name,
            "partitionValues": {},
            "size": data.stat().st_size,
            "modificationTime": 0,
            "dataChange": True,
            "stats": json.dumps(stats),
        }
        lines.append(json.dumps({"add": add}))
    (uri / "_delta_log" / f"{1:020d}.json").write_text("\n".join(lines) + "\n")
    deltalake.DeltaTable(str(uri)).create_checkpoint()
    return str(uri)


def long(root: Path, versions: int) -> str:
    """A table of many versions without a checkpoint."""
    uri = root / "versions"
    for i in range(versions):
        row = pa.table({"id": pa.array([i], pa.int64())})
        hr.write(row, uri, mode="append", progress=False)
    for checkpoint in (uri / "_delta_log").glob("*checkpoint*"):
        checkpoint.unlink()
    return str(uri)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--versions", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        many = wide(Path(folder), args.files)
        what = f"{args.files:,} files, with a checkpoint"
        measured(f"headrace, {what}", args.rounds, lambda: hr.open(many))
        measured(f"delta-rs, {what}", args.rounds, lambda: deltalake.DeltaTable(many))
        table = hr.open(many)

        def start() -> None:
            with table.loader(batch_size=1024) as loader:
                next(iter(loader))

        first = measured("headrace, its loader's first batch", 1, start)
        print(f"{'':48s} {args.files / first:,.0f} footers/s")
        measured("headrace, the same once more", 1, start)
        deep = long(Path(folder), args.versions)
        what = f"{args.versions:,} versions, no checkpoint"
        measured(f"headrace, {what}", args.rounds, lambda: hr.open(deep))
        measured(f"delta-rs, {what}", args.rounds, lambda: deltalake.DeltaTable(deep))


if __name__ == "__main__":
    main()
