"""Lives of loaders and datasets: ends of all kinds leave nothing behind and hang nowhere."""

import contextlib
import gc
import itertools
import json
import threading
import weakref
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
    BATCH,
    PROMPT,
    ROWS,
    STEPS,
    ids,
    make,
    nothing_left,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    noise = np.random.default_rng(0).random(ROWS)
    pq.write_table(pa.table({"id": range(ROWS), "x": noise}), path, row_group_size=500)
    return path


@pytest.fixture
def dataset(path: Path) -> hr.Dataset:
    return hr.open(path)


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


def test_threads_of_a_loader_are_known_by_their_name(dataset: hr.Dataset) -> None:
    def named() -> int:
        found = 0
        for comm in Path("/proc/self/task").glob("*/comm"):
            with contextlib.suppress(OSError):  # threads of others may end meanwhile
                found += comm.read_text() == "headrace-load\n"
        return found

    before = named()
    with make(dataset, num_threads=3) as loader:
        next(iter(loader))
        assert named() == before + 3


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


def test_stats_say_where_time_went_and_how_columns_were_decoded(
    dataset: hr.Dataset,
) -> None:
    with make(dataset) as loader:
        before = loader.stats()["bottleneck"]
        list(loader)
        stats = loader.stats()
    assert "no batch" in before
    assert " is the bottleneck: " in stats["bottleneck"]
    assert set(stats["stages"]) == {"storage", "decode", "batch", "consumer"}
    for stage in stats["stages"].values():
        assert stage["busy"] > 0
        assert stage["waiting"] >= 0
    assert set(stats["decode_paths"]) == set(dataset.schema.names)
    assert stats["decode_paths"]["id"] == ["placed"]


def test_a_trace_is_written_at_the_end_of_a_pass_and_by_close(
    dataset: hr.Dataset, tmp_path: Path
) -> None:
    trace = tmp_path / "trace.json"

    def events() -> list[str]:
        return [e["name"] for e in json.loads(trace.read_text())["traceEvents"]]

    with make(dataset, trace=trace) as loader:
        assert events() == []
        list(loader)
        passed = len(events())
        assert {"read", "fill", "assemble", "consume"} <= set(events())
        next(iter(loader))
        assert len(events()) == passed
    assert len(events()) > passed
    with pytest.raises(hr.errors.InvalidArgument, match=r"no-such-folder/x.json.*cannot"):
        make(dataset, trace=tmp_path / "no-such-folder" / "x.json")
    with pytest.raises(hr.errors.InvalidArgument, match="trace is 3"):
        make(dataset, trace=3)


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
