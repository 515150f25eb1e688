"""Gangs through Spark Connect: run with a URL of Connect and a folder.

A process of its own, since one cannot hold a session of each kind. What is wrong raises.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import headrace as hr
import pytest
import sessions
from listing import runs


def tasks_meet(spark):
    def task(a, b):
        ctx = hr.gang.context()
        ctx.report(("first", ctx.rank))
        ctx.barrier()
        ctx.report(("second", ctx.rank))
        return ctx.all_gather(ctx.rank * a), ctx.broadcast(ctx.rank + b, root=1)

    told = []
    results = hr.gang.run(
        task, [10], {"b": 7}, tasks=2, engine=spark,
        on_report=lambda rank, value: told.append((rank, value)),
    )  # fmt: skip
    assert results == [([0, 10], 8)] * 2
    assert sorted(told) == [
        (rank, (word, rank)) for rank in range(2) for word in ("first", "second")
    ]


def failures_are_told(spark):
    def raises():
        ctx = hr.gang.context()
        if ctx.rank == 1:
            raise KeyError(os.urandom(100_000).hex())
        ctx.barrier()

    with pytest.raises(
        hr.errors.PeerFailed, match="rank 1 of 2 raised KeyError"
    ) as caught:
        hr.gang.run(raises, tasks=2, engine=spark)
    assert isinstance(caught.value.__cause__, KeyError)
    assert "Traceback" in caught.value.__notes__[0]

    def is_killed():
        ctx = hr.gang.context()
        if ctx.rank == 0 and not ctx.is_elastic_restart:
            os.kill(os.getpid(), signal.SIGKILL)
        ctx.barrier()
        return ctx.attempt

    assert hr.gang.run(is_killed, tasks=2, engine=spark, max_restarts=1) == [1, 1]


def too_many_tasks_are_refused(spark):
    begin = time.monotonic()
    with pytest.raises(
        hr.errors.ResourceExhausted, match=r"needs 3 slots of 1 cpu, .* has 2"
    ):
        hr.gang.run(lambda: None, tasks=3, engine=spark)
    assert time.monotonic() - begin < 60


def slots_that_others_have_are_not_waited_for_forever(spark, folder):
    def holds(batches):
        (folder / "holds").touch()
        while not (folder / "over").exists():
            time.sleep(0.01)
        yield from batches

    one = spark.range(0, 1, 1, 1).mapInArrow(holds, "id long")
    other = threading.Thread(target=one.collect)
    other.start()
    while not (folder / "holds").exists():
        time.sleep(0.01)
    try:
        with pytest.raises(
            hr.errors.ResourceExhausted, match=r"did not start within 1 s"
        ):
            hr.gang.run(lambda: None, tasks=2, engine=spark, timeout=1)
    finally:
        (folder / "over").touch()
        other.join()


def a_gang_that_is_given_up_leaves_nothing(spark):
    def task():
        ctx = hr.gang.context()
        ctx.report(os.getpid())
        ctx.barrier()
        time.sleep(3600)

    pids = []

    def give_up(rank, pid):
        pids.append(pid)
        if len(pids) == 2:
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        hr.gang.run(task, tasks=2, engine=spark, on_report=give_up)
    while any(runs(pid) for pid in pids):
        time.sleep(0.05)


def main() -> None:
    spark = sessions.connect_builder(sys.argv[1]).getOrCreate()
    tasks_meet(spark)
    failures_are_told(spark)
    too_many_tasks_are_refused(spark)
    slots_that_others_have_are_not_waited_for_forever(spark, Path(sys.argv[2]))
    a_gang_that_is_given_up_leaves_nothing(spark)
    spark.stop()


if __name__ == "__main__":
    main()
