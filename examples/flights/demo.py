"""Trains on a year of flights, kills the training mid-epoch, resumes, and compares weights.

    python demo.py

Everything is written below build/demo, which is removed first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import headrace as hr
import torch
from lake import append_december, write_lake

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[1] / "build" / "demo"
LAKE = FOLDER / "lake"
CATALOG = FOLDER / "catalog.db"
# What is trained on: a name, and the version that a tag names.
PINNED = "catalog:demo.flights@train"
TOLERANCE = 1e-6


def heading(text: str) -> None:
    print(f"\n== {text}", flush=True)


def training(run: str, *flags: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        str(HERE / "train.py"),
        PINNED,
        "--run",
        str(FOLDER / run),
    ]
    return subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, text=True)


def register() -> None:
    """Gives the table a name, and its version one."""
    os.environ["HEADRACE_CATALOG"] = str(CATALOG)
    version = hr.open(str(LAKE)).version
    assert version is not None
    hr.catalog().add(
        "demo.flights",
        str(LAKE),
        description="Flights out of New York in 2013, with the weather",
        tags={"train": version},
    )
    print(hr.catalog().show("demo.flights"))


def show_pinning() -> None:
    """Appends a month, and shows which rows each version has."""
    before = hr.open(PINNED).count_rows()
    print(f"appended {append_december(LAKE):,} rows")
    now = hr.open(str(LAKE))
    print(f"the table is at version {now.version} with {now.count_rows():,} rows")
    pinned = hr.open(PINNED)
    print(f"{PINNED} is version {pinned.version} with {pinned.count_rows():,} rows")
    if pinned.count_rows() != before or now.count_rows() == before:
        raise SystemExit("the pinned version changed, or the new one did not")


def finish(process: subprocess.Popen[str]) -> None:
    """Lets a training end, and shows what it has to say besides its checkpoints."""
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            if not line.startswith("checkpoint"):
                print(line, end="", flush=True)
    if process.returncode != 0:
        raise SystemExit(f"training failed with exit code {process.returncode}")


def kill_mid_epoch(process: subprocess.Popen[str]) -> None:
    """Kills a training three quarters through: in the middle of the second of two epochs."""
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            _, step, _, total = line.split()
            if int(step) * 4 >= int(total) * 3:
                # Some steps further, so that work since the checkpoint is lost.
                time.sleep(0.05)
                process.kill()
                print(f"killed soon after the checkpoint at step {step} of {total}")
                break
    if process.returncode != -9:
        raise SystemExit(f"training ended with {process.returncode} before it was killed")


def largest_difference(one: str, other: str) -> float:
    a = torch.load(FOLDER / one / "weights.pt")
    b = torch.load(FOLDER / other / "weights.pt")
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def headrace() -> str:
    """The command beside this Python, else the one on PATH."""
    beside = shutil.which("headrace", path=Path(sys.executable).parent)
    return beside or shutil.which("headrace") or "headrace"


def main() -> None:
    begin = time.perf_counter()
    shutil.rmtree(FOLDER, ignore_errors=True)
    heading(
        "Write the flights of 2013 up to November, with the weather, as a Delta table"
    )
    print(f"{LAKE}: {write_lake(LAKE):,} rows")

    heading("Give it a name in a catalog, and its version a tag")
    register()

    heading("Train two epochs undisturbed")
    finish(training("undisturbed"))

    heading("Train again, and kill the process in the middle of the second epoch")
    kill_mid_epoch(training("resumed"))

    heading("Append December: the run that was killed still sees its own version")
    show_pinning()

    heading("Resume in a new process")
    finish(training("resumed", "--resume"))

    heading("Compare the weights")
    apart = largest_difference("undisturbed", "resumed")
    print(f"the largest difference is {apart:.1e}")
    if apart > TOLERANCE:
        raise SystemExit(
            f"that is more than {TOLERANCE}: the resumed run saw other batches"
        )

    heading("Measure the loader alone")
    subprocess.run([headrace(), "bench", str(LAKE), "--batch-size", "1024"], check=True)

    heading("Train on images: handwritten digits, stored as PNG, shifted at random")
    digits = HERE.parent / "digits" / "train.py"
    command = [sys.executable, str(digits), str(FOLDER / "digits")]
    subprocess.run(command, check=True)
    print(f"\nDone in {time.perf_counter() - begin:.0f} s.")


if __name__ == "__main__":
    main()
