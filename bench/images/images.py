"""Images a second of Headrace and of its peers, beside a bare loop, on the same files.

JPEGs around 500 x 375, of sizes and qualities that differ, become batches of 64 of 224 x 224
RGB. The bare loop (limit.cc) is libjpeg-turbo and our resize on as many threads, from memory
to memory. All run in turn, round after round, each in a process of its own (protocol.py);
ratios are taken within a round. A peer that cannot be installed or fails stays in the table,
with the reason.
"""

import argparse
import hashlib
import io
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE.parent / "peers"))

import machine  # noqa: E402  # beside this folder
import peers  # noqa: E402  # beside this folder

OURS = "headrace"
PEERS = ("pillow", "torchvision", "petastorm", "dali", "spdl")
LIMIT = Path("build/bench/bench/headrace_image_limit")
SIZE = 224
FILES = 4
#: Levels that the mean over all pixels may differ by: kernels and roundings differ.
MEAN_TOLERANCE = 1.0


@dataclass
class Outcome:
    """What came of a reader in all rounds."""

    name: str
    runs: list[dict[str, Any]] = field(default_factory=list)
    #: Images a second of the bare loop, in the rounds of `runs`.
    limits: list[float] = field(default_factory=list)
    failure: str | None = None

    def rates(self) -> list[float]:
        """Return images a second, round by round."""
        return [run["images"] / run["seconds"] for run in self.runs]


def photograph(random: np.random.Generator) -> bytes:
    """Return a JPEG as of a photograph: smooth noise of all sizes, shapes, fine grain."""
    height, width = (int(side * random.uniform(0.8, 1.25)) for side in (375, 500))
    pixels = np.full((height, width, 3), 110.0)
    for cells in (3, 7, 15, 40, 110):
        noise = random.normal(0, 28 / cells**0.15, (cells, cells, 3))
        small = Image.fromarray(np.clip(noise + 128, 0, 255).astype(np.uint8))
        large = small.resize((width, height), Image.Resampling.BICUBIC)
        pixels += np.asarray(large, np.float64) - 128
    y, x = np.mgrid[0:height, 0:width]
    for _ in range(12):
        radius = random.uniform(8, 90)
        away = (y - random.uniform(0, height)) ** 2 + (x - random.uniform(0, width)) ** 2
        pixels[away < radius**2] += random.normal(0, 40, 3)
    pixels += random.normal(0, 3, pixels.shape)
    file = io.BytesIO()
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    image.save(file, "JPEG", quality=int(random.integers(85, 96)))
    return file.getvalue()


def write(parent: Path, images: int) -> Path:
    """Write the files below `parent`, if they are not there, and return their folder."""
    folder = parent / f"images-{images}"
    if folder.exists():
        return folder
    partial = parent / f"images-{images}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    for number in tqdm(range(FILES), "writing", disable=not sys.stderr.isatty()):
        random = np.random.default_rng(number)
        count = images // FILES + (number < images % FILES)
        cells = [photograph(random) for _ in range(count)]
        pq.write_table(
            pa.table({"image": cells, "label": range(count)}),
            partial / f"part-{number}.parquet",
            row_group_size=250,
            use_dictionary=False,
            compression="none",  # of what is compressed
        )
    partial.rename(folder)
    return folder


def install(name: str, root: Path, timeout: float) -> Path:
    """Return the Python of a peer's environment, made by its pins unless it is there."""
    pins = HERE / "requirements" / f"{name}.txt"
    folder = root / "venvs" / f"images-{name}"
    python = folder / "bin" / "python"
    stamp = folder / "pins.sha256"
    wanted = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    torch = [line for line in pins.read_text().splitlines() if line.startswith("torch==")]
    commands = [[sys.executable, "-m", "venv", "--clear", str(folder)]]
    commands += [[*pip, one] for one in torch]  # by itself: no other build is chosen
    commands += [[*pip, *(["--no-deps"] if torch else []), "-r", str(pins)]]
    for command in commands:
        log = root / "logs" / f"images-{name}.log"
        peers.command_output(command, log, timeout, str(python.parent))
    stamp.write_text(wanted)
    return python


def limit(arguments: argparse.Namespace, folder: Path) -> float:
    """Return the images a second of the bare loop."""
    files = sorted(str(path) for path in folder.glob("*.parquet"))
    command = [str(arguments.limit), str(arguments.workers), "1", str(SIZE), *files]
    found = json.loads(subprocess.check_output(command, text=True))
    return float(found["images"] / statistics.median(found["seconds"]))


def run_once(
    name: str, python: Path, folder: Path, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Run one epoch of one reader, and return what its script printed."""
    command = [
        str(python),
        str(HERE / f"by_{name}.py"),
        f"--data={folder}",
        f"--workers={arguments.workers}",
    ]
    log = arguments.root / "logs" / f"images-{name}.log"
    output = peers.command_output(command, log, arguments.timeout, str(python.parent))
    found = [line for line in output.splitlines() if line.startswith("{")]
    if not found:
        raise peers.FailedError("it printed no result")
    run: dict[str, Any] = json.loads(found[-1])
    if run["images"] != arguments.images:
        raise peers.FailedError(
            f"read {run['images']} images, expected {arguments.images}"
        )
    return run


def check_mean(run: dict[str, Any], ours: dict[str, Any]) -> None:
    """Raise FailedError unless a run's pixels are much the same as ours."""
    if abs(run["mean"] - ours["mean"]) > MEAN_TOLERANCE:
        raise peers.FailedError(
            f"its mean level is {run['mean']:.2f}, expected {ours['mean']:.2f}"
        )


def run_round(
    outcomes: list[Outcome],
    pythons: dict[str, Path],
    folder: Path,
    arguments: argparse.Namespace,
) -> None:
    """Run the bare loop and all readers that have not failed, once."""
    bare = limit(arguments, folder)
    for outcome in outcomes:
        if outcome.failure:
            continue
        try:
            run = run_once(outcome.name, pythons[outcome.name], folder, arguments)
            check_mean(run, outcomes[0].runs[0] if outcomes[0].runs else run)
            outcome.runs.append(run)
            outcome.limits.append(bare)
        except peers.FailedError as error:
            outcome.failure = str(error)


def line(outcome: Outcome, ours: Outcome) -> str:
    """Return a row of the table that is printed."""
    if not outcome.runs:
        return f"{outcome.name:<12} failed: {outcome.failure}"
    rates = outcome.rates()
    of_limit = [rate / bare for rate, bare in zip(rates, outcome.limits, strict=True)]
    times = [our / rate for our, rate in zip(ours.rates(), rates, strict=False)]
    return (
        f"{outcome.name:<12} {outcome.runs[0]['version']:<9} "
        f"{peers.with_range(peers.spread(rates), 1, 0):>22} "
        f"{peers.with_range(peers.spread(of_limit), 1, 3):>22} "
        f"{peers.with_range(peers.spread(times), 1, 2):>22}"
    )


def parse() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--timeout", type=float, default=1800, help="seconds a command")
    parser.add_argument("--only", nargs="*", choices=PEERS, default=())
    parser.add_argument("--data", type=Path, default=Path("build/bench/data"))
    parser.add_argument("--limit", type=Path, default=LIMIT)
    parser.add_argument(
        "--root", type=Path, default=Path("build/bench/peers"), help="environments, logs"
    )
    parser.add_argument("--json", type=Path, default=Path("build/bench/images.json"))
    arguments = parser.parse_args()
    arguments.root = arguments.root.resolve()
    return arguments


def main() -> None:
    """Install and run all; print a table, write JSON."""
    arguments = parse()
    outcomes = [Outcome(name) for name in (OURS, *arguments.only)]
    pythons = {OURS: Path(sys.executable)}
    folder = write(arguments.data, arguments.images).resolve()
    for outcome in outcomes[1:]:
        try:
            pythons[outcome.name] = install(
                outcome.name, arguments.root, arguments.timeout
            )
        except peers.FailedError as error:
            outcome.failure = f"not installed: {error}"
    peers.warm(folder)
    for _ in tqdm(range(arguments.rounds), "rounds", disable=not sys.stderr.isatty()):
        run_round(outcomes, pythons, folder, arguments)
    limits = peers.spread(outcomes[0].limits)
    print(
        f"{'reader':<12} {'version':<9} {'images/s':>22} {'of limit':>22} "
        f"{'headrace is, times':>22}"
    )
    print(f"{'(limit)':<12} {'':<9} {peers.with_range(limits, 1, 0):>22}")
    for outcome in outcomes:
        print(line(outcome, outcomes[0]))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": {"processor": machine.processor(), "cores": os.cpu_count()},
        "workers": arguments.workers,
        "limit_images_per_second": outcomes[0].limits,
        "runs": {outcome.name: outcome.runs for outcome in outcomes},
        "failures": {
            outcome.name: outcome.failure for outcome in outcomes if outcome.failure
        },
    }
    arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    if not outcomes[0].runs:
        raise SystemExit(f"headrace failed: {outcomes[0].failure}")


if __name__ == "__main__":
    main()
