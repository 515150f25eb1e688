"""make demo: a PyTorch model learns from a lake table, is killed mid-epoch, and goes on.

Writes the New York flights of 2013 as a lake; trains on January to October undisturbed and tests
on November and December; trains again, is killed (SIGKILL) in the middle of an epoch, resumes in a
new process, and compares the weights of both runs. Everything is in build/demo.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import lake
import model
import torch

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT_STEPS = 50
TOLERANCE = 1e-6


def train_process(lake_path: Path, run: Path) -> None:
    """One run, in a process of its own: reports each step, leaves its weights."""

    def report(step: int) -> None:
        print(f"step {step}", flush=True)

    trained = model.train(
        lake_path, run / "checkpoint.pt", CHECKPOINT_STEPS, report, label=run.name
    )
    torch.save(trained.state_dict(), run / "weights.pt")


def start(lake_path: Path, run: Path) -> subprocess.Popen[str]:
    """Starts a training process; its steps come on its standard output."""
    run.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, __file__, "--lake", str(lake_path), "--train", str(run)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def follow(process: subprocess.Popen[str], kill_at: int | None = None) -> int:
    """Reads a process's steps to its end, or kills it at a step; returns the last step seen."""
    last = 0
    assert process.stdout is not None
    for line in process.stdout:
        word, _, number = line.partition(" ")
        if word != "step":
            print(line, end="")
            continue
        last = int(number)
        if last == kill_at:
            process.kill()
            break
    code = process.wait()
    process.stdout.close()
    if kill_at is None and code != 0:
        raise SystemExit(f"the training process failed with exit code {code}")
    return last


def difference(a: Path, b: Path) -> float:
    """The largest difference between two runs' weights."""
    one, other = torch.load(a / "weights.pt"), torch.load(b / "weights.pt")
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def demo(folder: Path) -> None:
    """The whole story."""
    begin = time.perf_counter()
    table = lake.write(folder / "lake")
    data = model.flights(table, "month <= 10")
    print(data)
    print(data.explain())

    undisturbed, disturbed = folder / "undisturbed", folder / "killed-and-resumed"
    for run in (undisturbed, disturbed):
        shutil.rmtree(run, ignore_errors=True)
    steps = follow(start(table, undisturbed))
    trained = model.LateModel()
    trained.load_state_dict(torch.load(undisturbed / "weights.pt"))
    samples, score = model.evaluate(trained, table)
    print(
        f"trained {steps} steps; AUC {score:.3f} on {samples} flights of November and December"
    )

    steps_a_epoch = steps // model.EPOCHS
    kill_at = steps_a_epoch + steps_a_epoch // 2 + CHECKPOINT_STEPS // 3
    killed = follow(start(table, disturbed), kill_at)
    print(f"killed (SIGKILL) at step {killed}, in the middle of the second epoch")
    follow(start(table, disturbed))
    apart = difference(undisturbed, disturbed)
    print(f"resumed to the end: weights differ by {apart:.1e} from the undisturbed run's")
    if apart > TOLERANCE:
        raise SystemExit(f"the runs differ by {apart}, more than {TOLERANCE}")

    print("\n$ headrace bench lake/flights --batch-size 4096 --shuffle", flush=True)
    headrace = Path(sys.executable).parent / "headrace"
    subprocess.run(
        [str(headrace), "bench", str(table), "--batch-size", "4096", "--shuffle"],
        check=True,
    )
    print(f"\ndemo: done in {time.perf_counter() - begin:.0f} s")


def main() -> None:
    """The demo, or with --train one run of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train_process(arguments.lake, arguments.train)
    else:
        demo(ROOT / "build/demo")


if __name__ == "__main__":
    main()
