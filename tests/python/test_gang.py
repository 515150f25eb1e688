"""Gangs on this machine, as users run them: functions here, programs by the command."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import headrace as hr
import pytest
from listing import runs
from living import PROMPT, nothing_left, script

HEADRACE = Path(hr.__file__).parent / "bin" / "headrace"


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + PROMPT
    while any(runs(pid) for pid in pids):
        assert time.monotonic() < deadline, [pid for pid in pids if runs(pid)]
        time.sleep(0.01)


def failed(task: Any, **options: Any) -> hr.errors.PeerFailed:
    with nothing_left(), pytest.raises(hr.errors.PeerFailed) as caught:
        hr.gang.run(task, **options)
    return caught.value


def test_results_come_by_rank() -> None:
    def task(a: int, b: int) -> tuple[int, int, int]:
        ctx = hr.gang.context()
        return ctx.rank, ctx.world_size, a * b

    with nothing_left():
        results = hr.gang.run(task, [3], {"b": 5}, tasks=3)
    assert results == [(0, 3, 15), (1, 3, 15), (2, 3, 15)]


def test_tasks_meet() -> None:
    def task() -> tuple[Any, ...]:
        ctx = hr.gang.context()
        ctx.barrier()
        gathered = ctx.all_gather({"rank": ctx.rank, "text": b"\0" * ctx.rank})
        root = ctx.broadcast(object if ctx.rank == 1 else None, root=1)
        return gathered, root, ctx.addresses, ctx.local_rank, ctx.local_world_size

    gathered = [{"rank": 0, "text": b""}, {"rank": 1, "text": b"\0"}]
    assert hr.gang.run(task, tasks=2) == [
        (gathered, object, ["127.0.0.1"] * 2, rank, 2) for rank in range(2)
    ]


def test_an_exception_is_the_cause() -> None:
    def task() -> None:
        ctx = hr.gang.context()
        if ctx.rank == 1:
            raise KeyError("the one")
        ctx.barrier()

    error = failed(task, tasks=3)
    assert str(error) == "the gang failed: rank 1 of 3 raised KeyError: 'the one'"
    assert isinstance(error.__cause__, KeyError)
    (note,) = error.__notes__
    assert (
        note.startswith("In rank 1:\nTraceback") and 'raise KeyError("the one")' in note
    )


def test_an_exception_that_does_not_pickle_is_told_of() -> None:
    def task() -> None:
        class OddError(Exception):
            def __reduce__(self) -> str:
                raise TypeError("not me")

        raise OddError("why")

    error = failed(task)
    assert re.search(r"rank 0 of 1 raised .*OddError: why", str(error))
    assert error.__cause__ is None


def test_what_does_not_pickle_is_refused() -> None:
    with pytest.raises(hr.errors.InvalidArgument, match=r"task.* do not pickle"):
        lock = __import__("threading").Lock()

        def task() -> object:
            return lock

        hr.gang.run(task)
    error = failed(lambda: __import__("threading").Lock())
    assert "cannot pickle" in str(error)


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL"),
        ("os._exit(3)", "ended with exit code 3"),
        ("sys.exit(4)", "ended with exit code 4"),
        ("sys.exit()", "ended, with exit code 0, before it returned"),
        ("os._exit(0)", "ended, with exit code 0, before it returned"),
    ],
)
def test_a_task_that_ends_fails_the_gang(end: str, told: str) -> None:
    def task() -> None:
        ctx = hr.gang.context()
        ctx.barrier()
        if ctx.rank == 1:
            print("my last words", flush=True)
            exec(end, {"os": os, "sys": sys, "signal": signal})
        ctx.barrier()

    error = failed(task, tasks=3)
    assert f"rank 1 of 3 {told}" in str(error)
    assert str(error).endswith("\n  my last words")


def test_a_task_without_memory_fails_the_gang() -> None:
    def task() -> int:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        return len(bytearray(2 << 30))

    assert isinstance(failed(task).__cause__, MemoryError)


@contextlib.contextmanager
def memory_limit(limit_bytes: int) -> Iterator[Path]:
    """A memory cgroup below this process' own: beyond the limit the kernel kills."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        if controllers not in ("memory", ""):
            continue
        # Of version 1 the controller has a hierarchy of its own, of version 2 all share one.
        root = Path("/sys/fs/cgroup") / controllers
        limit = "memory.limit_in_bytes" if controllers else "memory.max"
        swap = "memory.memsw.limit_in_bytes" if controllers else "memory.swap.max"
        folder = root / own.lstrip("/") / f"headrace-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            if (folder / limit).exists():
                (folder / limit).write_text(str(limit_bytes))
                if (folder / swap).exists():
                    (folder / swap).write_text(str(limit_bytes if controllers else 0))
                yield folder
                return
        finally:
            folder.rmdir()
    pytest.skip("the kernel lets this process make no memory cgroup")


@pytest.mark.long
def test_a_task_that_the_kernel_kills_for_want_of_memory_fails_the_gang() -> None:
    with memory_limit(200 << 20) as folder:
        place = os.fspath(folder)

        def task() -> int:
            ctx = hr.gang.context()
            ctx.barrier()
            if ctx.rank == 1 and ctx.attempt == 0:
                with open(f"{place}/cgroup.procs", "w") as members:
                    members.write(str(os.getpid()))
                return len(b"x" * (400 << 20))
            ctx.barrier()
            return ctx.attempt

        told = "rank 1 of 2 was killed by SIGKILL (by the kernel, perhaps, for want of memory)"
        assert told in str(failed(task, tasks=2))
        (counts,) = (
            (folder / name).read_text()
            for name in ("memory.oom_control", "memory.events")
            if (folder / name).exists()
        )
        assert "oom_kill 1" in counts.splitlines()
        assert hr.gang.run(task, tasks=2, max_restarts=1) == [1, 1]


@pytest.mark.long
def test_a_task_whose_interpreter_hangs_fails_the_gang() -> None:
    def task() -> None:
        import ctypes

        ctx = hr.gang.context()
        ctx.barrier()
        if ctx.rank == 1:
            ctypes.PyDLL(None).pause()  # type: ignore[arg-type]  # with the GIL held

    assert "rank 1 of 2 has run no Python for 30 s" in str(
        failed(task, tasks=2, timeout=20)
    )


def test_a_barrier_names_who_did_not_come() -> None:
    def task() -> None:
        ctx = hr.gang.context()
        ctx.barrier()
        if ctx.rank != 1:
            time.sleep(1000)
        ctx.barrier(timeout=0.2)

    assert "barrier (operation 2): within 0.2 s ranks 0, 2 did not come, rank 1 did" in (
        str(failed(task, tasks=3))
    )


def test_a_gang_has_a_timeout_of_its_own() -> None:
    def task() -> None:
        if hr.gang.context().rank:
            time.sleep(1000)
        hr.gang.context().all_gather(1)

    assert "all_gather (operation 1): within 2 s rank 1 did not come" in (
        str(failed(task, tasks=2, timeout=2))
    )


def test_ranks_that_call_different_things_are_told() -> None:
    def task() -> None:
        ctx = hr.gang.context()
        ctx.barrier() if ctx.rank else ctx.all_gather(0)

    assert "all ranks have to call the same operations" in str(failed(task, tasks=2))


def test_a_gang_starts_again() -> None:
    def task() -> tuple[int, bool]:
        ctx = hr.gang.context()
        ctx.barrier()
        if ctx.attempt < 2 and ctx.rank == ctx.attempt:
            os.kill(os.getpid(), signal.SIGKILL)
        ctx.barrier()
        return ctx.attempt, ctx.is_elastic_restart

    assert hr.gang.run(task, tasks=2, max_restarts=2) == [(2, True)] * 2
    assert "in its attempt 2: rank 1 of 2 was killed" in (
        str(failed(task, tasks=2, max_restarts=1))
    )


def test_reports_reach_the_launcher() -> None:
    def task() -> None:
        ctx = hr.gang.context()
        for step in range(3):
            ctx.report({"step": step})

    heard: dict[int, list[Any]] = {0: [], 1: []}
    hr.gang.run(task, tasks=2, on_report=lambda rank, value: heard[rank].append(value))
    assert heard[0] == heard[1] == [{"step": 0}, {"step": 1}, {"step": 2}]


def test_what_a_callback_raises_ends_the_gang() -> None:
    def task() -> None:
        hr.gang.context().report(1)
        time.sleep(1000)

    def on_report(rank: int, value: Any) -> None:
        raise ZeroDivisionError

    with nothing_left(), pytest.raises(ZeroDivisionError):
        hr.gang.run(task, tasks=2, on_report=on_report)


def test_output_is_told_by_rank(capfd: Any, tmp_path: Path) -> None:
    def task() -> None:
        print("out", "unfinished", sep="\n", end="")
        print("err", file=sys.stderr)

    hr.gang.run(task, tasks=2)
    found = capfd.readouterr()
    assert sorted(found.out.splitlines()) == [
        "[0] out", "[0] unfinished", "[1] out", "[1] unfinished",
    ]  # fmt: skip
    assert sorted(found.err.splitlines()) == ["[0] err", "[1] err"]

    hr.gang.run(task, tasks=2, output_dir=tmp_path / "logs")
    assert (tmp_path / "logs/attempt-0/rank-1.out").read_text() == "out\nunfinished"
    assert (tmp_path / "logs/attempt-0/rank-0.err").read_text() == "err\n"
    assert capfd.readouterr() == ("", "")


def test_there_is_no_context_outside_of_a_gang() -> None:
    with pytest.raises(hr.errors.InvalidArgument, match=r"no task of a gang"):
        hr.gang.context()


def test_a_process_that_a_task_starts_is_no_part_of_the_gang() -> None:
    def task() -> tuple[str, str]:
        hr.gang.context()
        code = (
            "import headrace as hr\n"
            "try: hr.gang.context()\n"
            "except hr.errors.Conflict as error: print(error)"
        )
        command = [sys.executable, "-c", code]
        started = subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout
        read, write = os.pipe()
        if os.fork() == 0:
            try:
                hr.gang.context().barrier()
            except hr.errors.Unsupported as error:
                os.write(write, str(error).encode())
            os._exit(0)
        return started, os.read(read, 1000).decode()

    ((started, forked),) = hr.gang.run(task)
    assert "rank 0 has joined its gang already" in started
    assert "use it where it was made" in forked


def test_a_wrong_secret_cannot_join() -> None:
    def task() -> str:
        os.environ["HEADRACE_GANG_SECRET"] = "guessed"
        import headrace.gang._context as internal

        internal.enter(None)
        try:
            hr.gang.context()
        except hr.errors.Denied as error:
            return str(error)
        return ""

    assert "not the secret of the gang" in hr.gang.run(task)[0]


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    discover = tmp_path / "discover"
    discover.write_text(
        '#!/bin/sh\necho \'{"name": "gpu", "addresses": ["0", "1", "2"]}\'\n'
    )
    discover.chmod(0o755)
    monkeypatch.setenv("HEADRACE_ACCELERATOR_COMMAND", str(discover))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return discover


@pytest.mark.usefixtures("gpus")
def test_each_task_has_its_accelerators(monkeypatch: pytest.MonkeyPatch) -> None:
    def task() -> tuple[list[str], str]:
        return hr.gang.context().accelerators, os.environ["CUDA_VISIBLE_DEVICES"]

    assert hr.gang.accelerators() == ["0", "1", "2"]
    assert hr.gang.run(task, tasks=3, gpus_per_task=1) == [
        (["0"], "0"), (["1"], "1"), (["2"], "2"),
    ]  # fmt: skip
    shared = hr.gang.run(task, tasks=3, gpus_per_task=0.5)
    assert [own for own, _ in shared] == [["0"], ["0"], ["1"]]
    with pytest.raises(
        hr.errors.ResourceExhausted, match=r"needs 4 gpu for 2 tasks, found 3 \(0, 1, 2\)"
    ):
        hr.gang.run(task, tasks=2, gpus_per_task=2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    assert hr.gang.accelerators() == ["0", "2"]


def test_plain_programs_of_torch_run(tmp_path: Path) -> None:
    program = tmp_path / "train.py"
    program.write_text(
        textwrap.dedent("""
            import torch
            import torch.distributed as dist
            dist.init_process_group("gloo")
            total = torch.tensor([1.0 + dist.get_rank()])
            dist.all_reduce(total)
            print(total.item(), torch.get_num_threads() >= 1)
            dist.destroy_process_group()
        """)
    )
    done = subprocess.run(
        [HEADRACE, "run", "-n", "2", "--", sys.executable, program],
        capture_output=True, text=True, timeout=4 * PROMPT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["[0] 3.0 True", "[1] 3.0 True"]


def test_plain_programs_of_jax_run(tmp_path: Path) -> None:
    program = tmp_path / "train.py"
    program.write_text(
        textwrap.dedent("""
            import os
            import jax
            jax.config.update("jax_platforms", "cpu")
            rank, world_size = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE"))
            jax.distributed.initialize(num_processes=world_size, process_id=rank)
            print(jax.process_index(), jax.process_count(), jax.device_count())
        """)
    )
    done = subprocess.run(
        [HEADRACE, "run", "-n", "2", "--", sys.executable, program],
        capture_output=True, text=True, timeout=4 * PROMPT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["[0] 0 2 2", "[1] 1 2 2"]


@contextlib.contextmanager
def sleepers(command: list[str], tmp_path: Path) -> Iterator[Any]:
    """A launcher of two tasks, each with a child in a session of its own, that sleep."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as launcher:
        lines = [launcher.stdout.readline() for _ in range(2)]  # type: ignore[union-attr]
        pids = [
            int(pid) for line in lines for pid in re.findall(r"\d+", line.split("]")[1])
        ]
        assert len(pids) == 4, lines
        assert all(runs(pid) for pid in pids)
        launcher.pids = pids  # type: ignore[attr-defined]
        try:
            yield launcher
        finally:
            launcher.kill()


SLEEPER = """
    import os, subprocess, sys, time
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    os.write(1, f"{os.getpid()} {child.pid}\\n".encode())
    time.sleep(1000)
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("launcher", ["function", "program"])
def test_nothing_outlives_the_launcher(launcher: str, sent: int, tmp_path: Path) -> None:
    if launcher == "function":
        text = f"exec({textwrap.dedent(SLEEPER)!r})"
        command = script(f"hr.gang.run(lambda: exec({text!r}), tasks=2)")
    else:
        program = tmp_path / "sleeper.py"
        program.write_text(textwrap.dedent(SLEEPER))
        command = [str(HEADRACE), "run", "-n", "2", "--", sys.executable, str(program)]
    with sleepers(command, tmp_path) as process:
        process.send_signal(sent)
        assert process.wait(PROMPT) != 0
        wait_until_gone(process.pids)


def test_a_supervisor_that_is_killed_is_told_of(tmp_path: Path) -> None:
    def task() -> None:
        if hr.gang.context().rank == 1:
            os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(1000)

    assert "rank 1 of 2 was lost: its supervisor was killed" in str(failed(task, tasks=2))


def test_a_gang_runs_in_a_thread_and_beside_others() -> None:
    from concurrent.futures import ThreadPoolExecutor

    def task(base: int) -> int:
        return base + sum(hr.gang.context().all_gather(hr.gang.context().rank))

    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(hr.gang.run, task, [base], tasks=2) for base in (0, 10, 20)]
        assert [run.result() for run in runs] == [[1, 1], [11, 11], [21, 21]]


def children() -> str:
    return Path("/proc/self/task", str(os.getpid()), "children").read_text()


def test_many_gangs_leave_nothing() -> None:
    command = ["true"]
    native = hr.gang._run._native
    before = children()
    with nothing_left():
        for _ in range(100):
            native.run_gang(
                command, tasks=4, environment=list(os.environ.items()), accelerators=[],
                max_restarts=0, timeout_ms=1000, payload=None,
                on_output=print, on_report=print, on_restart=print,
            )  # fmt: skip
    assert children() == before


@pytest.mark.long
def test_many_gangs_of_functions_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gangs that return, raise, and are killed, one after the other in one process."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    ends = [
        lambda: None,
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        lambda: None,
        lambda: 1 // 0,
    ]

    def task(end: Any) -> None:
        ctx = hr.gang.context()
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        address = os.environ["HEADRACE_GANG"]
        assert address in Path("/proc/net/unix").read_text()
        ctx.report((address, os.getpid(), os.getppid(), child.pid))
        ctx.barrier()
        if ctx.rank == 1:
            end()

    said: list[Any] = []
    before = children()

    def many(gangs: int) -> None:
        for gang in range(gangs):
            end = ends[gang % len(ends)]
            context = (
                contextlib.nullcontext()
                if gang % 2 == 0
                else pytest.raises(hr.errors.PeerFailed)
            )
            with context:
                hr.gang.run(
                    task, [end], tasks=2, on_report=lambda _, value: said.append(value)
                )

    many(len(ends))  # what is made once
    with nothing_left():
        many(100)
    assert children() == before
    assert len(said) == 2 * (100 + len(ends))
    pids = [pid for _, *pids in said for pid in pids]
    assert [pid for pid in pids if runs(pid)] == []
    # Sockets where ranks meet have no file, but a name; other ports end with processes.
    names = Path("/proc/net/unix").read_text()
    assert [address for address, *_ in said if address in names] == []
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_accelerators_as_sparks_scripts_do(gpus: Path) -> None:
    found = subprocess.run([HEADRACE, "accelerators"], capture_output=True, check=True)
    assert json.loads(found.stdout) == {"name": "gpu", "addresses": ["0", "1", "2"]}
    gpus.unlink()
    done = subprocess.run([HEADRACE, "accelerators"], capture_output=True, text=True)
    assert done.returncode == 3
    assert f"the discovery command {gpus} is not there" in done.stderr


def test_the_command_restarts_and_writes_files(tmp_path: Path) -> None:
    program = "echo $HEADRACE_GANG_ATTEMPT; exit $((1 - HEADRACE_GANG_ATTEMPT))"
    command = [HEADRACE, "run", "-n", "2", "--max-restarts", "1"]
    shell = ["--", "sh", "-c", program]
    done = subprocess.run(
        [*command, "--output-dir", tmp_path / "logs", *shell],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert "ended with exit code 1" in done.stderr
    assert "starting again, attempt 2 of 2" in done.stderr
    assert (tmp_path / "logs/attempt-1/rank-0.out").read_text() == "1\n"

    done = subprocess.run([*command, "--", "false"], capture_output=True, text=True)
    assert done.returncode == 7
    assert "PeerFailed: the gang failed in its attempt 2: rank" in done.stderr


def test_the_command_needs_a_program() -> None:
    done = subprocess.run([HEADRACE, "run", "-n", "2"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "PROGRAM is required" in done.stderr


@pytest.mark.parametrize(
    "options",
    [{"tasks": 0}, {"max_restarts": -1}, {"timeout": -1}, {"timeout": "1"}, {"tasks": 2.5},
     {"gpus_per_task": 0.7}],
)  # fmt: skip
def test_arguments_are_checked(options: dict[str, Any], gpus: Path) -> None:
    with pytest.raises(
        hr.errors.InvalidArgument, match=next(iter(options)).split("s_")[0]
    ):
        hr.gang.run(print, **options)
