"""Long lives: interrupts at any moment, loaders by the thousand, consumers that sleep.

Nothing here waits for a moment to pass: random moments may fall anywhere, and what is checked
holds whenever it is looked at.
"""

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from living import (
    BATCH,
    PROMPT,
    ROWS,
    descriptors,
    ids,
    make,
    nothing_left,
    script,
    threads,
)

SEEDS = [1, 2, 3]
INTERRUPTS = 25
LOADERS = 1000
# Blocks of an allocator come and go; 1 KiB that each loader leaves stands out.
ATTEMPTS = 3
SETTLED_BYTES = LOADERS * (1 << 10)
# A batch of three columns, in the consumer's hands.
HANDED_OUT = BATCH * 100


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "lake" / "table.parquet"
    path.parent.mkdir()
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "id": range(ROWS),
            "x": rng.random(ROWS),
            "name": [f"name {i % 50}" for i in range(ROWS)],
        }
    )
    pq.write_table(table, path, row_group_size=500)
    return path


@pytest.fixture
def dataset(path: Path) -> hr.Dataset:
    return hr.open(path)


# What an interrupted process does: all ways to read, one after the other, for ever.
INTERRUPTED = """
    import gc, itertools, signal, sys
    sys.path.insert(0, helpers)
    from living import descriptors, ids, nothing_left

    interrupted = False

    def interrupt(*_):
        # An interrupt inside of a destructor is printed and lost: so it is remembered.
        global interrupted
        interrupted = True
        raise KeyboardInterrupt

    def half(loader):
        for step, _ in enumerate(loader):
            if step == 20:
                break

    def resume():
        loader = hr.open(path).loader(batch_size=100, seed=3)
        half(loader)
        state = loader.state_dict()
        loader.close()
        again = hr.open(path).loader(batch_size=100, seed=3)
        again.load_state_dict(state)
        return ids(again)

    def read(turn):
        dataset = hr.open(path)
        if turn == 0:
            return ids(dataset.loader(batch_size=100, seed=3))
        if turn == 1:
            with dataset.where("x < 0.5").loader(batch_size=7, num_threads=3) as loader:
                half(loader)
        if turn == 2:
            return dataset.where("x < 0.3 and name != 'name 3'").to_arrow()
        if turn == 3:
            return dataset.where(f"id < {next(numbers)}").count_rows()
        if turn == 4:
            return resume()
        half(dataset.loader(batch_size=11, to="arrow"))  # dropped

    numbers = itertools.count(1)
    turns = itertools.count()
    expected = read(0)
    for turn in range(6):
        read(turn)
    signal.signal(signal.SIGINT, interrupt)
    for _ in range(rounds):
        with nothing_left():
            interrupted = False
            try:
                print("running", flush=True)
                while not interrupted:
                    read(next(turns) % 6)
            except KeyboardInterrupt:
                pass
        print("interrupted", flush=True)
    assert read(0) == expected
    print("done", flush=True)
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_interrupts_at_any_moment_leave_nothing(
    path: Path, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    cache = tmp_path / "cache"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {
        **os.environ,
        "HEADRACE_CACHE_DIR": str(cache),
        "TMPDIR": str(temporary),
    }
    helpers = str(Path(__file__).parent)
    command = script(INTERRUPTED, path=str(path), helpers=helpers, rounds=INTERRUPTS)
    # stderr is not looked at: there Python prints the interrupts of destructors.
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=tmp_path,
    ) as process:
        said: list[bytes] = []
        for _ in range(INTERRUPTS):
            said.append(process.stdout.readline())
            if said[-1] != b"running\n":
                break
            time.sleep(rng.expovariate(100))  # some hundredths of a second
            process.send_signal(signal.SIGINT)
            said.append(process.stdout.readline())
        rest, errors = process.communicate(timeout=PROMPT)
    assert said == [b"running\n", b"interrupted\n"] * INTERRUPTS, errors.decode()
    assert (process.returncode, rest) == (0, b"done\n"), errors.decode()
    # No half-written file, and none in a place that was not named.
    assert list(temporary.iterdir()) == []
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert {entry.name for entry in tmp_path.iterdir()} == {"lake", "cache", "tmp"}
    names = [entry.name for entry in cache.rglob("*") if entry.is_file()]
    assert names
    assert [name for name in names if "tmp" in name] == []


# What a process does that drops loaders; it prints how its memory grew by the last of them.
DROPPING = """
    import ctypes, gc, pathlib, sys
    sys.path.insert(0, helpers)
    import pyarrow as pa
    from living import make, nothing_left

    dataset = hr.open(path)
    some = dataset.where("x < 0.9")

    def drop(loaders):
        for i in range(loaders):
            loader = make(
                some if i % 3 == 0 else dataset,
                batch_size=50 + i % 7,
                to="arrow" if i % 5 == 0 else "numpy",
                shuffle_window_rows=2000,
            )
            for step, _ in enumerate(loader):
                if step == i % 4:
                    break
            if i % 2:
                loader.close()
            del loader

    def anonymous_bytes():
        # Without what is free in it.
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        status = pathlib.Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(s.split()[1]) for s in status if s.startswith("RssAnon:"))

    drop(200)
    with nothing_left():
        allocated = pa.total_allocated_bytes()
        # What an allocator keeps for later stops growing; a leak does not.
        for _ in range(attempts):
            before = anonymous_bytes()
            drop(loaders)
            growth = anonymous_bytes() - before
            if growth <= settled_bytes:
                break
    assert pa.total_allocated_bytes() <= allocated
    print(growth)
"""


def test_loaders_dropped_half_way_by_the_thousand_leave_no_memory(path: Path) -> None:
    command = script(
        DROPPING,
        path=str(path),
        helpers=str(Path(__file__).parent),
        loaders=LOADERS,
        attempts=ATTEMPTS,
        settled_bytes=SETTLED_BYTES,
    )
    # The allocator that gives back what is free when it is told to.
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) <= SETTLED_BYTES


def test_a_consumer_that_sleeps_lets_nothing_pile_up(dataset: hr.Dataset) -> None:
    with make(dataset, shuffle_window_rows=1000, num_threads=1) as loader:
        budget = loader.stats()["memory_floor"]
    whole = ids(make(dataset, shuffle_window_rows=1000))
    with nothing_left():
        # After what earlier tests left in cycles is gone.
        allocated = pa.total_allocated_bytes()
        before = threads(), descriptors()
        loader = make(
            dataset, shuffle_window_rows=1000, num_threads=1, memory_budget=budget
        )
        found: list[Any] = []
        for step, batch in enumerate(loader):
            found += batch["id"].tolist()
            if step % 20 == 0:
                time.sleep(0.02)  # the loader runs ahead as far as it may
                assert threads() <= before[0] + 1
                assert loader.stats()["memory_peak"] <= budget
                assert pa.total_allocated_bytes() - allocated <= budget + HANDED_OUT
        del batch
        loader.close()
    assert found == whole
    assert pa.total_allocated_bytes() == allocated


def test_a_consumer_that_never_comes_back_holds_up_nothing(dataset: hr.Dataset) -> None:
    with nothing_left(), contextlib.ExitStack() as stack:
        loaders = [stack.enter_context(make(dataset)) for _ in range(8)]
        iterators = [iter(loader) for loader in loaders]
        for iterator in iterators:
            next(iterator)
        # All wait for a consumer now; another goes on.
        assert sorted(ids(make(dataset))) == list(range(ROWS))
        for loader in loaders:
            assert loader.stats()["memory_peak"] <= loader.stats()["memory_budget"]
