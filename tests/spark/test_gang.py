"""Gangs on Spark: what embedded ones do, in a barrier stage, and nothing left behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cluster_gangs
import connect_gangs
import headrace as hr
import pytest
from headrace.gang import _spark
from headrace.gang._post import PostOffice
from listing import runs
from standalone import standalone

GANGS = Path(cluster_gangs.__file__).read_text()
CONNECT = Path(connect_gangs.__file__).read_text()


@pytest.fixture
def run(spark) -> Any:
    """Gangs of two in one session; what a failed one has started is gone."""

    def call(task: Any, *args: Any, **options: Any) -> Any:
        return hr.gang.run(task, args, engine=spark, **{"tasks": 2, **options})

    return call


def failed(run: Any, task: Any, *args: Any, **options: Any) -> hr.errors.PeerFailed:
    with pytest.raises(hr.errors.PeerFailed) as caught:
        run(task, *args, **options)
    return caught.value


def wait_until_gone(pids: list[int]) -> None:
    while any(runs(pid) for pid in pids):  # pytest's timeout is the limit
        time.sleep(0.01)


def test_tasks_meet(run):
    def task(a, b):
        ctx = hr.gang.context()
        ctx.report(("first", ctx.rank))
        ctx.barrier()
        ctx.report(("second", ctx.rank))
        gathered = ctx.all_gather({"rank": ctx.rank, "text": b"\0" * ctx.rank})
        root = ctx.broadcast(object if ctx.rank == 1 else None, root=1)
        place = (ctx.rank, ctx.world_size, ctx.local_rank, ctx.local_world_size)
        return gathered, root, place, ctx.addresses, ctx.attempt, a * b

    told: list[Any] = []
    threads = []

    def on_report(rank: int, value: Any) -> None:
        told.append((rank, value))
        threads.append(threading.get_ident())

    gathered = [{"rank": 0, "text": b""}, {"rank": 1, "text": b"\0"}]
    assert run(task, 3, 5, on_report=on_report) == [
        (gathered, object, (rank, 2, rank, 2), ["127.0.0.1"] * 2, 0, 15)
        for rank in range(2)
    ]
    assert [each for each in told if each[0] == 0] == [
        (0, ("first", 0)),
        (0, ("second", 0)),
    ]
    assert len(told) == 4
    assert set(threads) == {threading.get_ident()}


def test_tasks_find_what_frameworks_look_for(run):
    def task():
        return dict(os.environ)

    first, second = run(task, env={"OMP_NUM_THREADS": "7", "MINE": "yes"})
    for rank, found in enumerate((first, second)):
        assert (found["RANK"], found["WORLD_SIZE"]) == (str(rank), "2")
        assert (found["LOCAL_RANK"], found["LOCAL_WORLD_SIZE"]) == (str(rank), "2")
        assert (found["OMP_NUM_THREADS"], found["MINE"]) == ("7", "yes")
        assert found["HEADRACE_ACCELERATORS"] == ""
        assert not [name for name in found if name.startswith("PYTHON_WORKER_FACTORY")]
    config = json.loads(second["TF_CONFIG"])
    assert config["task"] == {"type": "worker", "index": 1}
    workers = config["cluster"]["worker"]
    assert workers == json.loads(first["TF_CONFIG"])["cluster"]["worker"]
    addresses = {
        *workers,
        f"{first['MASTER_ADDR']}:{first['MASTER_PORT']}",
        first["JAX_COORDINATOR_ADDRESS"],
    }
    assert len(addresses) == 4
    same = ("MASTER_ADDR", "MASTER_PORT", "JAX_COORDINATOR_ADDRESS")
    assert [first[name] for name in same] == [second[name] for name in same]


def test_torch_trains_as_it_is(run):
    pytest.importorskip("torch")

    def task():
        import torch

        torch.distributed.init_process_group("gloo")
        torch.manual_seed(torch.distributed.get_rank())
        model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 1))
        model(torch.ones(2, 3) * (1 + torch.distributed.get_rank())).sum().backward()
        gradient = model.module.weight.grad.tolist()
        total = torch.tensor([float(os.environ["RANK"])])
        torch.distributed.all_reduce(total)
        del model  # which else ends the group, with the GIL held
        torch.distributed.destroy_process_group()
        return gradient, total.item()

    assert run(task) == [([[3.0, 3.0, 3.0]], 1.0)] * 2


def test_an_exception_is_the_cause(run):
    def task():
        ctx = hr.gang.context()
        if ctx.rank == 1:
            raise KeyError("the one")
        ctx.barrier()

    error = failed(run, task)
    assert str(error) == "the gang failed: rank 1 of 2 raised KeyError: 'the one'"
    assert isinstance(error.__cause__, KeyError)
    (note,) = error.__notes__
    assert note.startswith("In rank 1:\nTraceback")
    assert 'raise KeyError("the one")' in note


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL"),
        ("os._exit(3)", "ended with exit code 3"),
        ("sys.exit(0)", "ended, with exit code 0, before it returned"),
    ],
)
def test_a_task_that_ends_fails_the_gang(run, end, told):
    def task():
        ctx = hr.gang.context()
        left = subprocess.Popen(["setsid", "sleep", "3600"])
        ctx.report((os.getpid(), left.pid))
        ctx.barrier()
        if ctx.rank == 1:
            print("my last words", flush=True)
            exec(end, {"os": os, "sys": sys, "signal": signal})
        time.sleep(3600)

    pids: list[int] = []
    error = failed(run, task, on_report=lambda _, own: pids.extend(own))
    assert f"the gang failed: rank 1 of 2 {told}" in str(error)
    assert str(error).endswith("\n  my last words")
    assert len(pids) == 4
    wait_until_gone(pids)


def test_what_it_does_to_others_is_not_the_reason(run):
    """A rank's end breaks the connections of another, which may be told of first."""

    def task():
        ctx = hr.gang.context()
        other = ctx.all_gather(os.getpid())[1]
        if ctx.rank == 1:
            os.kill(other, signal.SIGKILL)
        while Path(f"/proc/{other}").exists():
            time.sleep(0.001)
        raise ConnectionError("peer closed the connection")

    assert "rank 1 of 2 was killed by SIGKILL" in str(failed(run, task))


@pytest.mark.parametrize("wait", ["elsewhere", "for it"])
def test_a_worker_of_spark_is_killed(run, wait):
    """What is below it goes with it."""

    def task():
        ctx = hr.gang.context()
        left = subprocess.Popen(["setsid", "sleep", "3600"])
        ctx.report((os.getpid(), left.pid))
        ctx.barrier()
        if ctx.rank == 0 and ctx.attempt == 0:
            supervisor = Path(f"/proc/{os.getppid()}/stat").read_text()
            worker = int(supervisor.rsplit(")", 1)[1].split()[1])
            os.kill(worker, signal.SIGKILL)
        if wait == "for it":
            ctx.barrier()
        time.sleep(0 if ctx.attempt else 3600)
        return ctx.attempt

    pids: list[int] = []
    options = {"on_report": lambda _, own: pids.extend(own)}
    assert re.search("rank 0 of 2 was lost", str(failed(run, task, **options)))
    assert run(task, max_restarts=1, **options) == [1, 1]
    wait_until_gone(pids)


def test_a_rank_that_does_not_come_is_named(run):
    def task(waits):
        ctx = hr.gang.context()
        ctx.barrier()
        if ctx.rank == 1:
            time.sleep(3600)
        ctx.barrier(timeout=0.5) if waits else ctx.barrier()

    told = r"barrier \(operation 2\): within 0.5 s rank 1 did not come, rank 0 did"
    assert re.search(told, str(failed(run, task, True)))


def test_ranks_that_miss_each_other_are_told(run):
    def ends():
        ctx = hr.gang.context()
        if ctx.rank == 0:
            ctx.all_gather(1)

    told = "all_gather (operation 1): rank 1 has ended and will not come"
    assert told in str(failed(run, ends))

    def differs():
        ctx = hr.gang.context()
        ctx.barrier() if ctx.rank == 0 else ctx.broadcast(1)

    assert "all ranks have to call the same operations" in str(failed(run, differs))


def test_a_gang_starts_again(run, capfd):
    def task():
        ctx = hr.gang.context()
        if ctx.rank == 0 and ctx.attempt < 2:
            raise ValueError(f"attempt {ctx.attempt}")
        ctx.barrier()
        return ctx.attempt, ctx.is_elastic_restart

    assert run(task, max_restarts=2) == [(2, True)] * 2
    said = capfd.readouterr().err
    assert "rank 0 of 2 raised ValueError: attempt 1" in said
    assert "starting again, attempt 3 of 3" in said
    error = failed(run, task, max_restarts=1)
    assert str(error).startswith("the gang failed in its attempt 2: rank 0 of 2 raised")


def test_too_few_slots_are_told_at_once(run):
    with pytest.raises(
        hr.errors.ResourceExhausted, match="needs 3 slots of 1 cpu, the cluster has 2"
    ):
        run(lambda: None, tasks=3)


def test_slots_that_others_have_are_not_waited_for_forever(run, spark, tmp_path):
    def holds(_):
        (tmp_path / "holds").touch()
        while not (tmp_path / "over").exists():
            time.sleep(0.01)
        return []

    rdd = spark.sparkContext.parallelize([0], 1)
    other = threading.Thread(target=lambda: rdd.mapPartitions(holds).collect())
    other.start()
    while not (tmp_path / "holds").exists():
        time.sleep(0.01)
    try:
        with pytest.raises(
            hr.errors.ResourceExhausted, match=r"2 tasks .* did not start within 0.5 s"
        ):
            run(lambda: None, timeout=0.5)
    finally:
        (tmp_path / "over").touch()
        other.join()


def test_what_a_callback_raises_ends_the_gang(run):
    def task():
        ctx = hr.gang.context()
        ctx.report(os.getpid())
        time.sleep(3600)

    pids: list[int] = []

    def give_up(_: int, pid: int) -> None:
        pids.append(pid)
        if len(pids) == 2:
            raise KeyboardInterrupt  # as Ctrl-C

    with pytest.raises(KeyboardInterrupt):
        run(task, on_report=give_up)
    wait_until_gone(pids)
    assert run(lambda: "still works") == ["still works"] * 2


def test_reports_that_cannot_be_sent_come_with_the_results(run, monkeypatch):
    def task():
        ctx = hr.gang.context()
        for value in range(3):
            ctx.report(value)

    class Unreachable(PostOffice):
        def __init__(self, host: str, *rest: Any) -> None:
            super().__init__(host, *rest)
            self.address = closed.getsockname()

    told: list[tuple[int, int]] = []
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        monkeypatch.setattr(_spark, "PostOffice", Unreachable)
        run(task, on_report=lambda *report: told.append(report))
    assert sorted(told) == [(rank, value) for rank in range(2) for value in range(3)]
    assert [value for rank, value in told if rank == 1] == [0, 1, 2]


def test_output_goes_to_files(run, tmp_path):
    def task():
        rank = hr.gang.context().rank
        print(f"out {rank}\nand", end="")
        print(f"err {rank}", file=sys.stderr)

    run(task, output_dir=tmp_path)
    for rank in range(2):
        place = tmp_path / "attempt-0"
        assert (place / f"rank-{rank}.out").read_text() == f"out {rank}\nand"
        assert (place / f"rank-{rank}.err").read_text() == f"err {rank}\n"


def test_a_task_leaves_nothing_in_a_worker_that_is_used_again(run, spark):
    def task():
        os.environ["LEFT"] = "behind"
        return os.getpid(), os.getppid(), "LEFT" in vars(sys)

    def leaves():
        sys.LEFT = 1  # type: ignore[attr-defined]
        return os.getpid()

    def look(_):
        yield len(os.listdir("/proc/self/fd")), threading.active_count()

    workers = spark.sparkContext.parallelize(range(2), 2).mapPartitions(look)
    run(leaves)
    before = max(workers.collect())
    first = run(leaves)
    second = run(task)
    assert [left for _, _, left in second] == [False, False]
    wait_until_gone([*first, *(pid for pid, _, _ in second)])
    while max(workers.collect()) > before:  # threads that are told to end do so soon
        time.sleep(0.05)


def test_accelerators_that_are_not_there_are_told(run):
    with pytest.raises(
        hr.errors.ResourceExhausted, match=r"needs 2 gpu for 2 tasks, found 0 \(none\)"
    ):
        run(lambda: None, gpus_per_task=1)
    with pytest.raises(hr.errors.InvalidArgument, match=r"0.75"):
        run(lambda: None, gpus_per_task=0.75)


def test_a_conf_for_gpus():
    conf = hr.spark.gpu_conf(gpus_per_executor=4, gpus_per_task=0.5, gpus_of_driver=1)
    script = conf.pop("spark.executor.resource.gpu.discoveryScript")
    assert conf.pop("spark.driver.resource.gpu.discoveryScript") == script
    assert conf == {
        "spark.executor.resource.gpu.amount": "4",
        "spark.task.resource.gpu.amount": "0.5",
        "spark.driver.resource.gpu.amount": "1",
    }
    fake = Path(script).parent / "fake"
    done = subprocess.run(
        [script],
        env={**os.environ, "HEADRACE_ACCELERATOR_COMMAND": str(fake)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode != 0) and str(fake) in done.stderr
    assert len(hr.spark.gpu_conf(gpus_of_driver=1)) == 2
    with pytest.raises(hr.errors.InvalidArgument, match="for no gpus"):
        hr.spark.gpu_conf()
    with pytest.raises(hr.errors.InvalidArgument, match="at least the 2 of a task"):
        hr.spark.gpu_conf(gpus_per_executor=1, gpus_per_task=2)
    with pytest.raises(hr.errors.InvalidArgument, match=r"1.5"):
        hr.spark.gpu_profile(1.5)


@pytest.mark.long
def test_gangs_through_connect(python, tmp_path):
    python(CONNECT, "local[2]", str(tmp_path))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_an_executor_of_a_cluster_is_killed(python, tmp_path):
    python(GANGS, "local-cluster[2,1,1024]", str(tmp_path), "kill")


@pytest.fixture
def two_gpus(tmp_path):
    """A discovery script that finds two."""
    script = tmp_path / "gpus.sh"
    script.write_text('#!/bin/sh\necho \'{"name": "gpu", "addresses": ["0", "1"]}\'\n')
    script.chmod(0o755)
    return str(script)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_accelerators_of_a_cluster_are_dealt(python, tmp_path, two_gpus):
    conf = hr.spark.gpu_conf(gpus_per_executor=2)
    script = conf["spark.executor.resource.gpu.discoveryScript"]
    worker = "-Dspark.worker.resource.gpu"
    with standalone(
        tmp_path,
        ["127.0.0.1"],
        cores=2,
        HEADRACE_ACCELERATOR_COMMAND=two_gpus,
        SPARK_WORKER_OPTS=f"{worker}.amount=2 {worker}.discoveryScript={script}",
    ) as url:
        python(GANGS, url, str(tmp_path), "gpus")


@pytest.mark.long
def test_accelerators_of_the_driver_are_shared(python, tmp_path, two_gpus, monkeypatch):
    monkeypatch.setenv("HEADRACE_ACCELERATOR_COMMAND", two_gpus)
    python(GANGS, "local[2]", str(tmp_path), "driver gpus")


@pytest.mark.long
def test_a_driver_is_killed(tmp_path):
    (tmp_path / "pids").mkdir()
    with subprocess.Popen(
        [sys.executable, cluster_gangs.__file__, "local[2]", tmp_path, "driver killed"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    ) as driver:
        pids: list[int] = []
        while len(pids) < 4:
            assert driver.poll() is None
            time.sleep(0.05)
            pids = [int(path.name) for path in (tmp_path / "pids").iterdir()]
        driver.kill()
    wait_until_gone(pids)


@pytest.mark.long
def test_a_task_whose_interpreter_hangs_fails_the_gang(run):
    def task():
        import ctypes

        ctx = hr.gang.context()
        ctx.report(os.getpid())
        ctx.barrier()
        if ctx.rank == 1:
            ctypes.PyDLL(None).pause()  # with the GIL held

    pids: list[int] = []
    error = failed(run, task, timeout=20, on_report=lambda _, pid: pids.append(pid))
    assert "rank 1 of 2 has run no Python for 30 s" in str(error)
    wait_until_gone(pids)


@pytest.mark.long
def test_a_task_that_is_stopped_fails_the_gang(run):
    def task():
        ctx = hr.gang.context()
        ctx.report(os.getpid())
        ctx.barrier()
        if ctx.rank == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        ctx.barrier()

    pids: list[int] = []
    error = failed(run, task, on_report=lambda _, pid: pids.append(pid))
    assert re.search(r"rank 1 of 2 has been stopped \(SIGSTOP\) for 3\d s", str(error))
    wait_until_gone(pids)
