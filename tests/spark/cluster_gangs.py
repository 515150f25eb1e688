"""Gangs on a Spark cluster: run with its master, a folder, and what is to happen.

Each in a process of its own, since a process has one Spark. What is wrong raises.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import headrace as hr
import pytest
import sessions
from listing import parent, runs

OPTIONS = {"spark.executor.memory": "512m", "spark.cores.max": "2"}


def executor() -> int:
    """The JVM above a task: its supervisor, a Python worker, its daemon are between."""
    found = os.getpid()
    for _ in range(4):
        found = parent(found)
    command = Path(f"/proc/{found}/cmdline").read_text()
    assert "CoarseGrainedExecutorBackend" in command, command
    return found


def tasks_meet(spark):
    def task():
        ctx = hr.gang.context()
        executors = ctx.all_gather(executor())
        variables = [os.environ[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")]
        return len(set(executors)), variables, ctx.local_world_size, ctx.addresses

    results = hr.gang.run(task, tasks=2, engine=spark)
    hosts = results[0][3]
    assert len(hosts) == 2
    local = [1, 1] if hosts[0] != hosts[1] else [1, 2]
    assert results == [
        (2, [str(rank), "2", str(local[rank] - 1)], max(local), hosts)
        for rank in range(2)
    ]


def an_executor_is_killed(spark):
    def task(kill):
        ctx = hr.gang.context()
        left = subprocess.Popen(["setsid", "sleep", "3600"])
        ctx.report((os.getpid(), left.pid))
        ctx.barrier()
        if ctx.rank == 1 and ctx.attempt < kill:
            os.kill(executor(), signal.SIGKILL)
            time.sleep(3600)
        ctx.barrier()
        return ctx.attempt, ctx.is_elastic_restart

    pids = []

    def run(kill, max_restarts):
        return hr.gang.run(
            task, [kill], tasks=2, engine=spark, max_restarts=max_restarts,
            on_report=lambda _, own: pids.extend(own),
        )  # fmt: skip

    assert run(1, 1) == [(1, True)] * 2
    with pytest.raises(hr.errors.PeerFailed, match="gang failed: rank 1 of 2 was lost"):
        run(1, 0)
    assert len(pids) == 12
    while any(runs(pid) for pid in pids):
        time.sleep(0.05)


def accelerators_are_dealt(spark):
    def task():
        ctx = hr.gang.context()
        return ctx.accelerators, os.environ["CUDA_VISIBLE_DEVICES"], executor()

    def run(tasks, gpus):
        return hr.gang.run(task, tasks=tasks, gpus_per_task=gpus, engine=spark)

    first, second = run(2, 1)
    assert first[2] == second[2]  # one executor
    assert sorted([first[0], second[0]]) == [["0"], ["1"]]
    assert (first[1], second[1]) == (first[0][0], second[0][0])
    # Stages of other needs than the session's.
    assert run(1, 2)[0][:2] == (["0", "1"], "0,1")
    with pytest.raises(
        hr.errors.ResourceExhausted,
        match=r"needs 3 slots of 1 cpu \+ 1 gpu, the cluster has 2",
    ):
        run(3, 1)
    with pytest.raises(
        hr.errors.ResourceExhausted,
        match=r"needs 2 slots of 1 cpu \+ 2 gpu, the cluster has 1",
    ):
        run(2, 2)
    with pytest.raises(
        hr.errors.ResourceExhausted, match=r"3 gpu a task .* found 2 each"
    ):
        run(1, 3)


def the_drivers_accelerators_are_shared(spark):
    def task():
        return hr.gang.context().accelerators

    def run(gpus):
        return hr.gang.run(task, tasks=2, gpus_per_task=gpus, engine=spark)

    assert run(1) == [["0"], ["1"]]
    assert run(0.5) == [["0"], ["0"]]
    with pytest.raises(hr.errors.ResourceExhausted, match=r"needs 4 gpu .* found 2"):
        run(2)


def the_driver_is_killed(spark, folder):
    """By the test, which looks at what is told in the folder."""

    def task():
        ctx = hr.gang.context()
        left = subprocess.Popen(["setsid", "sleep", "3600"])
        for pid in os.getpid(), left.pid:
            (folder / "pids" / str(pid)).touch()
        ctx.barrier()
        time.sleep(3600)

    hr.gang.run(task, tasks=2, engine=spark)


def main() -> None:
    master, folder, what = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    builder = sessions.builder(master).config(map=OPTIONS)
    if what == "driver gpus":
        builder.config(map=hr.spark.gpu_conf(gpus_of_driver=2))
    elif what == "gpus":
        builder.config("spark.executor.cores", 2)
        builder.config(map=hr.spark.gpu_conf(gpus_per_executor=2))
    else:
        builder.config("spark.executor.cores", 1)
    spark = builder.config("spark.sql.warehouse.dir", folder / "warehouse").getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    if what == "gpus":
        accelerators_are_dealt(spark)
    elif what == "driver gpus":
        the_drivers_accelerators_are_shared(spark)
    elif what == "driver killed":
        the_driver_is_killed(spark, folder)
    else:
        tasks_meet(spark)
        an_executor_is_killed(spark)
    spark.stop()


if __name__ == "__main__":
    main()
