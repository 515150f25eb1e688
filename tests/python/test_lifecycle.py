"""Lives of loaders and datasets: ends of all kinds leave nothing behind and hang nowhere."""

import contextlib
import copy
import gc
import importlib.util
import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = 20_000
STEPS = 200
BATCH = ROWS // STEPS
PROMPT = 30  # seconds: far more than needed, and far less than a time-out of storage


def load(name: str) -> ModuleType:
    path = Path(__file__).parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fake_s3 = load("fake_s3")


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_CACHE_DIR", "")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    noise = np.random.default_rng(0).random(ROWS)
    pq.write_table(pa.table({"id": range(ROWS), "x": noise}), path, row_group_size=500)
    return path


@pytest.fixture
def dataset(path: Path) -> hr.Dataset:
    return hr.open(path)


def make(dataset: hr.Dataset, **options: Any) -> hr.Loader:
    return dataset.loader(**{"batch_size": BATCH, "seed": 3, "num_threads": 3, **options})


def ids(batches: Any) -> list[int]:
    return [i for batch in batches for i in batch["id"].tolist()]


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def descriptors() -> set[str]:
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists
            found.add(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
    return found


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Check that threads and open files are afterwards as before."""
    gc.collect()
    threads_before, descriptors_before = threads(), descriptors()
    yield
    # A thread that is joined may be listed for some microseconds more.
    deadline = time.monotonic() + PROMPT
    while threads() > threads_before and time.monotonic() < deadline:
        os.sched_yield()
    assert threads() <= threads_before
    assert descriptors() <= descriptors_before


def script(text: str, **variables: object) -> list[str]:
    """Return the command that runs Python text with `hr`, `os`, `sys` and variables."""
    given = "".join(f"{name} = {value!r}\n" for name, value in variables.items())
    head = "import os, sys\nimport headrace as hr\n"
    return [sys.executable, "-c", head + given + textwrap.dedent(text)]


def run(text: str, **variables: object) -> str:
    """Run Python text; it has to exit with 0 and print nothing to stderr."""
    done = subprocess.run(
        script(text, **variables), capture_output=True, text=True, timeout=PROMPT
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# Ends of a pass


def test_a_finished_pass_leaves_nothing(dataset: hr.Dataset) -> None:
    with nothing_left():
        loader = make(dataset)
        assert sorted(ids(loader)) == list(range(ROWS))
    loader.close()


def test_a_loader_that_was_made_and_not_used_has_no_threads(dataset: hr.Dataset) -> None:
    with nothing_left():
        loader = make(dataset)
    loader.close()


def test_close_in_the_middle_leaves_nothing(dataset: hr.Dataset) -> None:
    with nothing_left():
        loader = make(dataset)
        iterator = iter(loader)
        next(iterator)
        loader.close()


def test_the_end_of_a_with_block_leaves_nothing(dataset: hr.Dataset) -> None:
    with nothing_left(), make(dataset) as loader:
        next(iter(loader))


def test_an_exception_in_the_consumer_leaves_nothing(dataset: hr.Dataset) -> None:
    with (
        nothing_left(),
        pytest.raises(ZeroDivisionError, match="of the consumer"),
        make(dataset) as loader,
    ):
        for _ in loader:
            raise ZeroDivisionError("of the consumer")
    with pytest.raises(hr.errors.Conflict):
        next(iter(loader))


def test_a_loader_that_is_dropped_leaves_nothing(dataset: hr.Dataset) -> None:
    with nothing_left():
        for _ in make(dataset):
            break


def test_a_loader_in_a_cycle_is_collected_and_leaves_nothing(dataset: hr.Dataset) -> None:
    with nothing_left():
        loader = make(dataset)
        iterator = iter(loader)
        next(iterator)
        loader.itself = loader  # type: ignore[attr-defined]
        gone = weakref.ref(loader)
        del loader, iterator
        gc.collect()
        assert gone() is None


def test_a_loader_dropped_in_another_thread_leaves_nothing(dataset: hr.Dataset) -> None:
    with nothing_left():
        held = [make(dataset)]
        next(iter(held[0]))
        dropper = threading.Thread(target=held.clear)
        dropper.start()
        dropper.join()


def test_many_loaders_made_and_dropped_leave_nothing(dataset: hr.Dataset) -> None:
    expected = next(iter(make(dataset)))["id"].tolist()
    with nothing_left():
        for i in range(100):
            loader = make(dataset)
            assert next(iter(loader))["id"].tolist() == expected
            if i % 2:
                loader.close()
            del loader


def test_an_error_while_reading_leaves_nothing(path: Path) -> None:
    chunk = pq.read_metadata(path).row_group(30).column(0)
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset : chunk.data_page_offset + 30] = b"\xff" * 30
    path.write_bytes(content)
    with nothing_left():
        loader = make(hr.open(path))
        with pytest.raises(hr.errors.Corrupt):
            list(loader)
        loader.close()


def test_reading_everything_leaves_nothing(dataset: hr.Dataset) -> None:
    with nothing_left():
        assert dataset.to_arrow().num_rows == ROWS
        stream = pa.RecordBatchReader.from_stream(dataset)
        stream.read_next_batch()
        del stream  # in the middle


def test_batches_outlive_their_loader(dataset: hr.Dataset) -> None:
    with make(dataset, shuffle=False) as loader:
        batches = list(loader)
    del loader
    gc.collect()
    assert ids(batches) == list(range(ROWS))
    batches[0]["id"][:] = 0  # and are the caller's


def test_an_iterator_keeps_its_loader(dataset: hr.Dataset) -> None:
    expected = ids(make(dataset))
    iterator = iter(make(dataset))
    gc.collect()
    assert ids(iterator) == expected


# Passes


def test_iteration_begins_anew_after_a_break(dataset: hr.Dataset) -> None:
    with make(dataset) as whole:
        epochs = [ids(whole), ids(whole)]
    with make(dataset) as loader:
        for stop_after in (0, 1, 17, STEPS - 1):
            for step, _ in enumerate(loader):
                if step == stop_after - 1:
                    break
                if stop_after == 0:
                    break
            assert loader.epoch == 0
        assert [ids(loader), ids(loader)] == epochs


def test_a_break_at_the_last_batch_is_the_end_of_the_epoch(dataset: hr.Dataset) -> None:
    with make(dataset) as whole:
        epochs = [ids(whole), ids(whole)]
    with make(dataset) as loader:
        for step, _ in enumerate(loader, 1):
            if step == len(loader):
                break
        assert (loader.epoch, loader.state_dict()["samples"]) == (1, 0)
        assert ids(loader) == epochs[1]


def test_iteration_begins_anew_after_an_exception(dataset: hr.Dataset) -> None:
    with make(dataset) as loader:
        expected = ids(loader)
        loader.set_epoch(0)
        with contextlib.suppress(ZeroDivisionError):
            for _ in loader:
                raise ZeroDivisionError
        assert ids(loader) == expected


def test_an_exhausted_iterator_stays_exhausted(dataset: hr.Dataset) -> None:
    with make(dataset) as loader:
        iterator = iter(loader)
        assert len(list(iterator)) == STEPS
        assert list(iterator) == []
        assert next(iterator, None) is None


@pytest.mark.parametrize(
    "supersede",
    [
        iter,
        lambda loader: loader.set_epoch(5),
        lambda loader: loader.load_state_dict(loader.state_dict()),
    ],
    ids=["iter", "set_epoch", "load_state_dict"],
)
def test_an_older_iterator_is_a_conflict(
    dataset: hr.Dataset, supersede: Callable[[hr.Loader], object]
) -> None:
    with make(dataset) as loader:
        older = iter(loader)
        next(older)
        newer = supersede(loader) or iter(loader)
        for _ in range(2):
            with pytest.raises(hr.errors.Conflict, match=r"iterator.*second loader"):
                next(older)
        assert len(next(newer)["id"]) == BATCH  # the newer goes on


def test_two_loaders_at_once_are_independent(dataset: hr.Dataset) -> None:
    with make(dataset, seed=1) as first, make(dataset, seed=2) as second:
        expected = ids(first), ids(second)
    with make(dataset, seed=1) as first, make(dataset, seed=2) as second:
        pairs = list(zip(first, second, strict=True))
    assert ids(pair[0] for pair in pairs) == expected[0]
    assert ids(pair[1] for pair in pairs) == expected[1]
    assert expected[0] != expected[1]


def test_eight_loaders_in_threads_of_their_own_deliver_the_same(
    dataset: hr.Dataset,
) -> None:
    expected = ids(make(dataset))
    found: list[list[int]] = []
    consumers = [
        threading.Thread(target=lambda: found.append(ids(make(dataset))))
        for _ in range(8)
    ]
    with nothing_left():
        for consumer in consumers:
            consumer.start()
        for consumer in consumers:
            consumer.join()
    assert found == [expected] * 8


def test_consumers_that_share_an_iterator_get_every_row_once(dataset: hr.Dataset) -> None:
    with make(dataset) as loader:
        iterator = iter(loader)
        found: list[list[int]] = []
        consumers = [
            threading.Thread(target=lambda: found.append(ids(iterator))) for _ in range(4)
        ]
        for consumer in consumers:
            consumer.start()
        for consumer in consumers:
            consumer.join()
    assert len(found) == 4  # none failed
    assert sorted(itertools.chain(*found)) == list(range(ROWS))


# Closing


def test_close_may_be_called_again(dataset: hr.Dataset) -> None:
    loader = make(dataset)
    next(iter(loader))
    loader.close()
    loader.close()
    with contextlib.suppress(hr.errors.Conflict), loader:
        pytest.fail("a closed loader was entered")
    loader.close()


@pytest.mark.parametrize(
    "use",
    [
        iter,
        len,
        list,
        lambda loader: loader.state_dict(),
        lambda loader: loader.load_state_dict({}),
        lambda loader: loader.set_epoch(1),
        lambda loader: loader.epoch,
        lambda loader: loader.__enter__(),
        lambda loader: loader.to_torch_dataset(),
    ],
)
def test_use_after_close_is_a_conflict_that_says_what_to_do(
    dataset: hr.Dataset, use: Callable[[hr.Loader], object]
) -> None:
    loader = make(dataset)
    loader.close()
    with pytest.raises(hr.errors.Conflict, match=r"closed.*Dataset\.loader"):
        use(loader)


def test_an_iterator_of_a_closed_loader_is_a_conflict(dataset: hr.Dataset) -> None:
    loader = make(dataset)
    iterator = iter(loader)
    next(iterator)
    loader.close()
    for _ in range(2):
        with pytest.raises(hr.errors.Conflict, match="closed"):
            next(iterator)


def test_stats_and_repr_of_a_closed_loader_stay(dataset: hr.Dataset) -> None:
    with make(dataset) as loader:
        rows = len(ids(loader))
    assert loader.stats()["rows"] == rows == ROWS
    assert "batch_size=100" in repr(loader)


def test_close_from_another_thread_ends_a_running_loop(dataset: hr.Dataset) -> None:
    loader = make(dataset)
    running = threading.Event()
    ended: list[BaseException] = []

    def consume() -> None:
        try:
            while True:
                for _ in loader:
                    running.set()
        except hr.HeadraceError as error:
            ended.append(error)

    with nothing_left():
        consumer = threading.Thread(target=consume)
        consumer.start()
        assert running.wait(PROMPT)
        loader.close()
        consumer.join(PROMPT)
        assert not consumer.is_alive()
    assert isinstance(ended[0], hr.errors.Conflict | hr.errors.Cancelled)


@pytest.fixture
def s3(path: Path) -> Iterator[Any]:
    with fake_s3.serve(path.read_bytes()) as server:
        yield server


def test_close_cancels_a_consumer_that_waits(s3: Any) -> None:
    loader = make(hr.open(fake_s3.URI, storage_options=s3.options))
    ended: list[BaseException] = []

    def consume() -> None:
        try:
            next(iter(loader))
        except hr.HeadraceError as error:
            ended.append(error)

    s3.fall_silent()
    consumer = threading.Thread(target=consume)
    consumer.start()
    s3.wait_until_asked()
    closer = threading.Thread(target=loader.close)
    closer.start()
    # The consumer does not wait for storage; close() does, for the requests under way.
    consumer.join(5)
    still_waiting = consumer.is_alive()
    s3.answer_again()
    consumer.join(PROMPT)
    closer.join(PROMPT)
    assert not consumer.is_alive()
    assert not closer.is_alive()
    assert [type(error) for error in ended] == [hr.errors.Cancelled]
    assert not still_waiting


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
        print(rows, flush=True)
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
