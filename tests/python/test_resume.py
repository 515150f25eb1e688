"""The Resume contract, end to end: what is left of an epoch is what the oracle has left."""

import itertools
import json
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import ordering as lakes
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

FILTERS = lakes.FILTERS
ORDER = {"streams": 8, "shuffle_window_rows": 40, "seed": 5, "epoch": 3}


def states_of(loader: hr.Loader) -> list[dict[str, Any]]:
    """The states of a pass: before the first batch, and after each."""
    states = [loader.state_dict()]
    for _ in loader:
        states.append(loader.state_dict())
    lakes.check_memory(loader)
    return states


def position(state: dict[str, Any]) -> tuple[int, int]:
    return state["epoch"], state["samples"]


def resume(dataset: hr.Dataset, state: dict[str, Any], **options: Any) -> list[list[int]]:
    """The steps that a new loader makes from a state to the end of its epoch."""
    with dataset.loader(**options) as loader:
        loader.load_state_dict(json.loads(json.dumps(state)))
        assert position(loader.state_dict()) == position(state)
        announced = len(loader)
        steps = lakes.finish(loader)
        assert position(loader.state_dict()) == (state["epoch"] + 1, 0)
    assert len(steps) == announced
    return steps


def expected_rest(
    order, start: int, world_size: int, batch_size: int, **options: Any
) -> list[list[list[int]]]:
    """What is left from a position, for every rank."""
    # One rank may have gone on into the remainder, which deal() does not know.
    dealt = len(order.sequence)
    order = lakes.Order(order.streams, order.remainder[max(0, start - dealt) :])
    start = min(start, dealt)
    return [
        order.deal(rank, world_size, batch_size, start=start, **options)
        for rank in range(world_size)
    ]


def resume_ranks(
    dataset: hr.Dataset, state: dict[str, Any], world_size: int, **options: Any
) -> list[list[list[int]]]:
    return [
        resume(dataset, state, rank=rank, world_size=world_size, **options)
        for rank in range(world_size)
    ]


def test_state_is_small_json_and_the_same_on_every_rank(plain) -> None:
    where = lakes.Filter("id != 3 " + " and ".join(["", *["id < 1000"] * 100]))
    for dataset in (plain.open(), plain.open(where)):
        states = []
        for rank in range(4):
            with dataset.loader(batch_size=7, rank=rank, world_size=4, **ORDER) as loader:
                states.append(states_of(loader))
        assert len(states[0]) > 3
        assert states == [states[0]] * 4
        for state in states[0]:
            text = json.dumps(state)
            assert len(text) < 1000
            assert json.loads(text) == state


@pytest.mark.parametrize("options", [{}, {"drop_last": True}, {"pad_last": True}])
@pytest.mark.parametrize("world_size", [1, 2, 8])
def test_state_counts_what_all_ranks_were_handed_and_nothing_prefetched(
    plain, options: dict, world_size: int
) -> None:
    with plain.open().loader(
        batch_size=5, num_threads=8, rank=0, world_size=world_size, **ORDER, **options
    ) as loader:
        steps = len(loader)
        found = [position(state) for state in states_of(loader)]
    handed_out = [(3, step * 5 * world_size) for step in range(steps)]
    assert found == [*handed_out, (4, 0)]


@pytest.mark.parametrize("table", ["plain", "hive"])
@pytest.mark.parametrize("where", ["none", "both"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_resumes_at_every_batch_boundary(
    request: pytest.FixtureRequest, table: str, where: str, shuffle: bool, batch_size: int
) -> None:
    lake = request.getfixturevalue(table)
    dataset, blocks = lake.open(FILTERS[where]), lake.survivors(FILTERS[where])
    expected = lakes.expected_order(blocks, shuffle=shuffle, **ORDER)
    options = {"batch_size": batch_size, "shuffle": shuffle, **ORDER}
    with dataset.loader(**options) as loader:
        *states, last = states_of(loader)
    assert position(last) == (4, 0)
    for step, state in enumerate(states):
        assert position(state) == (3, step * batch_size)
        rest = expected_rest(expected, step * batch_size, 1, batch_size)
        assert [resume(dataset, state, **options)] == rest, step


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 4), (4, 8), (8, 1), (1, 8)])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_resumes_every_boundary_on_another_world_size(
    plain, before: int, after: int, batch_size: int
) -> None:
    dataset = plain.open()
    expected = lakes.expected_order(plain.survivors(), **ORDER)
    with dataset.loader(
        batch_size=batch_size, rank=0, world_size=before, **ORDER
    ) as loader:
        *states, _ = states_of(loader)
    for state in states:
        found = resume_ranks(dataset, state, after, batch_size=2)
        assert found == expected_rest(expected, state["samples"], after, 2), state


def test_resumes_where_one_rank_was_within_the_remainder(plain) -> None:
    expected = lakes.expected_order(plain.survivors(), **ORDER)
    dealt = len(expected.sequence)
    assert len(expected.remainder) > 2
    with plain.open().loader(batch_size=1, **ORDER) as loader:
        states = [s for s in states_of(loader) if s["samples"] > dealt]
    assert len(states) == len(expected.remainder) - 1
    for state in states:
        left = expected.remainder[state["samples"] - dealt :]
        assert resume(plain.open(), state, batch_size=100) == [left]
        assert resume_ranks(plain.open(), state, 4, batch_size=100) == [[]] * 4
        padded = resume_padded(plain.open(), state, world_size=4, batch_size=1)
        assert padded == [left[rank::4] for rank in range(4)]


def resume_padded(dataset, state, *, world_size: int, batch_size: int) -> list[list[int]]:
    """The valid rows of each rank, with `pad_last`."""
    valid, sizes = [], set()
    for rank in range(world_size):
        with dataset.loader(
            batch_size=batch_size, rank=rank, world_size=world_size, pad_last=True
        ) as loader:
            loader.load_state_dict(state)
            batches = list(loader)
            lakes.check_memory(loader)
        sizes.add(tuple(len(batch["id"]) for batch in batches))
        valid.append([i for batch in batches for i in batch["id"][batch["valid"]]])
    assert len(sizes) == 1
    return valid


@pytest.mark.parametrize("world_size", [1, 2, 8])
def test_resumed_evaluation_gets_every_row_left_exactly_once(
    plain, world_size: int
) -> None:
    where = FILTERS["mixed"]
    expected = lakes.expected_order(plain.survivors(where), **ORDER)
    with plain.open(where).loader(batch_size=2, pad_last=True, **ORDER) as loader:
        *states, _ = states_of(loader)
    for state in states:
        valid = resume_padded(
            plain.open(where), state, world_size=world_size, batch_size=3
        )
        left = expected.rows[state["samples"] :]
        assert sorted(lakes.flat(valid)) == sorted(left), state


@pytest.mark.parametrize(
    "changed",
    [
        {"batch_size": 9},
        {"batch_size": 1000},
        {"drop_last": True},
        {"num_threads": 8},
        {"num_threads": 1, "memory_budget": "floor"},
        {"select": ["id"]},
        {"select": ["x", "id"]},
    ],
    ids=str,
)
def test_resumes_with_other_batches_resources_and_columns(plain, changed: dict) -> None:
    dataset = plain.open(FILTERS["range"])
    expected = lakes.expected_order(plain.survivors(FILTERS["range"]), **ORDER)
    options = {"batch_size": 4, **ORDER}
    with dataset.loader(**options) as loader:
        *states, _ = states_of(loader)
    changed = dict(changed)
    if "select" in changed:
        dataset = dataset.select(*changed.pop("select"))
    options |= changed
    if options.get("memory_budget") == "floor":
        del options["memory_budget"]
        with dataset.loader(**options) as loader:
            options["memory_budget"] = loader.stats()["memory_floor"]
    for state in states:
        rest = expected_rest(
            expected,
            state["samples"],
            1,
            options["batch_size"],
            drop_last=options.get("drop_last", False),
        )
        assert [resume(dataset, state, **options)] == rest, state


def test_resumes_after_drop_last_with_what_it_would_have_left_out(plain) -> None:
    expected = lakes.expected_order(plain.survivors(), **ORDER)
    with plain.open().loader(batch_size=10, drop_last=True, **ORDER) as loader:
        *states, _ = states_of(loader)
    steps = resume(plain.open(), states[-1], batch_size=10)
    assert lakes.flat(steps) == expected.rows[states[-1]["samples"] :]


def test_chain_of_resumes_sees_every_row_once(plain) -> None:
    where = FILTERS["mixed"]
    expected = lakes.expected_order(plain.survivors(where), **ORDER)
    dataset, seen, state = plain.open(where), [], None
    sizes = itertools.cycle([(1, 1, 2), (2, 2, 1), (4, 1, 1), (8, 1, 1), (1, 5, 1)])
    for world_size, batch_size, steps in sizes:
        ranks, states = [], []
        for rank in range(world_size):
            options = ORDER if state is None else {}
            with dataset.loader(
                batch_size=batch_size, rank=rank, world_size=world_size, **options
            ) as loader:
                if state is not None:
                    loader.load_state_dict(state)
                batches = itertools.islice(loader, steps)
                ranks.append([lakes.ids(batch) for batch in batches])
                states.append(loader.state_dict())
        assert states == [states[0]] * world_size
        start = 0 if state is None else state["samples"]
        rest = expected_rest(expected, start, world_size, batch_size)
        assert ranks == [mine[:steps] for mine in rest]
        seen += lakes.flat(lakes.flat(ranks))
        state = states[0]
        if state["epoch"] > ORDER["epoch"]:
            break
        assert sorted(seen) == sorted(expected.rows[: state["samples"]])
    assert position(state) == (4, 0)
    assert len(set(seen)) == len(seen)


def test_state_of_a_finished_epoch_goes_on_with_the_next(plain) -> None:
    with plain.open().loader(batch_size=8, **ORDER) as loader:
        batches = iter(loader)
        for _ in range(len(loader)):
            next(batches)  # StopIteration is not asked for
        state = loader.state_dict()
        assert loader.epoch == 4
    assert position(state) == (4, 0)
    expected = lakes.expected_order(plain.survivors(), **{**ORDER, "epoch": 4})
    assert lakes.flat(resume(plain.open(), state)) == expected.rows


def test_order_that_is_not_given_comes_from_the_state(plain) -> None:
    for order in (
        ORDER,
        {"streams": 3, "shuffle_window_rows": 10, "seed": 2**64 - 1, "epoch": 0},
        {"streams": 6, "shuffle_window_rows": 9, "shuffle": False, "epoch": 1},
    ):
        with plain.open().loader(batch_size=4, **order) as loader:
            next(iter(loader))
            state = loader.state_dict()
        expected = lakes.expected_order(plain.survivors(), **order)
        steps = resume(plain.open(), state, batch_size=6)
        assert steps == expected_rest(expected, 4, 1, 6)[0]


def test_resumed_loader_goes_on_with_the_states_order_in_later_epochs(plain) -> None:
    with plain.open().loader(batch_size=4, **ORDER) as loader:
        next(iter(loader))
        state = loader.state_dict()
    with plain.open().loader(batch_size=100) as loader:
        loader.load_state_dict(state)
        assert loader.epoch == 3
        lakes.finish(loader)
        expected = lakes.expected_order(plain.survivors(), **{**ORDER, "epoch": 4})
        assert lakes.flat(lakes.finish(loader)) == expected.rows


def test_default_window_is_in_the_state_by_value(plain) -> None:
    with plain.open().loader() as loader:
        state = loader.state_dict()
    assert state["shuffle_window_rows"] == 2**20
    with plain.open().loader(streams=8, shuffle_window_rows=2**20, seed=0) as loader:
        loader.load_state_dict(state)


def test_world_size_that_does_not_divide_the_states_streams_is_refused(plain) -> None:
    with plain.open().loader(streams=6, shuffle_window_rows=12) as loader:
        state = loader.state_dict()
    with (
        plain.open().loader(rank=0, world_size=4) as loader,
        pytest.raises(hr.errors.InvalidArgument, match=r"4.*6.*streams ?= ?8\b"),
    ):
        loader.load_state_dict(state)


def test_loaded_position_is_used_once(plain) -> None:
    expected = lakes.expected_order(plain.survivors(), **ORDER)
    with plain.open().loader(batch_size=8, **ORDER) as loader:
        *states, _ = states_of(loader)
    with plain.open().loader(batch_size=8, **ORDER) as loader:
        for state in (states[2], states[-2], states[1]):  # also back
            loader.load_state_dict(state)
            first = lakes.ids(next(iter(loader)))
            start = state["samples"]
            assert first == expected.rows[start : start + 8]
            # After the break, iter() is at the epoch's start.
            assert lakes.ids(next(iter(loader))) == expected.rows[:8]
        assert lakes.finish(loader) == expected.deal(0, 1, 8)


def test_load_ends_the_pass_under_way(plain) -> None:
    with plain.open().loader(batch_size=8) as loader:
        batches = iter(loader)
        next(batches)
        loader.load_state_dict(loader.state_dict())
        with pytest.raises(hr.errors.Conflict):
            next(batches)


def test_set_epoch_keeps_a_position_loaded_within_that_epoch(plain) -> None:
    # Training loops call set_epoch before every epoch, the resumed one included.
    order = {**ORDER, "epoch": 8}
    expected = lakes.expected_order(plain.survivors(), **order)
    with plain.open().loader(batch_size=8, **order) as loader:
        next(iter(loader))
        loader.load_state_dict(loader.state_dict())
        loader.set_epoch(8)
        assert position(loader.state_dict()) == (8, 8)
        assert lakes.flat(lakes.finish(loader)) == expected.rows[8:]


def test_set_epoch_forgets_a_position_loaded_in_another_epoch(plain) -> None:
    order = {**ORDER, "epoch": 8}
    expected = lakes.expected_order(plain.survivors(), **order)
    with plain.open().loader(batch_size=8, **order) as loader:
        next(iter(loader))
        loader.load_state_dict(loader.state_dict())
        loader.set_epoch(9)
        loader.set_epoch(8)
        assert position(loader.state_dict()) == (8, 0)
        assert lakes.flat(lakes.finish(loader)) == expected.rows


GIVEN = {"shuffle": True, "seed": 1, "streams": 4, "shuffle_window_rows": 16}
OTHER = {"shuffle": False, "seed": 2, "streams": 8, "shuffle_window_rows": 24}


@pytest.mark.parametrize(
    "differing",
    [*itertools.combinations(GIVEN, 1), *itertools.combinations(GIVEN, 2), tuple(GIVEN)],
    ids=" ".join,
)
def test_conflicting_order_is_refused_naming_each_difference(
    plain, differing: tuple[str, ...]
) -> None:
    with plain.open().loader(**GIVEN) as loader:
        state = loader.state_dict()
    with plain.open().loader(
        **GIVEN | {name: OTHER[name] for name in differing}
    ) as other:
        with pytest.raises(hr.errors.Conflict) as refused:
            other.load_state_dict(state)
        named = {name for name in GIVEN if f"{name}: " in str(refused.value)}
        assert named == set(differing)
        assert position(other.state_dict()) == (0, 0)


def test_state_of_another_filter_or_table_is_refused(plain, tmp_path: Path) -> None:
    lakes.make_hive(tmp_path)
    filtered = plain.open(FILTERS["range"])
    with filtered.loader(**GIVEN) as loader:
        state = loader.state_dict()
    for dataset, named in (
        (plain.open(), {"filter"}),
        (plain.open(FILTERS["mixed"]), {"filter"}),
        (hr.open(tmp_path).where(FILTERS["range"].text), {"fingerprint"}),
        (hr.open(tmp_path), {"filter", "fingerprint"}),
    ):
        with dataset.loader(**GIVEN | {"seed": 9}) as loader:
            with pytest.raises(hr.errors.Conflict) as refused:
                loader.load_state_dict(state)
            text = str(refused.value)
            assert "seed: " in text
            assert ("filter: " in text) == ("filter" in named)
            assert (state["fingerprint"] in text) == ("fingerprint" in named)


def test_refused_state_leaves_the_loader_as_it_was(plain) -> None:
    expected = lakes.expected_order(plain.survivors(), **GIVEN)
    with plain.open().loader(**GIVEN) as loader:
        state = loader.state_dict()
        for wrong, error in (
            (state | {"seed": 2}, hr.errors.Conflict),
            ({}, hr.errors.InvalidArgument),
        ):
            with pytest.raises(error):
                loader.load_state_dict(wrong)
        assert lakes.flat(lakes.finish(loader)) == expected.rows


def test_same_files_elsewhere_are_the_same_table(plain, tmp_path: Path) -> None:
    copied = lakes.make_plain(tmp_path / "copied")
    with plain.open().loader(batch_size=8, **ORDER) as loader:
        next(iter(loader))
        state = loader.state_dict()
    expected = lakes.expected_order(plain.survivors(), **ORDER)
    assert resume(copied.open(), state, batch_size=8) == expected.deal(0, 1, 8)[1:]


WRONG_VALUES = {
    "format": [0, -1, "1", None, True, 1.5],
    "table_format": [1, None, ["parquet"]],
    "fingerprint": [1, None],
    "filter": [None, 0],
    "shuffle": [1, "true", None],
    "seed": [-1, 2**64, "0", 0.5, None],
    "streams": [0, -1, 2**31, "8", 1.5, None],
    "shuffle_window_rows": [0, -1, 2**63, "8", None],
    "epoch": [-1, 2**63, "0", 0.5, None],
    "samples": [-1, 2**63, "0", 0.5, None, [1], {"of": 1}],
}


@pytest.mark.parametrize("key", WRONG_VALUES)
def test_garbage_in_a_state_is_an_invalid_argument_that_names_the_key(
    plain, key: str
) -> None:
    with plain.open().loader() as loader:
        state = loader.state_dict()
        assert set(state) == set(WRONG_VALUES)
        without = {name: value for name, value in state.items() if name != key}
        for wrong in (without, *(state | {key: value} for value in WRONG_VALUES[key])):
            with pytest.raises(hr.errors.InvalidArgument, match=key):
                loader.load_state_dict(wrong)


@pytest.mark.parametrize(
    "garbage", [None, 3, "{}", [], {}, {1: 2}, {"format": {1, 2}}, {"a": float("nan")}]
)
def test_what_is_no_state_is_an_invalid_argument(plain, garbage: Any) -> None:
    with (
        plain.open().loader() as loader,
        pytest.raises(hr.errors.InvalidArgument, match="state"),
    ):
        loader.load_state_dict(garbage)


def test_position_beyond_the_tables_rows_is_an_invalid_argument(plain) -> None:
    rows = len(lakes.flat(plain.survivors()))
    with plain.open().loader() as loader:
        state = loader.state_dict()
        for samples in (rows + 1, 2**62):
            with pytest.raises(hr.errors.InvalidArgument):
                loader.load_state_dict(state | {"samples": samples})


def test_state_of_a_later_format_is_unsupported(plain) -> None:
    with plain.open().loader() as loader:
        state = loader.state_dict()
        loader.load_state_dict(state | {"added in a later version": {"a": [1]}})
        with pytest.raises(hr.errors.Unsupported, match="2"):
            loader.load_state_dict(state | {"format": 2})


LARGE_ROWS = 200_000
PAGE_BYTES = 16 << 10
READING = {"batch_size": 250, "streams": 4, "shuffle_window_rows": 4000, "num_threads": 1}


def make_large(root: Path, *, row_group_rows: int, page_index: bool) -> int:
    """Two files of three columns, and the bytes of the largest row group."""
    largest = 0
    for number, ids in enumerate(np.array_split(np.arange(LARGE_ROWS), 2)):
        path = root / f"{number}.parquet"
        pq.write_table(
            pa.table({"id": ids, "x": np.sin(ids), "y": np.cos(ids)}),
            path,
            row_group_size=row_group_rows,
            write_page_index=page_index,
            data_page_size=PAGE_BYTES,
            use_dictionary=False,
            compression="none",
        )
        footer = pq.read_metadata(path)
        sizes = [
            footer.row_group(g).total_byte_size for g in range(footer.num_row_groups)
        ]
        assert len(sizes) == len(ids) // row_group_rows
        largest = max(largest, *sizes)
    return largest


def bytes_of_first_batch(dataset: hr.Dataset, state: dict[str, Any] | None) -> int:
    """What is read until a first batch is there, with next to nothing read ahead."""
    with dataset.loader(**READING) as loader:
        floor = loader.stats()["memory_floor"]
    with dataset.loader(memory_budget=floor, **READING) as loader:
        if state is not None:
            loader.load_state_dict(state)
        next(iter(loader))
        lakes.check_memory(loader)
        return loader.stats()["bytes_read"]


def states_at(dataset: hr.Dataset, *parts: float) -> list[dict[str, Any]]:
    with dataset.loader(**READING) as loader:
        start = loader.state_dict()
    return [start | {"samples": int(LARGE_ROWS * part)} for part in parts]


@pytest.mark.parametrize("page_index", [True, False])
def test_load_reads_a_window_and_a_row_group_prefix_of_each_stream_and_no_replay(
    tmp_path: Path, page_index: bool
) -> None:
    row_group = make_large(tmp_path, row_group_rows=10_000, page_index=page_index)
    dataset = hr.open(tmp_path)
    fresh = bytes_of_first_batch(dataset, None)
    bound = fresh + READING["streams"] * row_group
    files = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert bound < 0.5 * files  # a replay of what was seen would not pass
    for state in states_at(dataset, 0.1, 0.5, 0.9, 0.99):
        assert bytes_of_first_batch(dataset, state) <= bound, state


def test_load_reaches_rows_within_row_groups_by_the_offset_index(tmp_path: Path) -> None:
    row_group = make_large(tmp_path, row_group_rows=50_000, page_index=True)
    dataset = hr.open(tmp_path)
    fresh = bytes_of_first_batch(dataset, None)
    columns, row_bytes = 3, 24
    window = READING["shuffle_window_rows"] * row_bytes
    # A page more at both ends of what each stream reads of each column.
    bound = fresh + window + READING["streams"] * columns * 2 * PAGE_BYTES
    assert bound < row_group
    for state in states_at(dataset, 0.1, 0.5, 0.9, 0.99):
        assert bytes_of_first_batch(dataset, state) <= bound, state


@pytest.mark.parametrize("page_index", [True, False])
def test_load_far_into_a_large_table_goes_on_with_the_rest(
    tmp_path: Path, page_index: bool
) -> None:
    make_large(tmp_path, row_group_rows=25_000, page_index=page_index)
    dataset = hr.open(tmp_path)
    everything = lakes.flat(lakes.deliver(dataset, **READING))
    assert sorted(everything) == list(range(LARGE_ROWS))
    for state in states_at(dataset, 0.5, 0.9, 0.99999):
        rest = lakes.flat(resume(dataset, state, **READING))
        assert rest == everything[state["samples"] :]
