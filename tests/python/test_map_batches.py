"""`Dataset.map_batches`: what functions get and return, in which order, and what goes wrong."""

import functools
import json
import pickle
import threading
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


@pytest.mark.parametrize("form", ["numpy", "pandas", "arrow"])
def test_sparse_vectors_are_returned_as_declared(numbers: hr.Dataset, form: Any) -> None:
    def sparse(batch: dict[str, Any]) -> dict[str, Any]:
        counts = batch["id"] % 3
        return {
            "id": batch["id"],
            "v_indices": np.concatenate([np.arange(n, dtype=np.int32) for n in counts]),
            "v_values": np.repeat(batch["x"], counts),
            "v_offsets": np.concatenate([[0], np.cumsum(counts)]),
        }

    schema = declare(id="int64", v_indices="int32", v_values="float64", v_offsets="int64")
    first = numbers.map_batches(sparse, schema=schema)
    for second in (
        first.map_batches(lambda batch: batch, form=form),
        first.map_batches(lambda batch: batch, schema=schema, form=form),
    ):
        assert_same(load(second), load(first))


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


def test_a_schema_says_what_functions_return(numbers: hr.Dataset) -> None:
    fields = [
        hr.Field("y", "float32", (2,)),
        hr.Field("z", "uint8", (None, 3), codec="npy"),
        hr.Field("t", "string"),
    ]

    def function(batch: dict[str, Any]) -> dict[str, Any]:
        rows = len(batch["x"])
        y = np.zeros((rows, 2), np.float32)
        return {"y": y, "z": np.ones((rows, 5, 3), np.uint8), "t": ["a"] * rows}

    mapped = numbers.map_batches(function, columns=["x"], schema=hr.Schema(fields))
    assert "schema={y: float32 (batch, 2), z: uint8 (batch, any, 3)" in repr(mapped)
    assert list(load(mapped)[0]) == ["id", "y", "z", "t"]


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


def test_arrow_has_what_functions_return(numbers: hr.Dataset) -> None:
    mapped = numbers.map_batches(
        lambda batch: {
            "pair": np.stack([batch["id"], -batch["id"]], 1),
            "text": ["é"] * len(batch["id"]),
        },
        columns=["id"],
        schema=declare(pair=("int64", 2), text="string"),
    )
    batch = load(mapped, to="arrow")[0]
    assert batch.schema == pa.schema(
        {"x": pa.float64(), "pair": pa.list_(pa.int64(), 2), "text": pa.string()}
    )
    assert batch["pair"][3].as_py() == [3, -3]
    assert batch["text"][3].as_py() == "é"


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
    for state in states[:: 16 if processes else 4]:
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
