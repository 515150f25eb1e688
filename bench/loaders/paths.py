"""Rows a second of each decode path, a column at a time, beside Arrow's own decode of it.

One thread, shuffled, batches of 4096 as numpy; the limit is bench/limit on the same column.
docs/guide/performance.md lists what this prints.
"""

import argparse
import datetime
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine

EPOCHS = 4


@dataclass(frozen=True)
class Case:
    """A column, and how it is read."""

    name: str
    column: str
    choose: Callable[[hr.Dataset], hr.Dataset] = lambda dataset: dataset


CASES = (
    Case("number, plain", "plain"),
    Case("number, dictionary", "few"),
    Case("number with nulls", "nulls", lambda d: d.nulls({"nulls": hr.fill(0)})),
    Case("boolean", "flag"),
    Case("number, filtered", "plain", lambda d: d.where("few >= 50")),
    Case("a filter's number", "few", lambda d: d.where("few >= 50")),
    Case("string", "text"),
    Case("string as codes", "text", lambda d: d.codes({"text": None})),
    Case("list of 16, fixed", "vector"),
    Case("list, ragged", "list", lambda d: d.ragged({"list": "ragged"})),
    Case("decimal", "money", lambda d: d.cast({"money": "float64"})),
    Case("date", "day"),
)


def write(folder: Path, rows: int) -> None:
    """A table with a column for each path."""
    rng = np.random.default_rng(1)
    number = rng.standard_normal(rows).astype(np.float32)
    few = rng.integers(0, 100, rows, np.int32)
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(int(i)) for i in range(100)]
    lengths = rng.integers(0, 5, rows)
    table = pa.table(
        {
            "plain": number,
            "few": few,
            "nulls": pa.array(number, mask=few < 10),
            "flag": few > 30,
            "text": pa.array([f"user-{i}" for i in range(100)]).take(pa.array(few)),
            "vector": pa.FixedSizeListArray.from_arrays(
                pa.array(np.repeat(number, 16)), 16
            ),
            "list": pa.ListArray.from_arrays(
                np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
                pa.array(np.resize(number, lengths.sum())),
            ),
            "money": pa.array([Decimal(int(i)) / 100 for i in range(100)]).take(
                pa.array(few)
            ),
            "day": pa.array(days).take(pa.array(few)),
        }
    )
    pq.write_table(table, folder / "part.parquet", row_group_size=rows // 8)


def seconds_of(dataset: hr.Dataset) -> tuple[float, dict[str, list[str]]]:
    """The median epoch, and the decode paths."""
    seconds = []
    with dataset.loader(batch_size=4096, seed=7, num_threads=1) as loader:
        for _ in range(EPOCHS):
            begin = time.perf_counter()
            for _ in loader:
                pass
            seconds.append(time.perf_counter() - begin)
        return statistics.median(seconds[1:]), loader.stats()["decode_paths"]


def main() -> None:
    """Measure all cases; print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument(
        "--limit", type=Path, default=Path("build/bench/bench/headrace_limit")
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, arguments.rows)
        print(f"{'column':<20} {'path':<18} Mrows/s  of Arrow's")
        for case in CASES:
            dataset = case.choose(hr.open(folder).select(case.column))
            rows = dataset.count_rows()
            seconds, paths = seconds_of(dataset)
            leaf = case.column + (".list.element" if case.name.startswith("list") else "")
            limit, _ = machine.limit(arguments.limit, folder, 1, [leaf])
            print(
                f"{case.name:<20} {', '.join(paths[case.column]):<18} "
                f"{rows / seconds / 1e6:>7.1f} {rows / seconds / limit:>8.2f}"
            )


if __name__ == "__main__":
    main()
