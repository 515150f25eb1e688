"""`Dataset.map_batches`: what functions get and return, in which order, and what goes wrong."""

import functools
import gc
import json
import pickle
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import ordering as lakes
import pandas as pd
import pyarrow as pa
import pytest
from living import nothing_left
from mapping import BATCH, ROWS, declare, joined, load, write

ALL = ["id", "x", "small", "flag", "vector", "items", "name", "blob"]
processes = pytest.mark.parametrize("processes", [0, 2])


@pytest.fixture
def dataset(tmp_path: Path) -> hr.Dataset:
    return write(tmp_path / "table.parquet")


@pytest.fixture
def whole(dataset: hr.Dataset) -> hr.Dataset:
    return dataset.ragged({"items": "ragged"})


@pytest.fixture
def numbers(dataset: hr.Dataset) -> hr.Dataset:
    return dataset.select("id", "x")


def assert_same(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert list(one) == list(other)
        for name, column in other.items():
            assert one[name].dtype == column.dtype, name
            np.testing.assert_array_equal(one[name], column, name)


# What functions get and return


@processes
@pytest.mark.parametrize("form", ["numpy", "pandas", "arrow"])
def test_what_goes_through_in_any_form_comes_out_as_it_was(
    whole: hr.Dataset, form: Any, processes: int
) -> None:
    mapped = whole.map_batches(lambda batch: batch, form=form, processes=processes)
    assert_same(load(mapped), load(whole))


def test_functions_get_the_form_that_was_asked_for(whole: hr.Dataset) -> None:
    got: list[Any] = []

    def keep(batch: Any) -> Any:
        got.append(batch)
        return batch

    for form in ("numpy", "pandas", "arrow"):
        load(whole.map_batches(keep, form=form), batch_size=ROWS)
    arrays, frame, batch = got
    assert isinstance(arrays, dict)
    assert list(arrays) == [*ALL[:6], "items_offsets", "name", "blob"]
    assert arrays["vector"].shape == (ROWS, 3)
    assert arrays["name"][7] == "name 7"
    assert arrays["blob"][2] == b"\xff\xff"
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == ALL
    assert frame["x"].dtype == "float64"
    assert frame["vector"][5].tolist() == [15, 16, 17]
    assert frame["items"][7].tolist() == [0, 1, 2]
    assert frame["name"][7] == "name 7"
    assert isinstance(batch, pa.RecordBatch)
    assert batch.schema.names == ALL
    assert batch.schema.field("vector").type == pa.list_(pa.float32(), 3)
    assert batch["items"][7].as_py() == [0, 1, 2]


@processes
def test_columns_are_replaced_in_place_added_at_the_end_and_removed(
    dataset: hr.Dataset, processes: int
) -> None:
    def function(batch: dict[str, Any]) -> dict[str, Any]:
        assert set(batch) == {"x", "small"}
        return {"sum": batch["x"] + batch["small"], "x": batch["x"].astype(np.float32)}

    mapped = dataset.select("id", "x", "small", "name").map_batches(
        function,
        columns=["small", "x"],
        schema=declare(x="float32", sum="float64"),
        processes=processes,
    )
    batches = load(mapped)
    assert list(batches[0]) == ["id", "x", "name", "sum"]
    id_ = np.arange(ROWS)
    np.testing.assert_array_equal(joined(batches, "id"), id_)
    np.testing.assert_array_equal(joined(batches, "x"), (id_ / 2).astype(np.float32))
    np.testing.assert_array_equal(joined(batches, "sum"), id_ / 2 + id_ % 100)
    assert joined(batches, "name").tolist() == [f"name {i}" for i in id_]


@processes
def test_a_column_that_was_not_given_is_replaced_too(
    numbers: hr.Dataset, processes: int
) -> None:
    mapped = numbers.map_batches(
        lambda batch: {"id": batch["x"].astype(np.int32)},
        columns=["x"],
        schema=declare(id="int32"),
        processes=processes,
    )
    batches = load(mapped)
    assert list(batches[0]) == ["id"]
    np.testing.assert_array_equal(joined(batches, "id"), np.arange(ROWS) // 2)


@pytest.mark.parametrize("stages", [(0, 0, 0), (0, 2, 0), (2, 1, 0), (1, 1, 1)])
def test_functions_compose_in_order(numbers: hr.Dataset, stages: tuple[int, ...]) -> None:
    mapped = numbers
    for factor, n in zip((2, 3, 5), stages, strict=True):
        mapped = mapped.map_batches(
            lambda batch, factor=factor: {"x": batch["x"] * factor + 1},
            columns=["x"],
            processes=n,
        )
    x = np.arange(ROWS) / 2
    expected = ((x * 2 + 1) * 3 + 1) * 5 + 1
    np.testing.assert_array_equal(joined(load(mapped), "x"), expected)


@processes
def test_texts_and_ragged_lists_are_returned_as_declared(
    whole: hr.Dataset, processes: int
) -> None:
    def function(batch: dict[str, Any]) -> dict[str, Any]:
        counts = np.diff(batch["items_offsets"])
        return {
            "name": [name.upper() for name in batch["name"]],
            "raw": np.array([str(c).encode() for c in counts], dtype=object),
            "items": np.repeat(batch["items"].astype(np.float32), 2),
            "items_offsets": batch["items_offsets"] * 2,
        }

    schema = declare(
        name="string",
        raw="binary",
        items=("float32", None),
        items_offsets="int64",
    )
    mapped = whole.select("items", "name", "id").map_batches(
        function, columns=["items", "name"], schema=schema, processes=processes
    )
    batches = load(mapped)
    assert list(batches[0]) == ["items", "items_offsets", "name", "id", "raw"]
    assert joined(batches, "name").tolist() == [f"NAME {i}" for i in range(ROWS)]
    assert joined(batches, "raw").tolist() == [str(i % 4).encode() for i in range(ROWS)]
    for batch in batches:
        for row, id_ in enumerate(batch["id"].tolist()):
            begin, end = batch["items_offsets"][row : row + 2]
            expected = np.repeat(np.arange(id_ % 4, dtype=np.float32), 2)
            np.testing.assert_array_equal(batch["items"][begin:end], expected)


@pytest.mark.parametrize("form", ["pandas", "arrow"])
def test_lists_of_frames_and_tables_become_tensors(whole: hr.Dataset, form: Any) -> None:
    def function(batch: Any) -> Any:
        if form == "pandas":
            batch["twice"] = [[i, i] for i in batch["id"]]
            batch["items"] = [items[:1] for items in batch["items"]]
            return batch[["twice", "items"]]
        pairs = pa.array([[i, i] for i in batch["id"].to_pylist()], pa.list_(pa.int64()))
        items = pa.array(
            [i[:1] for i in batch["items"].to_pylist()], pa.list_(pa.int32())
        )
        return pa.table({"twice": pairs, "items": items})

    schema = declare(twice=("int64", 2), items=("int32", None), items_offsets="int64")
    batches = load(
        whole.select("id", "items").map_batches(function, schema=schema, form=form)
    )
    id_ = np.arange(ROWS)
    np.testing.assert_array_equal(joined(batches, "twice"), np.stack([id_, id_], 1))
    lengths = np.concatenate([np.diff(batch["items_offsets"]) for batch in batches])
    np.testing.assert_array_equal(lengths, np.minimum(id_ % 4, 1))


@processes
def test_a_size_that_varies_is_of_each_batch(numbers: hr.Dataset, processes: int) -> None:
    mapped = numbers.map_batches(
        lambda batch: {"y": np.zeros((len(batch["id"]), 1 + batch["id"][0] % 7))},
        schema=declare(y=("float64", None)),
        processes=processes,
    )
    for step, batch in enumerate(load(mapped)):
        rows = min(BATCH, ROWS - step * BATCH)
        assert batch["y"].shape == (rows, 1 + step * BATCH % 7)


@processes
def test_what_is_handed_out_is_the_callers(numbers: hr.Dataset, processes: int) -> None:
    # A function that reuses its memory would else change batches that were prefetched.
    class Reusing:
        def __init__(self) -> None:
            self.memory = np.zeros(BATCH)
            self.kept: list[Any] = []

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            self.kept.append(batch["x"])
            for number, kept in enumerate(self.kept):
                assert kept[0] == number * BATCH / 2  # what it was given stays, too
            memory = self.memory[: len(batch["x"])]
            np.multiply(batch["x"], 2, out=memory)
            return {"x": memory}

    mapped = numbers.map_batches(Reusing(), columns=["x"], processes=min(processes, 1))
    batches = load(mapped)
    np.testing.assert_array_equal(joined(batches, "x"), np.arange(ROWS))
    for batch in batches:
        assert batch["x"].ctypes.data % 64 == 0
        assert batch["x"].flags.writeable
        assert batch["x"].flags.c_contiguous
        batch["x"][:] = 0


@processes
def test_a_batch_without_rows_is_not_given(dataset: hr.Dataset, processes: int) -> None:
    calls = declare(y=("float32", 2, None), name="string", id="int64")
    lenient = dataset.select("small", "id", "name").cast({"id": "int8"}).on_error("skip")

    def function(batch: dict[str, Any]) -> dict[str, Any]:
        assert len(batch["small"])
        y = np.zeros((len(batch["small"]), 2, 3), np.float32)
        return {"y": y, "name": batch["name"], "id": batch["id"].astype(np.int64)}

    batches = load(lenient.map_batches(function, schema=calls, processes=processes))
    assert [len(batch["y"]) for batch in batches] == [BATCH] * 8 + [0] * 5
    assert batches[-1]["y"].shape == (0, 2, 0)
    assert batches[-1]["y"].dtype == np.float32
    assert batches[-1]["name"].tolist() == []


@processes
def test_a_loaders_own_valid_is_kept_and_given_where_named(
    numbers: hr.Dataset, processes: int
) -> None:
    def function(batch: dict[str, Any]) -> dict[str, Any]:
        assert "valid" not in batch
        return {"y": batch["x"]}

    schema = declare(y="float64")
    mapped = numbers.map_batches(function, schema=schema, processes=processes)
    batches = load(mapped, pad_last=True)
    assert list(batches[0]) == ["valid", "y"]
    assert joined(batches, "valid").sum() == ROWS
    named = numbers.map_batches(
        lambda batch: {"y": batch["valid"] * 2.0}, columns=["valid"], schema=schema
    )
    assert list(load(named, pad_last=True)[0]) == ["id", "x", "y"]


def test_functions_run_in_one_thread_which_is_not_the_consumers(
    numbers: hr.Dataset,
) -> None:
    seen: set[int] = set()

    def function(batch: dict[str, Any]) -> dict[str, Any]:
        seen.add(threading.get_ident())
        return batch

    with nothing_left():
        load(numbers.map_batches(function).map_batches(function))
    assert len(seen) == 1
    assert threading.get_ident() not in seen


# The dataset


def test_a_dataset_tells_of_its_functions(numbers: hr.Dataset) -> None:
    def double(batch: Any) -> Any:
        return batch

    mapped = numbers.map_batches(double, columns=["x"]).map_batches(
        functools.partial(double),
        schema=declare(y=("float32", 3, None), name="string"),
        processes=2,
        form="arrow",
    )
    assert repr(mapped) == repr(numbers) + (
        ".map_batches(double, columns=['x']).map_batches(double, schema={y: float32 "
        '(batch, 3, any), name: string (batch,)}, processes=2, form="arrow")'
    )
    with mapped.loader() as loader:
        assert ".map_batches(double, columns=['x'])" in repr(loader)


def test_functions_leave_the_dataset_and_what_arrow_gets_as_they_are(
    numbers: hr.Dataset,
) -> None:
    before = repr(numbers)
    mapped = numbers.map_batches(lambda batch: batch)
    assert repr(numbers) == before
    assert mapped.schema == numbers.schema
    assert mapped.to_arrow() == numbers.to_arrow()
    assert mapped.count_rows() == ROWS


def test_stored_columns_are_still_chosen_after_a_function(dataset: hr.Dataset) -> None:
    mapped = (
        dataset.map_batches(lambda batch: {"x": -batch["x"]}, columns=["x"])
        .select("id", "x")
        .where("id < 10")
        .cast({"x": "float32"})
    )
    (batch,) = load(mapped)
    assert batch["x"].dtype == np.float32
    np.testing.assert_array_equal(batch["x"], -np.arange(10) / 2)


def test_a_dataset_pickles_with_its_functions(numbers: hr.Dataset) -> None:
    factor = 3
    mapped = numbers.map_batches(lambda batch: {"x": batch["x"] * factor}, columns=["x"])
    again = pickle.loads(pickle.dumps(mapped))
    assert repr(again) == repr(mapped)
    assert_same(load(again), load(mapped))


# Order and state


def add(batch: dict[str, Any]) -> dict[str, Any]:
    return {"id": batch["id"], "more": batch["id"] + 1}


ADDED = declare(id="int64", more="int64")
ORDER = {"streams": 8, "shuffle_window_rows": 40, "seed": 5, "epoch": 3}


def both(lake: lakes.Lake, n: int) -> tuple[hr.Dataset, hr.Dataset]:
    """A table without a function, and with one."""
    plain = lake.open().select("id")
    return plain, plain.map_batches(add, schema=ADDED, processes=n)


def states_of(loader: hr.Loader) -> list[dict[str, Any]]:
    states = [loader.state_dict()]
    for _ in loader:
        states.append(loader.state_dict())
    return states


@processes
@pytest.mark.parametrize("options", [{}, {"drop_last": True}, {"pad_last": True}])
@pytest.mark.parametrize("world_size", [1, 2])
def test_order_steps_and_states_are_those_without_functions(
    plain: lakes.Lake, processes: int, options: dict[str, Any], world_size: int
) -> None:
    given = {"batch_size": 5, "world_size": world_size, **ORDER, **options}
    for rank in range(world_size):
        without, mapped = (d.loader(rank=rank, **given) for d in both(plain, processes))
        with without, mapped:
            for _ in range(2):  # epochs
                assert len(mapped) == len(without)
                assert states_of(mapped) == states_of(without)
                assert mapped.epoch == without.epoch
            for batch, expected in zip(mapped, without, strict=True):
                assert batch["id"].tolist() == expected["id"].tolist()
                assert len(mapped) == len(without)
                assert (batch["more"] == batch["id"] + 1).all()


@processes
def test_resumes_at_every_batch_boundary(plain: lakes.Lake, processes: int) -> None:
    dataset, mapped = both(plain, processes)
    given = {"batch_size": 7, **ORDER}
    expected = lakes.deliver(dataset, **given)
    with mapped.loader(**given) as loader:
        *states, last = states_of(loader)
    assert (last["epoch"], last["samples"]) == (4, 0)
    with mapped.loader(**given) as loader:
        for step, state in enumerate(states):
            loader.load_state_dict(json.loads(json.dumps(state)))
            assert loader.state_dict() == state
            assert len(loader) == len(expected) - step
            assert lakes.finish(loader) == expected[step:]


@processes
@pytest.mark.parametrize(("before", "after"), [(1, 2), (4, 1)])
def test_resumes_on_another_world_size(
    plain: lakes.Lake, processes: int, before: int, after: int
) -> None:
    dataset, mapped = both(plain, processes)
    given = {"batch_size": 3, "rank": 0, "world_size": before, **ORDER}
    with mapped.loader(**given) as loader:
        *states, _ = states_of(loader)
    for state in states[::4]:
        for rank in range(after):
            found = []
            for one in (dataset, mapped):
                with one.loader(batch_size=2, rank=rank, world_size=after) as loader:
                    loader.load_state_dict(state)
                    found.append(lakes.finish(loader))
            assert found[0] == found[1]


@processes
def test_iteration_begins_anew_after_a_break(plain: lakes.Lake, processes: int) -> None:
    dataset, mapped = both(plain, processes)
    given = {"batch_size": 20, **ORDER}
    with dataset.loader(**given) as loader:
        epochs = [lakes.finish(loader) for _ in range(2)]
    steps = len(epochs[0])
    with mapped.loader(**given) as loader:
        # Near the end the functions are through with the epoch before the consumer is.
        for stop in (1, steps - 3, steps - 2, steps - 1):
            for step, _ in enumerate(loader, 1):
                if step == stop:
                    break
            assert loader.state_dict()["samples"] == stop * 20
            assert (loader.epoch, len(loader)) == (3, steps)
        assert [lakes.finish(loader) for _ in range(2)] == epochs
        assert loader.epoch == 5


@processes
def test_epochs_are_set_and_older_iterators_are_a_conflict(
    plain: lakes.Lake, processes: int
) -> None:
    dataset, mapped = both(plain, processes)
    with mapped.loader(batch_size=20, **ORDER) as loader:
        for move in (
            iter,
            lambda loader: loader.set_epoch(3),
            lambda loader: loader.load_state_dict(loader.state_dict() | {"samples": 0}),
        ):
            older = iter(loader)
            next(older)
            move(loader)
            for _ in range(2):
                with pytest.raises(hr.errors.Conflict, match=r"iterator.*second loader"):
                    next(older)
        loader.set_epoch(7)
        found = lakes.finish(loader)
        assert loader.epoch == 8
    assert found == lakes.deliver(dataset, batch_size=20, **{**ORDER, "epoch": 7})


@processes
def test_a_position_loaded_within_the_epoch_that_is_set_stays(
    plain: lakes.Lake, processes: int
) -> None:
    dataset, mapped = both(plain, processes)
    given = {"batch_size": 8, **ORDER}
    with mapped.loader(**given) as loader:
        next(iter(loader))
        state = loader.state_dict()
        loader.load_state_dict(state)
        loader.set_epoch(3)
        assert loader.state_dict() == state
        assert lakes.finish(loader) == lakes.deliver(dataset, **given)[1:]


def test_a_state_that_is_refused_leaves_the_pass_as_it_was(plain: lakes.Lake) -> None:
    dataset, mapped = both(plain, 0)
    expected = lakes.deliver(dataset, batch_size=20, **ORDER)
    with mapped.loader(batch_size=20, **ORDER) as loader:
        batches = iter(loader)
        found = [next(batches)["id"].tolist()]
        with pytest.raises(hr.errors.Conflict, match="seed"):
            loader.load_state_dict(loader.state_dict() | {"seed": 6})
        found += [batch["id"].tolist() for batch in batches]
    assert found == expected


def test_consumers_that_share_an_iterator_get_every_row_once(plain: lakes.Lake) -> None:
    _, mapped = both(plain, 2)
    found: list[int] = []
    with mapped.loader(batch_size=3) as loader:
        batches = iter(loader)

        def consume() -> None:
            for batch in batches:
                found.extend(batch["id"].tolist())

        consumers = [threading.Thread(target=consume) for _ in range(4)]
        for consumer in consumers:
            consumer.start()
        for consumer in consumers:
            consumer.join()
    assert sorted(found) == sorted(lakes.flat(plain.survivors()))


# What goes wrong


def message(kind: type[BaseException], call: Callable[[], object], *facts: str) -> str:
    with pytest.raises(kind) as caught:
        call()
    text = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    for fact in facts:
        assert fact in text, text
    return text


Returned = Callable[[dict[str, Any]], Any]
AS_DECLARED = declare(x=("float64",), y=("float32", 2))


def good(batch: dict[str, Any]) -> dict[str, Any]:
    return {"x": batch["x"], "y": np.zeros((len(batch["x"]), 2), np.float32)}


def but(**columns: Any) -> Returned:
    """A function that returns what is declared but for some columns, and None for none."""

    def function(batch: dict[str, Any]) -> dict[str, Any]:
        rows = len(batch["x"])
        values = {n: c(rows) if callable(c) else c for n, c in columns.items()}
        return {n: c for n, c in (good(batch) | values).items() if c is not None}

    return function


@processes
@pytest.mark.parametrize(
    ("function", "facts"),
    [
        (lambda batch: None, ["NoneType", "dict of arrays"]),
        (but(y=None), ["['x']", "['x', 'y']", "['y'] are missing"]),
        (but(z=1), ["['z'] are not in its schema"]),
        (but(x=lambda n: np.zeros(n, np.float32)), ['"x"', "is float32", "float64"]),
        (but(x=lambda n: np.zeros(n, ">f8")), ['"x"', ">f8", "float64"]),
        (but(x=lambda n: np.zeros(n - 1)), ['"x"', "15 rows", "expected 16"]),
        (but(x=lambda n: np.zeros((n, 1))), ['"x"', "(16, 1)", "float64 (batch,)"]),
        (but(x=3.0), ['"x"', "()", "float64 (batch,)"]),
        (
            but(y=lambda n: np.zeros((n, 3), np.float32)),
            ['"y"', "(16, 3)", "float32 (batch, 2)"],
        ),
        (but(y=lambda n: np.zeros(n, np.float32)), ['"y"', "(16,)", "(batch, 2)"]),
        (but(x=lambda n: [[1.0]] * (n - 1) + [[1.0, 2.0]]), ['"x"', "cannot become"]),
        (but(x=lambda n: ["a"] * n), ['"x"', "float64"]),
        (but(x=lambda n: [None] * n), ['"x"', "object", "float64"]),
    ],
)
def test_results_that_are_not_as_declared_are_a_schema_mismatch(
    numbers: hr.Dataset, function: Returned, facts: list[str], processes: int
) -> None:
    mapped = numbers.map_batches(
        function, columns=["x"], schema=AS_DECLARED, processes=processes
    )
    text = message(hr.errors.SchemaMismatch, lambda: load(mapped), *facts)
    assert "map_batches(" in text
    assert "at step 0 of epoch 0 (samples 0 to 15)" in text


@pytest.mark.parametrize(
    ("values", "facts"),
    [
        (["a", b"b"], ["is binary", "string"]),
        (["a", 1], ["cannot become string"]),
        ([1, 2], ["is int64", "string"]),
        ([b"a", b"b"], ["is binary", "string"]),
        (["a", None], ["1 nulls"]),
        (["a"], ["1 rows", "expected 2"]),
    ],
)
def test_texts_that_are_not_as_declared_are_a_schema_mismatch(
    numbers: hr.Dataset, values: Any, facts: list[str]
) -> None:
    mapped = numbers.map_batches(lambda batch: {"t": values}, schema=declare(t="string"))
    call = functools.partial(load, mapped, batch_size=2)
    message(hr.errors.SchemaMismatch, call, '"t"', *facts)


@pytest.mark.parametrize("offsets", [[1, 1, 2], [0, 2, 1], [0, 1, 1], [0, 2, 3]])
def test_offsets_that_do_not_fit_are_a_schema_mismatch(
    numbers: hr.Dataset, offsets: list[int]
) -> None:
    mapped = numbers.map_batches(
        lambda batch: {"y": np.zeros(2), "y_offsets": np.array(offsets)},
        schema=declare(y=("float64", None), y_offsets="int64"),
    )
    call = functools.partial(load, mapped, batch_size=2)
    message(hr.errors.SchemaMismatch, call, '"y_offsets"', "to 2")


def test_without_a_schema_a_function_returns_what_it_got(numbers: hr.Dataset) -> None:
    for function, facts in (
        (lambda batch: {"id": batch["id"]}, ["['x'] are missing"]),
        (lambda batch: batch | {"x": batch["x"].astype("float32")}, ["float32"]),
        (lambda batch: batch | {"x": batch["x"][:, None]}, ["(16, 1)"]),
        (lambda batch: {n: c[:3] for n, c in batch.items()}, ["3 rows"]),
    ):
        call = functools.partial(load, numbers.map_batches(function))
        message(hr.errors.SchemaMismatch, call, *facts)


class OwnError(Exception):
    """An exception that pickles."""


class StubbornError(Exception):
    """An exception that pickles, and does not come back."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def failing(error: Callable[[], BaseException], at: int = 0) -> Returned:
    def function(batch: dict[str, Any]) -> dict[str, Any]:
        if batch["id"][0] >= at:
            raise error()
        return batch

    return function


@processes
def test_an_exception_comes_at_its_batch_with_traceback_and_rows(
    numbers: hr.Dataset, processes: int
) -> None:
    function = failing(lambda: OwnError("odd"), at=5 * BATCH)
    mapped = numbers.map_batches(function, processes=processes)
    with mapped.loader(batch_size=BATCH, shuffle=False) as loader:
        came = []
        with pytest.raises(OwnError, match="odd") as caught:
            for batch in loader:
                came += batch["id"].tolist()
        assert came == list(range(5 * BATCH))
        notes = caught.value.__notes__
        assert notes[-1] == (
            "In map_batches(function) at step 5 of epoch 0 (samples 80 to 95)"
        )
        if processes:
            assert re.search(
                r"In process \d+:\nTraceback.*raise error\(\)", notes[0], re.S
            )
        else:
            assert any(entry.name == "function" for entry in caught.traceback)
        # The state is at the batch that failed; a new pass is whole as far as it goes.
        assert loader.state_dict()["samples"] == 5 * BATCH
        for _ in range(2):
            batches = iter(loader)
            assert next(batches)["id"][0] == 0
            with pytest.raises(OwnError):
                list(batches)
            with pytest.raises(OwnError):
                next(batches)


@processes
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (lambda: ZeroDivisionError("z"), ZeroDivisionError),
        (lambda: SystemExit(3), SystemExit),
        (lambda: StopIteration("s"), RuntimeError),
        (lambda: hr.errors.Corrupt("c"), hr.errors.Corrupt),
        (lambda: KeyError("k"), KeyError),
    ],
)
def test_exceptions_of_any_kind_reach_the_consumer(
    numbers: hr.Dataset, error: Callable[[], BaseException], kind: Any, processes: int
) -> None:
    mapped = numbers.map_batches(failing(error), processes=processes)
    with nothing_left():
        message(kind, lambda: load(mapped), "map_batches(function) at step 0")


def test_an_exception_that_does_not_pickle_is_told_of(numbers: hr.Dataset) -> None:
    function = failing(lambda: StubbornError("one", "two"))
    message(StubbornError, lambda: load(numbers.map_batches(function)), "one")
    text = message(
        hr.errors.PeerFailed,
        lambda: load(numbers.map_batches(function, processes=1)),
        "StubbornError: one",
        "Traceback",
    )
    assert "samples 0 to 15" in text


def test_errors_of_reading_come_at_their_batch(tmp_path: Path) -> None:
    dataset = write(tmp_path / "table.parquet").select("small", "x")
    lossy = dataset.cast({"x": "int8"})  # 0.5 is no integer
    for n in (0, 1):
        mapped = lossy.map_batches(lambda batch: batch, processes=n)
        message(hr.errors.InvalidArgument, lambda m=mapped: load(m, batch_size=1), '"x"')


@pytest.mark.parametrize(
    ("arguments", "kind", "facts"),
    [
        ({"function": 3}, "InvalidArgument", ["function is 3"]),
        ({"columns": "x"}, "InvalidArgument", ["columns", "list"]),
        ({"columns": []}, "InvalidArgument", ["columns"]),
        ({"columns": ["x", "x"]}, "InvalidArgument", ["columns", "once"]),
        ({"schema": {"x": "int8"}}, "InvalidArgument", ["schema", "headrace.Schema"]),
        ({"schema": declare()}, "InvalidArgument", ["schema", "one field"]),
        ({"schema": declare(x="int7")}, "InvalidArgument", ['"x"', "int7", "int8"]),
        ({"schema": declare(x=("int8", -1))}, "InvalidArgument", ['"x"', "-1"]),
        ({"schema": declare(x=("string", 3))}, "InvalidArgument", ['"x"', "(3,)"]),
        ({"schema": declare(x="bfloat16")}, "Unsupported", ['"x"', "float32"]),
        ({"processes": -1}, "InvalidArgument", ["processes is -1"]),
        ({"processes": 1.5}, "InvalidArgument", ["processes is 1.5"]),
        ({"form": "polars"}, "InvalidArgument", ["form is 'polars'", "pandas"]),
    ],
)
def test_arguments_are_checked_at_once(
    numbers: hr.Dataset, arguments: dict[str, Any], kind: str, facts: list[str]
) -> None:
    given = {"function": len, **arguments}
    call = functools.partial(numbers.map_batches, given.pop("function"), **given)
    message(getattr(hr.errors, kind), call, *facts)


def test_a_column_that_is_not_there_is_not_found_when_a_loader_is_made(
    numbers: hr.Dataset,
) -> None:
    mapped = numbers.map_batches(len, columns=["x", "nope"])
    message(hr.errors.NotFound, mapped.loader, '"nope"', "['id', 'x']", "len")
    # As is one that a function before it leaves out.
    first = numbers.map_batches(len, schema=declare(y="int8"))
    message(hr.errors.NotFound, first.map_batches(len, columns=["x"]).loader, "['y']")


def test_bfloat16_is_unsupported_with_functions(numbers: hr.Dataset) -> None:
    mapped = numbers.cast({"x": "bfloat16"}).map_batches(lambda batch: batch)
    call = functools.partial(mapped.loader, to="torch")
    message(hr.errors.Unsupported, call, '"x"', "bfloat16", "float32")


# Ends


def test_ends_of_all_kinds_leave_no_thread(numbers: hr.Dataset) -> None:
    mapped = numbers.map_batches(lambda batch: batch)
    for end in ("pass", "close", "break", "error", "drop"):
        with nothing_left():
            loader = mapped.loader(batch_size=2)
            batches = iter(loader)
            next(batches)
            if end == "pass":
                list(batches)
            if end == "close":
                loader.close()
                with pytest.raises(hr.errors.Conflict, match="closed"):
                    next(batches)
            if end == "break":
                next(iter(loader))
            if end == "error":
                with pytest.raises(ZeroDivisionError):
                    load(numbers.map_batches(failing(ZeroDivisionError)))
            if end != "pass":
                del loader, batches
                gc.collect()


def test_close_from_another_thread_ends_a_wait(numbers: hr.Dataset) -> None:
    running, go_on = threading.Event(), threading.Event()

    def function(batch: Any) -> Any:
        running.set()
        go_on.wait(30)
        return batch

    loader = numbers.map_batches(function).loader()
    ended: list[BaseException] = []

    def consume() -> None:
        try:
            next(iter(loader))
        except hr.HeadraceError as error:
            ended.append(error)

    with nothing_left():
        consumer = threading.Thread(target=consume)
        consumer.start()
        assert running.wait(30)
        closer = threading.Thread(target=loader.close)
        closer.start()
        consumer.join(30)  # does not wait for the function; close does
        go_on.set()
        closer.join(30)
        assert not closer.is_alive()
    assert [type(error) for error in ended] == [hr.errors.Conflict]
