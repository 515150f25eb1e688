"""Opening one day of a folder of many partitions, and counting its rows.

A table of 10,000 directories, `day=2026-01-01/shard=0` and on: 100 days of 100 shards, one small
file in each. Opened whole and filtered, and opened as a part; from local disk, and from a
filesystem that answers each call after a pause, as an object store does. Medians over rounds,
and the calls of one opening.
"""

import argparse
import datetime
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import headrace as hr
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine

DAYS = 100
SHARDS = 100
ROUNDS = 3
FIRST = datetime.date(2026, 1, 1)
DAY = FIRST + datetime.timedelta(days=50)
NEXT = DAY + datetime.timedelta(days=1)

WAYS: dict[str, Callable[..., hr.Dataset]] = {
    "whole, then where": lambda uri, **on: hr.open(uri, **on).where(f"day = '{DAY}'"),
    "open(where=)": lambda uri, **on: hr.open(uri, where=f"day = '{DAY}'", **on),
    "open(between=)": lambda uri, **on: hr.open(uri, between=(DAY, NEXT), **on),
}


class Distant(LocalFileSystem):
    """Local files, each call counted, and answered after a pause."""

    cachable = False

    def __init__(self, pause: float) -> None:
        super().__init__()
        self.pause = pause
        self.calls: Counter[str] = Counter()
        self.lock = threading.Lock()

    def _answer(self, call: str) -> None:
        with self.lock:
            self.calls[call] += 1
        time.sleep(self.pause)

    def ls(self, path, detail=False, **kwargs):
        """List one directory."""
        self._answer("listings")
        return super().ls(path, detail=detail, **kwargs)

    def open(self, path, *args, **kwargs):
        """Open one file."""
        self._answer("files opened")
        return super().open(path, *args, **kwargs)

    def cat_file(self, path, *args, **kwargs):
        """Read one range."""
        self._answer("ranges read")
        return super().cat_file(path, *args, **kwargs)


def make(folder: Path) -> None:
    """Write the table."""
    source = folder / "f.parquet"
    pq.write_table(pa.table({"x": range(10), "y": [0.5] * 10}), source)
    content = source.read_bytes()
    source.unlink()
    for day in range(DAYS):
        for shard in range(SHARDS):
            inner = folder / f"day={FIRST + datetime.timedelta(days=day)}/shard={shard}"
            inner.mkdir(parents=True)
            (inner / "f.parquet").write_bytes(content)


def seconds(opened: Callable[..., hr.Dataset], uri: str, **on: object) -> float:
    """Of opening and counting."""
    begin = time.perf_counter()
    if opened(uri, **on).count_rows() != 10 * SHARDS:
        raise SystemExit("the rows of a day are not there")
    return time.perf_counter() - begin


def lines(folder: str, pause: float, rounds: int) -> Iterator[str]:
    """Measure each way."""
    for name, opened in WAYS.items():
        local = statistics.median(seconds(opened, folder) for _ in range(rounds))
        yield f"local disk, {name}: {local:.3f} s"
    for name, opened in WAYS.items():
        distant = Distant(pause)
        far = seconds(opened, folder, filesystem=distant)
        calls = ", ".join(
            f"{count} {call}" for call, count in sorted(distant.calls.items())
        )
        yield f"{1e3 * pause:.0f} ms a call, {name}: {far:.2f} s ({calls})"


def main() -> None:
    """Measure; print a line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--pause", type=float, default=0.01, help="seconds a call")
    arguments = parser.parse_args()
    print(machine.processor())
    with tempfile.TemporaryDirectory() as name:
        make(Path(name))
        for line in lines(name, arguments.pause, arguments.rounds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
