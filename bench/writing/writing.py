"""Rows a second that `headrace.write` writes, beside its peers, on the table of bench/work.py.

Work A's 20 four-byte columns are held as one Arrow table and written to Parquet with the
same compression, on as many threads, in row groups of about 32 MiB: by
`pyarrow.dataset.write_dataset`, `deltalake.write_deltalake` and DuckDB's `COPY`. Each way is a
process of its own that maps the table from a file, so that the peak of its memory, mapped
files apart, is that of writing. Ways run in turn; the ratio is that of a turn, and shown are
its median and range.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine
import work

WAYS = ["headrace", "pyarrow", "deltalake", "duckdb"]
MIB = 2**20


def mapped(path: Path) -> pa.Table:
    """The table, of which no byte is in memory before it is read."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def write_headrace(table: pa.Table, target: Path, options: argparse.Namespace) -> None:
    """Ours."""
    import headrace as hr

    hr.write(
        table,
        target,
        format="parquet",
        compression=options.compression,
        num_threads=options.threads,
        memory_budget=options.memory_budget,
    )


def write_pyarrow(table: pa.Table, target: Path, options: argparse.Namespace) -> None:
    """Arrow's own, which takes threads from its pool."""
    import pyarrow.dataset as ds

    pa.set_cpu_count(options.threads)
    ds.write_dataset(
        table,
        target,
        format="parquet",
        max_rows_per_group=work.ROW_GROUP_ROWS,
        min_rows_per_group=work.ROW_GROUP_ROWS,
        file_options=ds.ParquetFileFormat().make_write_options(
            compression=options.compression
        ),
    )


def write_deltalake(table: pa.Table, target: Path, options: argparse.Namespace) -> None:
    """delta-rs."""
    from deltalake import WriterProperties, write_deltalake

    write_deltalake(
        target,
        table,
        writer_properties=WriterProperties(
            compression=options.compression.upper(),
            max_row_group_size=work.ROW_GROUP_ROWS,
        ),
    )


def write_duckdb(table: pa.Table, target: Path, options: argparse.Namespace) -> None:
    """DuckDB's COPY, of a table that it reads from Arrow."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"set threads={options.threads}")
    connection.register("rows", table)
    target.mkdir()
    connection.execute(
        f"copy rows to '{target / 'part.parquet'}' (format parquet, "
        f"compression {options.compression}, row_group_size {work.ROW_GROUP_ROWS})"
    )


class Peak:
    """The most memory, mapped files apart, that this process holds meanwhile."""

    def __enter__(self) -> "Peak":
        self._ended = threading.Event()
        self._begin = self.bytes = self._now()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.bytes -= self._begin

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            self.bytes = max(self.bytes, self._now())

    @staticmethod
    def _now() -> int:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        return 0


def measure(way: str, source: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Write once, in this process."""
    table = mapped(source)
    target = Path(options.folder) / f"written-{way}"
    shutil.rmtree(target, ignore_errors=True)
    globals()[f"write_{way}"](table.slice(0, 1000), target, options)  # imports, pools
    shutil.rmtree(target)
    before = resource.getrusage(resource.RUSAGE_SELF)
    begin = time.perf_counter()
    with Peak() as peak:
        globals()[f"write_{way}"](table, target, options)
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_SELF)
    files = sorted(target.rglob("*.parquet"))
    groups = sum(pq.read_metadata(file).num_row_groups for file in files)
    found = {
        "way": way,
        "seconds": seconds,
        "cpu_seconds": after.ru_utime
        + after.ru_stime
        - before.ru_utime
        - before.ru_stime,
        "peak_bytes": peak.bytes,
        "bytes": sum(file.stat().st_size for file in files),
        "row_groups": groups,
    }
    shutil.rmtree(target)
    return found


def main() -> None:
    """Run all ways in turn, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compression", default="snappy")
    parser.add_argument("--memory-budget", type=int, default=512 * MIB)
    parser.add_argument("--folder", default="build/bench/writing")
    parser.add_argument("--only", nargs="*", default=WAYS, choices=WAYS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"work-{options.rows}.arrow"
    if options.one:
        print(json.dumps(measure(options.one, source, options)))
        return
    if not source.exists():
        written = work.write(folder.parent, options.rows)
        table = pq.read_table(written, columns=work.COLUMNS)
        with pa.ipc.new_file(source, table.schema) as sink:
            sink.write_table(table, max_chunksize=1 << 17)
        del table
    arguments = [sys.executable, __file__, *sys.argv[1:]]
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in options.only}
    for _ in range(options.rounds + 1):  # the first round is not counted
        for way in options.only:
            done = subprocess.run(
                [*arguments, "--one", way], check=True, stdout=subprocess.PIPE, text=True
            )
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
    report = []
    print(
        f"writing {options.rows} rows, {options.compression}, {options.threads} threads"
    )
    print(
        f"{'way':10} {'Mrows/s':>8} {'of headrace':>22} {'CPU s':>6} {'peak':>9} {'size':>9}"
    )
    for way, rounds in found.items():
        counted = rounds[1:]
        ours = found.get("headrace", rounds)[1:]
        ratios = [a["seconds"] / b["seconds"] for a, b in zip(ours, counted, strict=True)]
        row = {
            "way": way,
            "rows_per_second": options.rows
            / statistics.median(one["seconds"] for one in counted),
            "ratio": statistics.median(ratios),
            "least": min(ratios),
            "greatest": max(ratios),
            "cpu_seconds": statistics.median(one["cpu_seconds"] for one in counted),
            "peak_bytes": max(one["peak_bytes"] for one in counted),
            "bytes": counted[0]["bytes"],
            "row_groups": counted[0]["row_groups"],
        }
        report.append(row)
        spread = f"{row['ratio']:.2f} ({row['least']:.2f}-{row['greatest']:.2f})"
        print(
            f"{way:10} {row['rows_per_second'] / 1e6:8.2f} {spread:>22} "
            f"{row['cpu_seconds']:6.1f} {row['peak_bytes'] / MIB:5.0f} MiB "
            f"{row['bytes'] / MIB:5.0f} MiB"
        )
    name = Path("build/bench/writing.json")
    name.write_text(
        json.dumps(
            {"machine": machine.processor(), "options": vars(options), "ways": report}
        )
    )


if __name__ == "__main__":
    main()
