"""Rows a second of Headrace and of its peers, on the same files, by the same protocol.

Each peer is installed by its own pins into a virtual environment of its own, and runs a
shuffled epoch of work A's 16 float32 and 4 int32 columns in a process of its own
(protocol.py). Peers run in turn, round after round, as a machine's speed drifts; ratios are
taken within a round. A peer that cannot be installed or fails stays in the table, with the
reason.
"""

import argparse
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

from tqdm import tqdm

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import work  # noqa: E402  # beside this folder

#: Scripts by_NAME.py, in the order of the table; all but the first have requirements/NAME.txt.
OURS = "headrace"
PEERS = ("petastorm", "huggingface", "pyarrow", "ray", "litdata", "mosaic")
REASON_CHARACTERS = 300


@dataclass
class Outcome:
    """What came of a reader in all rounds."""

    name: str
    runs: list[dict[str, Any]] = field(default_factory=list)
    #: Why it has no runs, or fewer than there were rounds.
    failure: str | None = None

    def rates(self) -> list[float]:
        """Rows a second, run by run."""
        return [run["rows"] / run["seconds"] for run in self.runs]


@dataclass(frozen=True)
class Line:
    """A row of the table. Rates are in rows a second, memory is in bytes."""

    name: str
    version: str = ""
    rows_per_second: float | None = None
    slowest: float | None = None
    fastest: float | None = None
    #: Headrace's rate in that of the peer, the median over rounds: 2.0 is twice as fast.
    ratio: float | None = None
    first_batch_seconds: float | None = None
    peak_rss: int | None = None
    mixing: float | None = None
    conversion_seconds: float | None = None
    failure: str | None = None


class Failed(Exception):
    """A command failed; the text says how."""


def last_words(output: str) -> str:
    """What a failed program said last, on one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    said = (errors or lines or ["it said nothing"])[-1]
    return said[:REASON_CHARACTERS]


def command_output(
    command: list[str], log: Path, timeout: float, environment: dict[str, str]
) -> str:
    """Runs a command and all that it starts; its standard output.

    What it says goes to `log`. After `timeout` seconds, its whole process group ends.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as errors:
        errors.write(f"$ {' '.join(command)}\n")
        errors.flush()
        begin = errors.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            text=True, start_new_session=True, env=environment,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"no end after {timeout:.0f} s") from None
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)  # also what it left behind
            except ProcessLookupError:
                pass
            process.wait()
    if process.returncode:
        said = log.read_text(errors="replace")[begin:] + output
        raise Failed(f"exit {process.returncode}: {last_words(said)}")
    return output


def install(name: str, root: Path, timeout: float) -> Path:
    """The Python of a peer's environment, made by its pins unless they are there already."""
    pins = HERE / "requirements" / f"{name}.txt"
    folder = root / name
    python = folder / "bin" / "python"
    stamp = folder / "pins.sha256"
    wanted = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    log = root / f"{name}.log"
    log.unlink(missing_ok=True)
    environment = dict(os.environ)
    environment.pop("PYTHONPATH", None)
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    # torch by itself and first, so that no other package's wish for it chooses another build.
    torch = next(x for x in pins.read_text().splitlines() if x.startswith("torch=="))
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [*pip, torch],
        [*pip, "-r", str(pins)],
    ):
        print(command_output(command, log, timeout, environment), file=log.open("a"))
    stamp.write_text(wanted)
    return python


def run_once(name: str, python: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """One epoch of one reader: what its script printed."""
    scratch = arguments.root / "scratch" / f"{name}-{arguments.rows}"
    scratch.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    command = [
        str(python), str(HERE / f"by_{name}.py"),
        "--data", str(arguments.data), "--rows", str(arguments.rows),
        "--workers", str(arguments.workers), "--scratch", str(scratch),
    ]  # fmt: skip
    log = arguments.root / "logs" / f"{name}.log"
    output = command_output(command, log, arguments.timeout, environment)
    found = [line for line in output.splitlines() if line.startswith("{")]
    if not found:
        raise Failed("it printed no result")
    result: dict[str, Any] = json.loads(found[-1])
    return result


def summarise(outcomes: list[Outcome]) -> list[Line]:
    """The table's rows; the first outcome is what the others are compared with."""
    ours = outcomes[0].rates()
    lines = []
    for outcome in outcomes:
        rates = outcome.rates()
        if not rates:
            lines.append(Line(outcome.name, failure=outcome.failure or "it did not run"))
            continue
        runs = outcome.runs
        ratios = [a / b for a, b in zip(ours, rates, strict=False)]
        lines.append(
            Line(
                outcome.name,
                version=runs[0]["version"],
                rows_per_second=statistics.median(rates),
                slowest=min(rates),
                fastest=max(rates),
                ratio=statistics.median(ratios) if ratios else None,
                first_batch_seconds=statistics.median(
                    run["first_batch_seconds"] for run in runs
                ),
                peak_rss=max(run["peak_rss"] for run in runs),
                mixing=statistics.median(run["mixing"] for run in runs),
                conversion_seconds=runs[0]["conversion_seconds"],
                failure=outcome.failure,
            )
        )
    return lines


def printed(lines: list[Line]) -> Iterator[str]:
    """The table that is printed."""
    yield (
        f"{'reader':<12} {'version':<9} {'Mrows/s':>8} {'slowest-fastest':>15} "
        f"{'headrace is':>11} {'first s':>8} {'GiB':>5} {'mixing':>6} {'conversion s':>12}"
    )
    for line in lines:
        if line.rows_per_second is None:
            yield f"{line.name:<12} failed: {line.failure}"
            continue
        spread = f"{line.slowest / 1e6:.3f}-{line.fastest / 1e6:.3f}"
        ratio = "" if line.ratio is None else f"{line.ratio:.2f}x"
        before = line.conversion_seconds
        yield (
            f"{line.name:<12} {line.version:<9} {line.rows_per_second / 1e6:>8.3f} "
            f"{spread:>15} {ratio:>11} {line.first_batch_seconds:>8.2f} "
            f"{line.peak_rss / 2**30:>5.2f} {line.mixing:>6.2f} "
            f"{'none' if before is None else f'{before:.1f}':>12}"
        )
        if line.failure:
            yield f"{'':<12} a later run failed: {line.failure}"


def processor() -> str:
    """The processor's name, as Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return ""


def main() -> None:
    """Installs, runs, prints a table, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=work.ROWS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--timeout", type=float, default=1800, help="seconds a run")
    parser.add_argument("--only", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--root", type=Path, default=Path("build/bench"))
    parser.add_argument("--json", type=Path, default=Path("build/bench/peers.json"))
    arguments = parser.parse_args()
    arguments.root = arguments.root.resolve()
    arguments.data = arguments.root / "data" / f"work-a-{arguments.rows}"
    files = work.write(arguments.data, arguments.rows)
    for path in files:  # into the page cache: no reader is to pay for the first one
        path.read_bytes()

    outcomes = [Outcome(name) for name in (OURS, *arguments.only)]
    pythons = {OURS: Path(sys.executable)}
    quiet = not sys.stderr.isatty()
    for outcome in tqdm(outcomes[1:], desc="installing", disable=quiet, leave=False):
        try:
            pythons[outcome.name] = install(
                outcome.name, arguments.root / "venvs", arguments.timeout
            )
        except Failed as error:
            outcome.failure = f"not installed: {error}"
    turns = [(i, outcome) for i in range(arguments.repeats) for outcome in outcomes]
    for _, outcome in tqdm(turns, desc="epochs", disable=quiet, leave=False):
        if outcome.failure:
            continue
        try:
            outcome.runs.append(run_once(outcome.name, pythons[outcome.name], arguments))
        except Failed as error:
            outcome.failure = str(error)

    lines = summarise(outcomes)
    for line in printed(lines):
        print(line)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": {"processor": processor(), "cores": os.cpu_count()},
        "rows": arguments.rows,
        "workers": arguments.workers,
        "repeats": arguments.repeats,
        "results": [asdict(line) for line in lines],
        "runs": {outcome.name: outcome.runs for outcome in outcomes},
    }
    arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    if not outcomes[0].runs:
        raise SystemExit(f"headrace failed: {outcomes[0].failure}")


if __name__ == "__main__":
    main()
