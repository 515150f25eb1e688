"""How long gangs take to start, and barriers to open, beside torchrun and TorchDistributor.

Start: from the call to its return, of tasks that do nothing at once: a program (`true`) and a
function of Python, by Headrace; the program by torchrun; and with `--spark`, the function by
Spark's TorchDistributor on one task and by our Spark engine. Barriers: the time of one among
many, and of one of torch's gloo group. Medians over rounds; JSON in build/bench/gangs.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import headrace as hr

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine

TASKS = (2, 4, 8, 16)
ROUNDS = 5
BARRIERS = 1000
HEADRACE = Path(hr.__file__).parent / "bin" / "headrace"
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")

GLOO = f"""
import time, torch.distributed as dist
dist.init_process_group("gloo")
dist.barrier()
begin = time.perf_counter()
for _ in range({BARRIERS}):
    dist.barrier()
if dist.get_rank() == 0:
    print("seconds", (time.perf_counter() - begin) / {BARRIERS})
dist.destroy_process_group()
"""


def nothing() -> None:
    """What a task does whose start is measured."""


def barriers() -> float:
    """Return the seconds of one barrier."""
    ctx = hr.gang.context()
    ctx.barrier()
    begin = time.perf_counter()
    for _ in range(BARRIERS):
        ctx.barrier()
    return (time.perf_counter() - begin) / BARRIERS


def timed(call: Callable[[], Any]) -> float:
    """Return the seconds of a call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def run(*command: object) -> str:
    """Run a command; return what it printed."""
    done = subprocess.run(
        [str(word) for word in command], check=True, capture_output=True, text=True
    )
    return done.stdout


def starts(tasks: int, rounds: int) -> dict[str, float]:
    """Return the median seconds of starting and ending a gang, by who does it."""
    ways: dict[str, Callable[[], Any]] = {
        "headrace run": lambda: run(HEADRACE, "run", "-n", tasks, "--", "true"),
        "gang.run": lambda: hr.gang.run(nothing, tasks=tasks),
        "torchrun": lambda: run(
            *TORCHRUN, "--nproc-per-node", tasks, "--master-addr", "127.0.0.1",
            "--no-python", "true",
        ),
    }  # fmt: skip
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, call in ways.items():
            seconds[way].append(timed(call))
    return {way: statistics.median(found) for way, found in seconds.items()}


def meets(tasks: int, rounds: int) -> dict[str, float]:
    """Return the median seconds of a barrier, by who has it."""
    found: dict[str, list[float]] = {"headrace": [], "gloo": []}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "gloo.py"
        program.write_text(GLOO)
        for _ in range(rounds):
            found["headrace"].append(hr.gang.run(barriers, tasks=tasks)[0])
            printed = run(HEADRACE, "run", "-n", tasks, "--", sys.executable, program)
            found["gloo"].append(float(printed.split("seconds")[1]))
    return {way: statistics.median(each) for way, each in found.items()}


def on_spark() -> dict[str, float]:
    """Return the seconds of a gang of two in local[2], by our engine and TorchDistributor."""
    from pyspark.ml.torch.distributor import TorchDistributor
    from pyspark.sql import SparkSession

    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    hr.gang.run(nothing, tasks=2, engine=spark)  # Spark's own first task
    distributor = TorchDistributor(num_processes=2, local_mode=False, use_gpu=False)
    return {
        "gang.run(engine=spark)": timed(
            lambda: hr.gang.run(nothing, tasks=2, engine=spark)
        ),
        "TorchDistributor": timed(lambda: distributor.run(nothing)),
    }


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--spark", action="store_true", help="also TorchDistributor's start"
    )
    options = parser.parse_args()
    print(f"{machine.processor()}, {os.cpu_count()} cores, medians of {options.rounds}")
    report: dict[str, Any] = {"starts": {}, "barriers": {}}
    print("seconds from start to end:")
    for tasks in TASKS:
        found = report["starts"][tasks] = starts(tasks, options.rounds)
        line = ", ".join(f"{way} {seconds:.3f}" for way, seconds in found.items())
        print(f"  {tasks:2} tasks: {line}")
    print("microseconds of a barrier:")
    for tasks in TASKS:
        found = report["barriers"][tasks] = meets(tasks, options.rounds)
        line = ", ".join(f"{way} {seconds * 1e6:.0f}" for way, seconds in found.items())
        print(f"  {tasks:2} tasks: {line}")
    if options.spark:
        found = report["spark"] = on_spark()
        print("seconds of two tasks in local[2]:")
        print("  " + ", ".join(f"{way} {seconds:.1f}" for way, seconds in found.items()))
    folder = Path("build/bench")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gangs.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
