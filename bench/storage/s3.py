"""How fast a loader goes over a table on S3, beside pyarrow's best raw rate; what it reads.

The server is SeaweedFS on this machine, so that it, reading and decoding share the cores, and
on two of them what is measured is their CPU time; link.sh puts a link of some rate between. Raw
reads are those of `pyarrow.fs.S3FileSystem`: the files whole, cut into parts, by threads; the
best of some part sizes and counts of threads. Raw reads and loader run in turn, after a round
that is not counted; the ratio is that of a pair. Beside them `pyarrow.parquet.read_table`,
which decodes as well. A loader's rate is that of the bytes in which the columns that it
delivers are stored, each once, by the time of a pass; `read` is how often it read them. Of a
filter on the column that a table is sorted by, the bytes that were read are set beside those
of the row groups that hold the rows.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import headrace as hr
import pyarrow.fs
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/integration"))
import machine
import servers
import work

MIB = 1 << 20
PARTS = (4 * MIB, 16 * MIB)
THREADS = (2, 4, 8)


@dataclass(frozen=True)
class Store:
    """The server, as it is reached."""

    options: dict[str, str]
    filesystem: pyarrow.fs.FileSystem


@dataclass(frozen=True)
class Raw:
    """How raw bytes are read."""

    part_bytes: int
    threads: int


@dataclass(frozen=True)
class Case:
    """A loader."""

    name: str
    threads: int
    columns: list[str] | None = None


@dataclass(frozen=True)
class Measured:
    """Rates in bytes a second as stored; the ratio is to raw reads (1.0: no slower)."""

    case: Case
    bytes_per_second: float
    read: float
    calls: int
    raw_bytes_per_second: float
    ratio: float
    least: float
    greatest: float
    bottleneck: str


CASES = [
    Case("20 numbers", 2, work.COLUMNS),
    Case("20 numbers", 4, work.COLUMNS),
    Case("16 of float32", 4, work.FLOATS),
    Case("all columns", 4),
]


def files_of(filesystem: pyarrow.fs.FileSystem, path: str) -> list[pyarrow.fs.FileInfo]:
    """Return a table's data files."""
    found = filesystem.get_file_info(pyarrow.fs.FileSelector(path, recursive=True))
    return [info for info in found if info.path.endswith(".parquet")]


def read_raw(server: Store, path: str, raw: Raw) -> float:
    """Return the bytes a second of reading the files whole."""
    parts = [
        (info.path, begin, min(raw.part_bytes, info.size - begin))
        for info in files_of(server.filesystem, path)
        for begin in range(0, info.size, raw.part_bytes)
    ]

    def read(part: tuple[str, int, int]) -> int:
        name, begin, size = part
        with server.filesystem.open_input_file(name) as file:
            file.seek(begin)
            return len(file.read_buffer(size))

    begin = time.perf_counter()
    with ThreadPoolExecutor(raw.threads) as pool:
        count = sum(pool.map(read, parts))
    return count / (time.perf_counter() - begin)


def read_table(server: Store, path: str) -> float:
    """Return the stored bytes a second of pyarrow's reading and decoding."""
    size = sum(info.size for info in files_of(server.filesystem, path))
    begin = time.perf_counter()
    for info in files_of(server.filesystem, path):
        pq.read_table(info.path, filesystem=server.filesystem)
    return size / (time.perf_counter() - begin)


def stored_bytes(server: Store, path: str, columns: list[str] | None) -> int:
    """Return the bytes of the chunks of some columns; None: of all."""
    count = 0
    for info in files_of(server.filesystem, path):
        metadata = pq.read_metadata(info.path, filesystem=server.filesystem)
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            chunks = [group.column(c) for c in range(group.num_columns)]
            count += sum(
                chunk.total_compressed_size
                for chunk in chunks
                if columns is None or chunk.path_in_schema in columns
            )
    return count


def read_loader(server: Store, path: str, case: Case) -> tuple[float, dict[str, object]]:
    """Return the seconds of a pass, and the loader's statistics."""
    dataset = hr.open(f"s3://{path}", storage_options=server.options)
    if case.columns is not None:
        dataset = dataset.select(*case.columns)
    with dataset.loader(batch_size=4096, seed=7, num_threads=case.threads) as loader:
        begin = time.perf_counter()
        for _ in loader:
            pass
        return time.perf_counter() - begin, loader.stats()


def measure(server: Store, path: str, case: Case, best: Raw, pairs: int) -> Measured:
    """Run raw reads and loader in turn."""
    size = stored_bytes(server, path, case.columns)
    raws, rates = [], []
    stats: dict[str, object] = {}
    for pair in range(pairs + 1):
        raw = read_raw(server, path, best)
        seconds, stats = read_loader(server, path, case)
        if pair > 0:
            raws.append(raw)
            rates.append(size / seconds)
    ratios = [a / b for a, b in zip(rates, raws, strict=True)]
    return Measured(
        case,
        statistics.median(rates),
        stats["bytes_read"] / size,
        stats["read_calls"],
        statistics.median(raws),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        str(stats["bottleneck"]),
    )


def filtered(server: Store, source: Path, path: str) -> dict[str, float]:
    """Read a hundredth of a table's rows, in a range of the column that it is sorted by."""
    uri = f"s3://{path}"
    options = {"storage_options": server.options}
    rows = hr.open(source)
    hr.write(rows, uri, sort_by=["l0"], row_group_bytes=4 * MIB, **options)
    low, high = 2**39, 2**39 + 2**40 // 100
    dataset = hr.open(uri, **options).where(f"l0 >= {low} and l0 < {high}")
    with dataset.loader(batch_size=65_536, to="arrow") as loader:
        for _ in loader:
            pass
        read = loader.stats()["bytes_read"]
    holding = total = 0
    for info in files_of(server.filesystem, path):
        metadata = pq.read_metadata(info.path, filesystem=server.filesystem)
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            chunks = [group.column(c) for c in range(group.num_columns)]
            (key,) = (c for c in chunks if c.path_in_schema == "l0")
            size = sum(c.total_compressed_size for c in chunks)
            total += size
            if key.statistics.min < high and key.statistics.max >= low:
                holding += size
    return {"read": read, "holding": holding, "table": total, "ratio": read / holding}


def lines(results: list[Measured]) -> Iterator[str]:
    """Yield the table that is printed."""
    yield (
        f"{'case':<16} threads    MB/s     raw  ratio (range)         "
        "read  calls  bottleneck"
    )
    for result in results:
        yield (
            f"{result.case.name:<16} {result.case.threads:>7} "
            f"{result.bytes_per_second / 1e6:>7.0f} "
            f"{result.raw_bytes_per_second / 1e6:>7.0f} {result.ratio:>6.2f} "
            f"({result.least:.2f} to {result.greatest:.2f})  {result.read:>5.2f}"
            f" {result.calls:>6}  {result.bottleneck}"
        )


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[dict[str, str]]:
    """Start a server that has a table; the storage options that reach it."""
    with tempfile.TemporaryDirectory() as place:
        server = servers.start_s3(servers.S3Place(Path(place)))
        try:
            server.upload(folder, "work")
            yield server.options
        finally:
            server.stop()


def main() -> None:
    """Measure all cases; print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path("build/bench/data"))
    parser.add_argument("--json", type=Path, default=Path("build/bench/s3.json"))
    parser.add_argument("--host", default=servers.HOST, help="the server's address")
    parser.add_argument("--serve", type=Path, help="serve only, and tell this file how")
    parser.add_argument("--at", type=Path, help="the server that this file tells of")
    arguments = parser.parse_args()
    servers.HOST = arguments.host
    folder = work.write(arguments.data, arguments.rows)
    with contextlib.ExitStack() as stack:
        if arguments.at is None:
            options = stack.enter_context(serving(folder))
        else:
            options = json.loads(arguments.at.read_text())
        if arguments.serve is not None:
            new = arguments.serve.with_suffix(".new")
            new.write_text(json.dumps(options))
            new.rename(arguments.serve)
            signal.pause()
        server = Store(options, pyarrow.fs.S3FileSystem(**options))
        path = f"{servers.BUCKET}/work"
        grid = [Raw(part, threads) for part in PARTS for threads in THREADS]
        read_raw(server, path, grid[0])
        raw = {each: read_raw(server, path, each) for each in grid}
        best = max(raw, key=lambda each: raw[each])
        results = [measure(server, path, case, best, arguments.pairs) for case in CASES]
        decoded = read_table(server, path)
        chosen = filtered(server, folder, f"{servers.BUCKET}/sorted")
    for line in lines(results):
        print(line)
    print(
        f"raw: best by {best.threads} threads, {best.part_bytes // MIB} MiB a read; "
        f"pyarrow.parquet.read_table: {decoded / 1e6:.0f} MB/s"
    )
    print(
        f"a filter on the sorted column read {chosen['read'] / 1e6:.1f} MB, "
        f"{chosen['ratio']:.2f} of the row groups that hold its rows, of "
        f"{chosen['table'] / 1e6:.0f} MB"
    )
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": {"processor": machine.processor(), "cores": os.cpu_count()},
        "rows": arguments.rows,
        "raw": {
            f"{each.threads} x {each.part_bytes}": rate for each, rate in raw.items()
        },
        "read_table_bytes_per_second": decoded,
        "results": [asdict(result) for result in results],
        "filtered": chosen,
    }
    arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
