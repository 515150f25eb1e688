"""Processes of `Dataset.map_batches`: what their deaths say, and that none outlives its loader."""

import contextlib
import gc
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from living import PROMPT, descriptors, nothing_left, run, script
from mapping import BATCH, ROWS, joined, load, write

INTERRUPTS = 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.parquet"


@pytest.fixture
def numbers(path: Path) -> hr.Dataset:
    return write(path).select("id", "x")


def children(of: int | None = None) -> set[int]:
    """The processes that a process, or this one, has and that are there, or zombies."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == (of or os.getpid()):
                found.add(int(entry.name))
    return found


def is_there(pid: int) -> bool:
    """Whether a process runs: a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PROMPT
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_so()


def with_pid(batch: dict[str, Any]) -> dict[str, Any]:
    return {"x": np.full(len(batch["x"]), float(os.getpid()))}


def own(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function by value: the processes need not find this module."""
    function.__module__ = "__main__"
    return function


own(with_pid)


def pids_of(batches: list[Any]) -> set[int]:
    return {int(pid) for pid in joined(batches, "x")}


def test_batches_are_dealt_to_processes_which_stay_for_the_next_epoch(
    numbers: hr.Dataset,
) -> None:
    before = children()
    mapped = numbers.map_batches(with_pid, columns=["x"], processes=2)
    with nothing_left(), mapped.loader(batch_size=BATCH) as loader:
        assert children() == before  # none before the first batch
        pids = pids_of(list(loader))
        assert len(pids) == 2
        assert os.getpid() not in pids
        assert children() - before == pids
        assert pids_of(list(loader)) == pids
    assert children() == before


@pytest.mark.parametrize("end", ["close", "break", "drop", "error", "cycle"])
def test_ends_of_all_kinds_leave_nothing(numbers: hr.Dataset, end: str) -> None:
    def function(batch: dict[str, Any]) -> dict[str, Any]:
        if end == "error" and batch["id"][0]:
            raise ZeroDivisionError
        return batch

    before = children()
    with nothing_left():
        loader = numbers.map_batches(function, processes=2).loader(
            batch_size=2, shuffle=False
        )
        batches = iter(loader)
        next(batches)
        assert len(children() - before) == 2
        if end == "break":
            next(iter(loader))
        if end == "error":
            with pytest.raises(ZeroDivisionError):
                list(batches)
        if end == "cycle":
            loader.itself = loader  # type: ignore[attr-defined]
        if end in ("close", "error"):
            loader.close()
        del loader, batches
        gc.collect()
        assert children() == before


def test_close_does_not_wait_for_a_function(numbers: hr.Dataset) -> None:
    def function(batch: dict[str, Any]) -> dict[str, Any]:
        import time

        if batch["id"][0]:
            time.sleep(1000)
        return batch

    mapped = numbers.map_batches(function, processes=2)
    with nothing_left():
        loader = mapped.loader(batch_size=2, shuffle=False)
        next(iter(loader))
        begun = time.monotonic()
        loader.close()
        assert time.monotonic() - begun < PROMPT


def test_hundreds_of_batches_need_no_more_descriptors(path: Path) -> None:
    pq.write_table(pa.table({"id": range(300)}), path)
    mapped = hr.open(path).map_batches(lambda batch: batch, processes=2)
    with nothing_left(), mapped.loader(batch_size=1) as loader:
        kept: list[Any] = []
        counts = []
        for step, batch in enumerate(loader):
            kept.append(batch["id"])  # what is handed out holds none
            if step in (50, 290):
                counts.append(len(descriptors()))
        assert counts[1] <= counts[0]
    assert sorted(int(i[0]) for i in kept) == list(range(300))


def test_batches_outlive_their_loader_and_grow_and_shrink(path: Path) -> None:
    pq.write_table(
        pa.table({"id": np.arange(64), "size": np.arange(64) * 997 % 64}), path
    )

    def function(batch: dict[str, Any]) -> dict[str, Any]:
        size = int(batch["size"][0]) * 5000 + 1
        return {"y": np.full((1, size), batch["id"][0], np.int64)}

    from mapping import declare

    mapped = hr.open(path).map_batches(
        function, schema=declare(y=("int64", None)), processes=2
    )
    batches = load(mapped, batch_size=1)
    for id_, batch in enumerate(batches):
        assert batch["y"].shape == (1, id_ * 997 % 64 * 5000 + 1)
        assert (batch["y"] == id_).all()
        batch["y"][:] = 0  # the caller's


def test_what_a_function_keeps_of_its_batches_stays_as_it_was(
    numbers: hr.Dataset,
) -> None:
    class Keeping:
        def __init__(self) -> None:
            self.kept: list[Any] = []

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            self.kept.append(batch["x"][1:])
            sums = sum(float(x.sum()) for x in self.kept)
            return {"x": np.full(len(batch["x"]), sums)}

    mapped = numbers.map_batches(Keeping(), columns=["x"], processes=1)
    batches = load(mapped, batch_size=4)
    sums = np.cumsum((np.arange(ROWS) / 2).reshape(-1, 4)[:, 1:].sum(1))
    np.testing.assert_array_equal(joined(batches, "x"), np.repeat(sums, 4))


# Deaths


def dying(how: str) -> Callable[[Any], Any]:
    def function(batch: dict[str, Any]) -> dict[str, Any]:
        import os
        import signal
        import sys

        if batch["id"][0] != 48:
            return batch
        if how == "exit":
            os._exit(7)
        if how == "close":
            os.closerange(3, 1000)
            sys.exit()
        os.kill(os.getpid(), getattr(signal, how))
        return batch

    return function


@pytest.mark.parametrize(
    ("how", "facts"),
    [
        ("exit", ["ended with exit code 7"]),
        ("SIGKILL", ["killed by signal 9 (SIGKILL)", "memory"]),
        ("SIGSEGV", ["killed by signal 11 (SIGSEGV)"]),
        ("close", ["process"]),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_process_that_dies_is_told_of_at_its_batch(
    numbers: hr.Dataset, how: str, facts: list[str]
) -> None:
    mapped = numbers.map_batches(dying(how), processes=2)
    with nothing_left(), mapped.loader(batch_size=BATCH, shuffle=False) as loader:
        came = []
        for _ in range(2):  # the second pass starts it anew
            came.clear()
            with pytest.raises(hr.errors.PeerFailed) as caught:
                for batch in loader:
                    came += batch["id"].tolist()
            assert came == list(range(48))
            where = "map_batches(function) at step 3 of epoch 0 (samples 48 to 63)"
            for fact in (where, *facts):
                assert fact in str(caught.value)
            assert loader.state_dict()["samples"] == 48


def test_a_process_that_is_killed_while_it_waits_is_told_of(numbers: hr.Dataset) -> None:
    before = children()
    mapped = numbers.map_batches(lambda batch: batch, processes=1)
    with mapped.loader(batch_size=2, shuffle=False) as loader:
        batches = iter(loader)
        next(batches)
        (pid,) = children() - before
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(hr.errors.PeerFailed, match=rf"process {pid} .*SIGKILL"):
            list(batches)


def test_a_process_whose_child_has_its_socket_is_told_of(numbers: hr.Dataset) -> None:
    def function(batch: dict[str, Any]) -> dict[str, Any]:
        import os
        import time

        if os.fork() == 0:
            time.sleep(1000)
        os._exit(3)

    mapped = numbers.map_batches(function, processes=1)
    with (
        nothing_left(),
        mapped.loader() as loader,
        pytest.raises(hr.errors.PeerFailed, match="exit code 3"),
    ):
        list(loader)


def test_a_function_that_cannot_be_loaded_is_told_of(
    numbers: hr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "modules"
    folder.mkdir()
    module = folder / "passing_module.py"
    module.write_text("def function(batch):\n    return batch\n")
    monkeypatch.syspath_prepend(str(folder))
    import passing_module

    mapped = numbers.map_batches(passing_module.function, processes=1)
    assert len(load(mapped)) == len(load(numbers))  # found where this process finds it
    module.unlink()
    for cached in folder.rglob("*.pyc"):
        cached.unlink()
    with pytest.raises(ModuleNotFoundError, match="passing_module") as caught:
        load(mapped)
    assert "map_batches(function) at step 0" in caught.value.__notes__[-1]
    del sys.modules["passing_module"]


def test_a_function_that_does_not_pickle_is_refused(numbers: hr.Dataset) -> None:
    lock = threading.Lock()

    def function(batch: dict[str, Any]) -> dict[str, Any]:
        with lock:
            return batch

    mapped = numbers.map_batches(function, processes=1)
    with pytest.raises(hr.errors.InvalidArgument, match=r"function.*pickle.*processes=0"):
        mapped.loader()
    assert len(load(numbers.map_batches(function))) == len(load(numbers))


# Ends of the process that has the loader

LOADING = """
    import time

    def function(batch):
        how = HOW
        if how == "sleeping" and batch["id"][0]:
            time.sleep(1000)
        if how == "holding the GIL" and batch["id"][0]:
            os.write(1, b"held\\n")
            sum(range(10**12))
        if how == "forked" and batch["id"][0]:
            import subprocess
            child = subprocess.Popen(["sleep", "1000"])
            os.write(1, b"%d\\n" % child.pid)
            child.wait()
        return {"id": batch["id"], "x": batch["x"] * 0 + os.getpid()}

    mapped = hr.open(path).select("id", "x").map_batches(function, processes=2)
    loader = mapped.loader(batch_size=2, shuffle=False)
    batches = iter(loader)
"""


@contextlib.contextmanager
def begin(path: Path, how: str, text: str) -> Iterator[subprocess.Popen[bytes]]:
    head = LOADING.replace("HOW", repr(how))
    command = script(head + text, path=str(path))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("how", ["idle", "sleeping", "holding the GIL", "forked"])
def test_processes_do_not_outlive_a_parent_that_is_killed(path: Path, how: str) -> None:
    write(path)
    text = """
    print(int(next(batches)["x"][0]), flush=True)
    time.sleep(1000)
    """
    with begin(path, how, text) as process:
        lines = 3 if how in ("holding the GIL", "forked") else 1
        said = {process.stdout.readline() for _ in range(lines)}
        pids = children(process.pid) | {int(line) for line in said - {b"held\n"}}
        assert len(pids) == (4 if how == "forked" else 2)
        assert all(is_there(pid) for pid in pids)
        process.kill()
        wait_until(lambda: not any(is_there(pid) for pid in pids))


def test_processes_do_not_outlive_a_parent_that_has_forked(path: Path) -> None:
    write(path)
    text = """
    print(int(next(batches)["x"][0]), flush=True)
    if os.fork() == 0:
        time.sleep(1000)
    time.sleep(1000)
    """
    with begin(path, "idle", text) as process:
        pid = int(process.stdout.readline())
        wait_until(lambda: len(children(process.pid)) == 3)
        pids = children(process.pid)
        process.kill()
        wait_until(lambda: not is_there(pid))
        for left in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)


@pytest.mark.parametrize("how", ["idle", "sleeping"])
def test_ctrl_c_ends_a_loop_and_the_processes(path: Path, how: str) -> None:
    write(path)
    text = """
    print(int(next(batches)["x"][0]), flush=True)
    while True:
        for batch in loader:
            pass
    """
    with begin(path, how, text) as process:
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PROMPT)
    assert errors.splitlines()[-1] == b"KeyboardInterrupt", errors.decode()
    assert process.returncode == -signal.SIGINT
    wait_until(lambda: not is_there(pid))


@pytest.mark.parametrize("how", ["idle", "sleeping"])
@pytest.mark.parametrize("end", ["pass", "sys.exit(0)", "loader.close()"])
def test_an_interpreter_exits_with_a_loader_still_open(
    path: Path, how: str, end: str
) -> None:
    write(path)
    text = f"""
    print(int(next(batches)["x"][0]), flush=True)
    {end}
    """
    with begin(path, how, text) as process:
        output, errors = process.communicate(timeout=PROMPT)
    assert (process.returncode, errors) == (0, b"")
    wait_until(lambda: not is_there(int(output)))


def test_a_loader_does_not_cross_a_fork_and_stays_whole(path: Path) -> None:
    write(path)
    text = """
        before = hr.open(path).select("id").map_batches(lambda batch: batch, processes=1)
        loader = before.loader(batch_size=2)
        batches = iter(loader)
        next(batches)
        if (child := os.fork()) == 0:
            try:
                next(batches)
            except hr.errors.Unsupported as error:
                assert "fork" in str(error)
                del batches, loader
                sys.exit(5)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        print(sum(len(batch["id"]) for batch in batches))
        loader.close()
    """
    assert run(text, path=str(path)) == f"{ROWS - 2}\n"


INTERRUPTED = """
    import gc, signal
    sys.path.insert(0, helpers)
    from living import ids, nothing_left
    from test_map_batches_processes import children

    interrupted = False

    def interrupt(*_):
        # An interrupt inside of a destructor is printed and lost: so it is remembered.
        global interrupted
        interrupted = True
        raise KeyboardInterrupt

    def read(n):
        mapped = hr.open(path).select("id").map_batches(lambda batch: batch, processes=n)
        with mapped.loader(batch_size=5, seed=3) as loader:
            return ids(loader)

    expected = read(0)
    read(1)
    signal.signal(signal.SIGINT, interrupt)
    for _ in range(rounds):
        with nothing_left():
            interrupted = False
            try:
                print("running", flush=True)
                while not interrupted:
                    assert read(0) == read(2) == expected
            except KeyboardInterrupt:
                pass
            gc.collect()
            assert children() == set()
        print("interrupted", flush=True)
"""


def test_interrupts_at_any_moment_leave_nothing(path: Path) -> None:
    write(path)
    rng = random.Random(1)
    helpers = str(Path(__file__).parent)
    command = script(INTERRUPTED, path=str(path), helpers=helpers, rounds=INTERRUPTS)
    # stderr is not looked at: there Python prints the interrupts of destructors.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        said: list[bytes] = []
        for _ in range(INTERRUPTS):
            said.append(process.stdout.readline())
            time.sleep(rng.random() / 2)
            process.send_signal(signal.SIGINT)
            said.append(process.stdout.readline())
        _, errors = process.communicate(timeout=PROMPT)
    assert said == [b"running\n", b"interrupted\n"] * INTERRUPTS, errors.decode()
    assert process.returncode == 0, errors.decode()


def test_functions_of_main_go_to_processes(path: Path) -> None:
    write(path)
    text = """
        FACTOR = 3

        def helper(x):
            return x * FACTOR

        def function(batch):
            return {"id": helper(batch["id"])}

        dataset = hr.open(path).select("id")
        with dataset.map_batches(function, processes=1).loader(shuffle=False) as loader:
            print(next(iter(loader))["id"][:3].tolist())
    """
    assert run(text, path=str(path)) == json.dumps([0, 3, 6]) + "\n"
