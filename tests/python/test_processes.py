"""Loaders and datasets across signals, exits, forks, pickles and threads."""

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_s3
import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from living import (
    PROMPT,
    ROWS,
    ids,
    make,
    nothing_left,
    run,
    script,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    noise = np.random.default_rng(0).random(ROWS)
    pq.write_table(pa.table({"id": range(ROWS), "x": noise}), path, row_group_size=500)
    return path


@pytest.fixture
def s3(path: Path) -> Iterator[Any]:
    with fake_s3.serve(path.read_bytes()) as server:
        yield server


@pytest.fixture
def dataset(path: Path) -> hr.Dataset:
    return hr.open(path)


# Processes


def test_ctrl_c_ends_a_running_loop(path: Path) -> None:
    text = """
        with hr.open(path).loader(batch_size=10) as loader:
            while True:
                for _ in loader:
                    print("running", flush=True)
    """
    command = script(text, path=str(path))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == b"running\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PROMPT)
    assert errors.splitlines()[-1] == b"KeyboardInterrupt"
    assert process.returncode == -signal.SIGINT


def test_ctrl_c_interrupts_a_wait_for_silent_storage(s3: Any) -> None:
    text = """
        loader = hr.open(uri, storage_options=options).loader()
        try:
            print("made", flush=True)
            sys.stdin.readline()
            next(iter(loader))
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    command = script(text, uri=fake_s3.URI, options=s3.options)
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == b"made\n"
        s3.fall_silent()
        process.stdin.write(b"go on\n")
        process.stdin.flush()
        s3.wait_until_asked()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"interrupted\n"  # and it is still silent
        s3.answer_again()
        _, errors = process.communicate(timeout=PROMPT)
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.parametrize(
    "end",
    [
        "pass",
        "sys.exit(0)",
        "import builtins; builtins.kept = (loader, iterator)",
        "import atexit; atexit.register(next, iterator)",
        "loader.close()",
    ],
)
def test_an_interpreter_exits_with_a_loader_still_open(path: Path, end: str) -> None:
    text = f"""
        loader = hr.open(path).loader(batch_size=10)
        iterator = iter(loader)
        next(iterator)
        {end}
    """
    assert run(text, path=str(path)) == ""


def test_an_interpreter_exits_while_daemon_threads_consume(path: Path) -> None:
    text = """
        import threading
        begun = threading.Barrier(4)
        def consume():
            loader = hr.open(path).loader(batch_size=10)
            for batch in loader:
                break
            begun.wait()
            while True:
                for batch in loader:
                    pass
        for _ in range(3):
            threading.Thread(target=consume, daemon=True).start()
        begun.wait()
    """
    assert run(text, path=str(path)) == ""


def test_an_uncaught_exception_ends_a_process_with_its_own_traceback(path: Path) -> None:
    text = """
        for batch in hr.open(path).loader():
            raise ZeroDivisionError("of the consumer")
    """
    command = script(text, path=str(path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROMPT)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: of the consumer"


def test_kill_leaves_no_files(path: Path, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("TMPDIR", "HEADRACE_CACHE_DIR", "HOME")}
    for place in places.values():
        place.mkdir()
    text = """
        for batch in hr.open(path).loader(batch_size=10):
            print("running", flush=True)
    """
    command = script(text, path=str(path))
    environment = {**os.environ, **{name: str(at) for name, at in places.items()}}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"running\n"
        process.kill()
        process.wait(PROMPT)
    assert [file for place in places.values() for file in place.rglob("*")] == []


def test_a_fork_after_import_reads(path: Path) -> None:
    text = """
        child = os.fork()
        rows = sum(len(batch["id"]) for batch in hr.open(path).loader())
        # In one call: both write into one pipe, and print() may end its line in a second.
        os.write(1, b"%d\\n" % rows)
        if child:
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert sorted(run(text, path=str(path)).split()) == sorted(["0", "20000", "20000"])


def test_a_fork_may_use_the_dataset_and_not_the_loader(path: Path) -> None:
    text = """
        dataset = hr.open(path)
        loader = dataset.loader(batch_size=10)
        iterator = iter(loader)
        next(iterator)  # the loader's threads run
        child = os.fork()
        if not child:
            assert dataset.to_arrow().num_rows == 20000
            with dataset.loader() as own:
                assert sum(len(batch["id"]) for batch in own) == 20000
            uses = [
                lambda: next(iterator), lambda: iter(loader), lambda: len(loader),
                loader.state_dict, loader.stats, loader.close,
            ]
            for use in uses:
                try:
                    use()
                except hr.errors.Unsupported as error:
                    assert str(os.getpid()) in str(error), error
                    assert str(os.getppid()) in str(error), error
                    assert "make the loader in the process that uses it" in str(error)
                else:
                    raise AssertionError("a loader was used in a fork")
            del use, uses, iterator, loader  # which must not wait for threads
            print("child ends", flush=True)
            sys.exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print(1 + sum(1 for _ in iterator), "steps")  # the parent's loader goes on
        loader.close()
    """
    found = run(text, path=str(path)).splitlines()
    assert found == ["child ends", "0", "2000 steps"]


def test_a_fork_exits_with_its_parents_loader_open(path: Path) -> None:
    text = """
        loader = hr.open(path).loader(batch_size=10)
        iterator = iter(loader)
        next(iterator)
        child = os.fork()
        if child:
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert run(text, path=str(path)) == "0\n"


def test_a_fork_does_not_wait_for_threads_that_it_does_not_have(path: Path) -> None:
    text = """
        import threading, time

        def read():
            while True:
                hr.open(path)

        threading.Thread(target=read, daemon=True).start()
        sys.setswitchinterval(100)
        for _ in range(20):
            time.sleep(0.001)  # the thread gets its turn
            end = time.monotonic() + 0.02
            while time.monotonic() < end:
                pass  # it comes back from its call, and waits for the GIL
            child = os.fork()
            if not child:
                sys.exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert run(text, path=str(path)) == "0\n" * 20


def test_import_imports_no_framework_and_starts_no_thread() -> None:
    text = """
        import os, sys
        import numpy, pyarrow, pyarrow.compute  # which may
        before = len(os.listdir("/proc/self/task"))
        import headrace
        assert len(os.listdir("/proc/self/task")) == before
        frameworks = {"torch", "tensorflow", "jax", "pandas", "polars", "pyspark", "lightning"}
        print(sorted(frameworks & set(sys.modules)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_numpy_batches_need_no_framework(path: Path) -> None:
    text = """
        list(hr.open(path).loader())
        list(hr.open(path).loader(to="arrow"))
        hr.open(path).to_arrow()
        print(sorted({"torch", "pandas", "polars"} & set(sys.modules)))
    """
    assert run(text, path=str(path)) == "[]\n"


# Datasets as values


@pytest.fixture
def chosen(dataset: hr.Dataset) -> hr.Dataset:
    return (
        dataset.where("id % 3 = 1 and x < 0.9")
        .select("x", "id")
        .cast({"x": "float32"})
        .nulls({"x": "mask", "id": hr.fill(-1)})
        .pack("features", ["x"])
        .on_error("skip")
    )


copies = pytest.mark.parametrize(
    "copied",
    [
        *(lambda d, p=p: pickle.loads(pickle.dumps(d, p)) for p in range(2, 6)),
        copy.copy,
        copy.deepcopy,
    ],
    ids=["pickle 2", "pickle 3", "pickle 4", "pickle 5", "copy", "deepcopy"],
)


@copies
def test_a_copy_delivers_the_same(
    chosen: hr.Dataset, copied: Callable[[hr.Dataset], hr.Dataset]
) -> None:
    same = copied(chosen)
    assert repr(same) == repr(chosen)
    assert same.fingerprint == chosen.fingerprint
    assert same.schema == chosen.schema
    assert same.to_arrow() == chosen.to_arrow()
    with make(same) as left, make(chosen) as right:
        assert left.state_dict() == right.state_dict()
        for found, expected in zip(left, right, strict=True):
            assert list(found) == list(expected)
            for name, values in expected.items():
                np.testing.assert_array_equal(found[name], values)


def test_a_dataset_survives_json(chosen: hr.Dataset) -> None:
    rebuild, (text,) = chosen.__reduce__()
    again = rebuild(json.dumps(json.loads(text), indent=1))
    assert repr(again) == repr(chosen)
    assert again.to_arrow() == chosen.to_arrow()


def test_a_pickle_goes_to_another_process_and_folder(
    chosen: hr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative = hr.open("table.parquet").where("id < 7")
    (tmp_path / "pickles").write_bytes(pickle.dumps([chosen, relative]))
    monkeypatch.chdir("/")
    text = """
        import pickle
        with open(file, "rb") as stream:
            print([d.count_rows() for d in pickle.load(stream)])
    """
    found = run(text, file=str(tmp_path / "pickles"))
    assert found == f"{[chosen.count_rows(), 7]}\n"


def test_a_pickle_of_a_table_that_changed_is_a_conflict(
    dataset: hr.Dataset, path: Path
) -> None:
    pickled = pickle.dumps(dataset)
    pq.write_table(pa.table({"id": [1], "x": [1.0]}), path)
    with pytest.raises(hr.errors.Conflict, match="changed") as caught:
        pickle.loads(pickled)
    for fact in (path, dataset.fingerprint, hr.open(path).fingerprint, "anew"):
        assert str(fact) in str(caught.value)


def test_a_pickle_of_a_directory_with_new_files_is_a_conflict(
    dataset: hr.Dataset, path: Path
) -> None:
    pickled = pickle.dumps(hr.open(path.parent))
    pq.write_table(pa.table({"id": [1], "x": [1.0]}), path.with_name("later.parquet"))
    with pytest.raises(hr.errors.Conflict, match="changed"):
        pickle.loads(pickled)


def test_a_pickle_of_a_table_that_went_is_not_found(
    dataset: hr.Dataset, path: Path
) -> None:
    pickled = pickle.dumps(dataset)
    path.unlink()
    with pytest.raises(hr.errors.NotFound, match=str(path)):
        pickle.loads(pickled)


def test_methods_leave_the_dataset_as_it_is(dataset: hr.Dataset) -> None:
    before = repr(dataset)
    dataset.select("id").where("id < 5").cast({"id": "int32"}).nulls({"id": "mask"})
    assert repr(dataset) == before
    assert dataset.count_rows() == ROWS


def test_a_dataset_is_used_by_many_threads_at_once(dataset: hr.Dataset) -> None:
    found: list[int] = []

    def use(i: int) -> None:
        part = dataset.where(f"id % 8 = {i}").select("id")
        found.extend(ids(make(part)))
        assert part.to_arrow()["id"].to_pylist() == list(range(i, ROWS, 8))
        found.append(-part.count_rows())

    users = [threading.Thread(target=use, args=(i,)) for i in range(8)]
    with nothing_left():
        for user in users:
            user.start()
        for user in users:
            user.join()
    assert sorted(found) == [-ROWS // 8] * 8 + list(range(ROWS))
