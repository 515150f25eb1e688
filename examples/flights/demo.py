"""Trains on a year of flights, kills the training mid-epoch, resumes, and compares weights.

    python demo.py

Everything is written below build/demo, which is removed first.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch
from lake import write_lake

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[1] / "build" / "demo"
LAKE = FOLDER / "lake"
TOLERANCE = 1e-6


def heading(text: str) -> None:
    print(f"\n== {text}", flush=True)


def training(run: str, *flags: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        str(HERE / "train.py"),
        str(LAKE),
        "--run",
        str(FOLDER / run),
    ]
    return subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, text=True)


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
    heading("Write the flights of 2013, with the weather, as a Hive-partitioned lake")
    print(f"{LAKE}: {write_lake(LAKE):,} rows")

    heading("Train two epochs undisturbed")
    finish(training("undisturbed"))

    heading("Train again, and kill the process in the middle of the second epoch")
    kill_mid_epoch(training("resumed"))

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
