"""Rows a second of Headrace and of its peers, on the same files, by the same protocol.

Each peer is installed by its own pins into a virtual environment of its own, and runs a
shuffled epoch of work A's 16 float32 and 4 int32 columns in a process of its own
(protocol.py). Arrow's decode limit and all readers run in turn, round after round, as a
machine's speed drifts; ratios are taken within a round. Readers that take minutes have
fewer rows of the same kind: rates are compared, not times. A peer that cannot be installed
or fails stays in the table, with the reason.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import machine  # noqa: E402  # beside this folder
import work  # noqa: E402  # beside this folder

#: Scripts by_NAME.py, in the table's order; all but the first have requirements/NAME.txt.
OURS = "headrace"
PEERS = ("petastorm", "huggingface", "pyarrow", "ray", "litdata", "mosaic")
#: Slow peers read no more than this.
ROWS_AT_MOST = {"litdata": 1_000_000, "mosaic": 1_000_000}
REASON_CHARACTERS = 300


@dataclass
class Outcome:
    """What came of a reader in all rounds."""

    name: str
    runs: list[dict[str, Any]] = field(default_factory=list)
    #: Why it has no runs, or fewer than there were rounds.
    failure: str | None = None

    def rates(self) -> list[float]:
        """Return rows a second, round by round."""
        return [run["rows"] / run["seconds"] for run in self.runs]


@dataclass(frozen=True)
class Spread:
    """A figure's median over the rounds, and its range."""

    median: float
    least: float
    greatest: float


@dataclass(frozen=True)
class Line:
    """A row of the table; what failed has no figures."""

    name: str
    failure: str | None = None
    version: str = ""
    rows: int = 0
    rows_per_second: Spread | None = None
    #: Its rate in that of Arrow's decoding.
    of_limit: Spread | None = None
    #: Headrace's rate in that of the peer: 2.0 is twice as fast.
    headrace_is: Spread | None = None
    first_batch_seconds: float = 0.0
    mixing: float | None = None
    conversion_seconds: float | None = None


@dataclass(frozen=True)
class Table:
    """Files of work A, and what an epoch of them is checked by."""

    folder: Path
    rows: int
    f0_sum: int
    #: Of all rows as protocol.py makes them, sorted, and where each is in the files.
    keys: np.ndarray
    positions: np.ndarray


class FailedError(Exception):
    """A command failed; the text says how."""


def open_table(folder: Path) -> Table:
    """Read what an epoch of a folder's files is checked by."""
    columns = [
        pq.read_table(path, columns=["f0", "f1"])
        for path in sorted(folder.glob("*.parquet"))
    ]
    f0, f1 = (
        np.concatenate([table[name].to_numpy() for table in columns]).view(np.int32)
        for name in ("f0", "f1")
    )
    keys = (f0.astype(np.int64) << 32) | (f1.astype(np.int64) & 0xFFFFFFFF)
    order = np.argsort(keys)
    return Table(folder, len(keys), int(f0.sum(dtype=np.int64)), keys[order], order)


def mixing(table: Table, samples: list[list[int]]) -> float | None:
    """Return what a shuffle was worth, from keys of rows, batch by batch.

    The spread of a batch's rows over the files, in that of the whole table: 1.0 where each
    batch is drawn from everywhere, 0.1 from a tenth in one place.
    """
    if not samples:
        return None
    spreads = [
        table.positions[np.searchsorted(table.keys, np.array(keys))].std()
        for keys in samples
    ]
    return float(statistics.median(spreads) / (table.rows / 12**0.5))


def checked(run: dict[str, Any], table: Table) -> dict[str, Any]:
    """Return what is kept of a script's result, if it read each row once."""
    samples, total = run.pop("keys"), run.pop("f0_sum")
    if (run["rows"], total) != (table.rows, table.f0_sum):
        raise FailedError(
            f"read {run['rows']} rows whose bits of f0 add up to {total}: expected each of "
            f"{table.rows} rows once, {table.f0_sum}"
        )
    return {**run, "mixing": mixing(table, samples)}


def last_words(output: str) -> str:
    """Return what a failed program said last, on one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    said = (errors or lines or ["it said nothing"])[-1]
    return said[:REASON_CHARACTERS]


def command_output(command: list[str], log: Path, timeout: float, path: str) -> str:
    """Run a command and all that it starts, and return its standard output.

    What it says goes to `log`. After `timeout` seconds, its whole process group ends.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as errors:
        errors.write(f"$ {' '.join(command)}\n")
        errors.flush()
        begin = errors.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
            env={**environment, "PATH": f"{path}:{environment['PATH']}"},
        )
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise FailedError(f"no end after {timeout:.0f} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # also what it left behind
            process.wait()
    if process.returncode:
        said = log.read_bytes()[begin:].decode(errors="replace") + output
        raise FailedError(f"exit {process.returncode}: {last_words(said)}")
    return output


def install(name: str, root: Path, timeout: float) -> Path:
    """Return the Python of a peer's environment, made by its pins unless it is there."""
    pins = HERE / "requirements" / f"{name}.txt"
    folder = root / "venvs" / name
    python = folder / "bin" / "python"
    stamp = folder / "pins.sha256"
    wanted = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    torch = next(
        line for line in pins.read_text().splitlines() if line.startswith("torch==")
    )
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [*pip, torch],  # by itself, so that no other package chooses another build
        [*pip, "--no-deps", "-r", str(pins)],
    ):
        command_output(
            command, root / "logs" / f"{name}.log", timeout, str(python.parent)
        )
    stamp.write_text(wanted)
    return python


def run_once(
    name: str, python: Path, table: Table, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Run one epoch of one reader, and return what its script printed."""
    scratch = arguments.root / "scratch" / f"{name}-{table.rows}"
    scratch.mkdir(parents=True, exist_ok=True)
    command = [
        str(python),
        str(HERE / f"by_{name}.py"),
        f"--data={table.folder}",
        f"--workers={arguments.workers}",
        f"--scratch={scratch}",
    ]
    log = arguments.root / "logs" / f"{name}.log"
    output = command_output(command, log, arguments.timeout, str(python.parent))
    found = [line for line in output.splitlines() if line.startswith("{")]
    if not found:
        raise FailedError("it printed no result")
    return checked(json.loads(found[-1]), table)


def spread(figures: list[float]) -> Spread | None:
    """Return the median and the range, or nothing of nothing."""
    if not figures:
        return None
    return Spread(statistics.median(figures), min(figures), max(figures))


def summarise(outcomes: list[Outcome], limits: list[float]) -> list[Line]:
    """Return the table's rows; the first outcome is what the others are compared with."""
    ours = outcomes[0].rates()
    lines = []
    for outcome in outcomes:
        runs, rates = outcome.runs, outcome.rates()
        if not runs:
            lines.append(Line(outcome.name, outcome.failure or "it did not run"))
            continue
        # A reader that fails runs no more, so that its runs are those of the first rounds.
        lines.append(
            Line(
                outcome.name,
                outcome.failure,
                runs[0]["version"],
                runs[0]["rows"],
                spread(rates),
                spread(
                    [rate / limit for rate, limit in zip(rates, limits, strict=False)]
                ),
                spread([our / rate for our, rate in zip(ours, rates, strict=False)]),
                statistics.median(run["first_batch_seconds"] for run in runs),
                runs[0]["mixing"],
                runs[0]["conversion_seconds"],
            )
        )
    return lines


def with_range(figure: Spread | None, scale: float, digits: int) -> str:
    """Return a figure as the table has it."""
    if figure is None:
        return "-"
    median, least, greatest = (
        f"{value / scale:.{digits}f}"
        for value in (figure.median, figure.least, figure.greatest)
    )
    return f"{median} ({least}-{greatest})"


def printed(lines: list[Line], limits: list[float]) -> Iterator[str]:
    """Yield the table that is printed."""
    yield (
        f"{'reader':<12} {'version':<9} {'rows':>8} {'Mrows/s':>20} {'of limit':>22} "
        f"{'headrace is, times':>22} {'first s':>7} {'mixing':>6} {'conversion':>10}"
    )
    decoded = with_range(spread(limits), 1e6, 2)
    yield f"{'(limit)':<12} {'':<9} {'':>8} {decoded:>20}"
    for line in lines:
        if line.rows_per_second is None:
            yield f"{line.name:<12} failed: {line.failure}"
            continue
        before = line.conversion_seconds
        yield (
            f"{line.name:<12} {line.version:<9} {line.rows:>8} "
            f"{with_range(line.rows_per_second, 1e6, 2):>20} "
            f"{with_range(line.of_limit, 1, 3):>22} "
            f"{with_range(line.headrace_is, 1, 2):>22} {line.first_batch_seconds:>7.2f} "
            f"{'-' if line.mixing is None else f'{line.mixing:.2f}':>6} "
            f"{'none' if before is None else f'{before:.1f} s':>10}"
        )
        if line.failure:
            yield f"{'':<12} a later round failed: {line.failure}"


def warm(folder: Path) -> None:
    """Read a folder's files into the page cache: no reader is to pay for the first one."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.read_bytes()


def rounds(
    outcomes: list[Outcome],
    pythons: dict[str, Path],
    tables: dict[str, Table],
    arguments: argparse.Namespace,
) -> list[float]:
    """Run all readers in turn, and return Arrow's rows a second, round by round."""
    limits = []
    quiet = not sys.stderr.isatty()
    whole = tables[OURS].folder
    for number in range(arguments.rounds):
        limits.append(machine.limit(arguments.limit, whole, arguments.workers)[0])
        for outcome in tqdm(outcomes, f"round {number + 1}", disable=quiet, leave=False):
            if outcome.failure:
                continue
            name = outcome.name
            try:
                outcome.runs.append(
                    run_once(name, pythons[name], tables[name], arguments)
                )
            except FailedError as error:
                outcome.failure = str(error)
    return limits


def parse() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--timeout", type=float, default=1800, help="seconds a command")
    parser.add_argument("--only", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--data", type=Path, default=Path("build/bench/data"))
    parser.add_argument("--limit", type=Path, default=machine.LIMIT)
    parser.add_argument(
        "--root", type=Path, default=Path("build/bench/peers"), help="environments, logs"
    )
    parser.add_argument("--json", type=Path, default=Path("build/bench/peers.json"))
    arguments = parser.parse_args()
    arguments.root = arguments.root.resolve()
    return arguments


def main() -> None:
    """Install and run all; print a table, write JSON."""
    arguments = parse()
    outcomes = [Outcome(name) for name in (OURS, *arguments.only)]
    pythons = {OURS: Path(sys.executable)}
    tables: dict[str, Table] = {}
    quiet = not sys.stderr.isatty()
    for outcome in tqdm(outcomes, "installing", disable=quiet, leave=False):
        name = outcome.name
        rows = min(arguments.rows, ROWS_AT_MOST.get(name, arguments.rows))
        same = [table for table in tables.values() if table.rows == rows]
        tables[name] = same[0] if same else open_table(work.write(arguments.data, rows))
        if name == OURS:
            continue
        try:
            pythons[name] = install(name, arguments.root, arguments.timeout)
        except FailedError as error:
            outcome.failure = f"not installed: {error}"
    for folder in {table.folder for table in tables.values()}:
        warm(folder)

    limits = rounds(outcomes, pythons, tables, arguments)
    lines = summarise(outcomes, limits)
    for text in printed(lines, limits):
        print(text)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": {"processor": machine.processor(), "cores": os.cpu_count()},
        "workers": arguments.workers,
        "columns": work.COLUMNS,
        "limit_rows_per_second": limits,
        "results": [asdict(line) for line in lines],
        "runs": {outcome.name: outcome.runs for outcome in outcomes},
    }
    arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    if not outcomes[0].runs:
        raise SystemExit(f"headrace failed: {outcomes[0].failure}")


if __name__ == "__main__":
    main()
