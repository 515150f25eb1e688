"""The Order contract, end to end: what loaders deliver is what tests/oracle/order.py says."""

import itertools
from pathlib import Path

import headrace as hr
import numpy as np
import ordering as lakes
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

deliver, deliver_ranks, flat = lakes.deliver, lakes.deliver_ranks, lakes.flat
FILTERS, PARTITION = lakes.FILTERS, lakes.PARTITION


def check_order(lake, where, shuffle: bool) -> None:
    dataset, blocks = lake.open(where), lake.survivors(where)
    for streams, window, (seed, epoch) in itertools.product(
        (1, 4, 8), (1, 16, 70, 1000, 2**40), ((0, 0), (2**64 - 1, 2**40))
    ):
        order = {
            "streams": streams,
            "shuffle_window_rows": window,
            "seed": seed,
            "epoch": epoch,
            "shuffle": shuffle,
        }
        expected = lakes.expected_order(blocks, **order)
        steps = deliver(dataset, batch_size=8, **order)
        assert flat(steps) == expected.rows, order
        assert steps == expected.deal(0, 1, 8), order


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("where", FILTERS)
def test_delivers_exactly_the_contracts_order(plain, where: str, shuffle: bool) -> None:
    check_order(plain, FILTERS[where], shuffle)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("where", [FILTERS["none"], FILTERS["both"], PARTITION])
def test_delivers_exactly_the_contracts_order_of_partitions(
    hive, where, shuffle: bool
) -> None:
    check_order(hive, where, shuffle)


def interleaved(ranks: list[list[list[int]]]) -> list[list[int]]:
    """The global batches: at each step one sample of each rank in turn."""
    return [
        [id_ for turn in zip(*steps, strict=True) for id_ in turn]
        for steps in zip(*ranks, strict=True)  # strict: every rank makes the same steps
    ]


@pytest.mark.parametrize("where", ["none", "range", "mixed", "both"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_global_order_is_the_same_for_every_world_size(
    plain, where: str, shuffle: bool
) -> None:
    dataset, blocks = plain.open(FILTERS[where]), plain.survivors(FILTERS[where])
    order = {"streams": 8, "shuffle_window_rows": 40, "seed": 3, "shuffle": shuffle}
    expected = lakes.expected_order(blocks, **order)
    whole = len(expected.sequence) // 16 * 16
    assert whole
    for world_size in (1, 2, 4, 8):
        ranks = deliver_ranks(
            dataset, world_size, batch_size=16 // world_size, drop_last=True, **order
        )
        batches = interleaved(ranks)
        assert {len(batch) for batch in batches} == {16}
        assert flat(batches) == expected.sequence[:whole], world_size


@pytest.mark.parametrize("lake", ["plain", "hive"])
@pytest.mark.parametrize("where", FILTERS)
@pytest.mark.parametrize("drop_last", [True, False])
def test_every_rank_gets_its_part_in_equally_many_steps(
    request: pytest.FixtureRequest, lake: str, where: str, drop_last: bool
) -> None:
    table = request.getfixturevalue(lake)
    dataset, blocks = table.open(FILTERS[where]), table.survivors(FILTERS[where])
    for world_size, batch_size in itertools.product((1, 2, 4, 8), (1, 3, 5, 1000)):
        order = {"streams": 8, "shuffle_window_rows": 24, "seed": 11, "epoch": 2}
        expected = lakes.expected_order(blocks, **order)
        if world_size > 1 and not expected.sequence:
            continue  # refused: see test_fewer_rows_than_streams_are_refused_on_many_ranks
        ranks = deliver_ranks(
            dataset, world_size, batch_size=batch_size, drop_last=drop_last, **order
        )
        assert len({tuple(map(len, steps)) for steps in ranks}) == 1
        for rank, steps in enumerate(ranks):
            assert steps == expected.deal(
                rank, world_size, batch_size, drop_last=drop_last
            ), (world_size, batch_size, rank)


@pytest.mark.parametrize("where", FILTERS)
@pytest.mark.parametrize("shuffle", [True, False])
def test_one_rank_gets_every_row_exactly_once(plain, where: str, shuffle: bool) -> None:
    ids = flat(plain.survivors(FILTERS[where]))
    for streams, batch_size in itertools.product((1, 3, 8), (1, 7, 64)):
        steps = deliver(
            plain.open(FILTERS[where]),
            batch_size=batch_size,
            streams=streams,
            shuffle=shuffle,
            shuffle_window_rows=20,
        )
        assert sorted(flat(steps)) == ids
        full, rest = divmod(len(ids), batch_size)
        assert [len(step) for step in steps] == [batch_size] * full + [rest] * (rest > 0)


def test_drop_last_leaves_out_the_shorter_step_and_the_remainder(plain) -> None:
    expected = lakes.expected_order(plain.survivors(), streams=8, shuffle_window_rows=32)
    assert expected.remainder
    steps = deliver(
        plain.open(),
        batch_size=10,
        drop_last=True,
        streams=8,
        shuffle_window_rows=32,
    )
    assert [len(step) for step in steps] == [10] * (len(expected.sequence) // 10)
    assert flat(steps) == expected.sequence[: len(flat(steps))]


@pytest.mark.parametrize("lake", ["plain", "hive"])
@pytest.mark.parametrize("where", ["none", "mixed", "both", "fewer rows than streams"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_pad_last_makes_every_row_valid_exactly_once(
    request: pytest.FixtureRequest, lake: str, where: str, shuffle: bool
) -> None:
    table = request.getfixturevalue(lake)
    dataset, blocks = table.open(FILTERS[where]), table.survivors(FILTERS[where])
    order = {"streams": 8, "shuffle_window_rows": 24, "shuffle": shuffle}
    expected = lakes.expected_order(blocks, **order)
    rows = set(expected.rows)
    for world_size, batch_size in itertools.product((1, 2, 4, 8), (1, 3, 16)):
        if world_size > 1 and not expected.sequence:
            continue
        valid, sizes = [], set()
        for rank in range(world_size):
            with dataset.loader(
                batch_size=batch_size,
                rank=rank,
                world_size=world_size,
                pad_last=True,
                **order,
            ) as loader:
                announced, batches = len(loader), list(loader)
                lakes.check_memory(loader)
            assert announced == len(batches)
            sizes.add(tuple(len(batch["id"]) for batch in batches))
            samples = []
            for batch in batches:
                assert batch["valid"].dtype == bool
                assert batch["valid"].shape == batch["id"].shape
                assert rows.issuperset(batch["id"].tolist())
                samples += batch["id"][batch["valid"]].tolist()
            valid.append(samples)
        assert len(sizes) == 1
        # The rows go to the ranks in turn, as they are in the global order.
        assert valid == [expected.rows[rank::world_size] for rank in range(world_size)]


@pytest.mark.parametrize("where", FILTERS)
def test_unshuffled_single_stream_is_the_stored_order(plain, hive, where: str) -> None:
    for lake in (plain, hive):
        ids = flat(lake.survivors(FILTERS[where]))
        dataset = lake.open(FILTERS[where])
        assert flat(deliver(dataset, shuffle=False)) == ids  # its default on one rank
        assert flat(deliver(dataset, shuffle=False, streams=1, batch_size=5)) == ids


def test_unshuffled_streams_are_runs_of_the_stored_order_on_many_ranks(plain) -> None:
    ids = flat(plain.survivors())
    length = len(ids) // 3
    ranks = deliver_ranks(plain.open(), 3, shuffle=False, batch_size=9)
    assert [flat(steps) for steps in ranks] == [
        ids[rank * length : (rank + 1) * length] for rank in range(3)
    ]


def test_files_of_a_list_come_as_given(plain) -> None:
    paths = [plain.root / "a/part.parquet", plain.root / "Z.parquet"]
    files = [pq.read_table(path)["id"].to_pylist() for path in paths]
    assert flat(deliver(hr.open(paths), shuffle=False)) == flat(files)
    assert flat(deliver(hr.open(paths[::-1]), shuffle=False)) == flat(files[::-1])


@pytest.mark.parametrize("where", ["none", "both"])
def test_resources_and_columns_do_not_change_the_order(plain, where: str) -> None:
    dataset, blocks = plain.open(FILTERS[where]), plain.survivors(FILTERS[where])
    order = {"streams": 8, "shuffle_window_rows": 48, "seed": 5}
    expected = lakes.expected_order(blocks, **order)
    for chosen in (dataset, dataset.select("id"), dataset.select("x", "id")):
        for world_size, num_threads in itertools.product((1, 4), (1, 8)):
            options = {"batch_size": 6, "num_threads": num_threads, **order}
            with chosen.loader(rank=0, world_size=world_size, **options) as loader:
                floor = loader.stats()["memory_floor"]
            for budget in (floor, 2**32):
                ranks = deliver_ranks(chosen, world_size, memory_budget=budget, **options)
                assert ranks == [
                    expected.deal(rank, world_size, 6) for rank in range(world_size)
                ]


def test_budget_below_the_floor_is_refused_with_both_numbers(plain) -> None:
    options = {"batch_size": 4, "streams": 4, "shuffle_window_rows": 64}
    with plain.open().loader(**options) as loader:
        floor = loader.stats()["memory_floor"]
    with pytest.raises(hr.errors.ResourceExhausted) as refused:
        plain.open().loader(memory_budget=floor - 1, **options)
    assert str(floor) in str(refused.value)
    assert str(floor - 1) in str(refused.value)


def test_batches_hold_whole_rows(plain) -> None:
    with plain.open().loader(batch_size=16, shuffle_window_rows=50) as loader:
        for batch in loader:
            assert batch["mixed"].tolist() == [lakes.mixed(id_) for id_ in batch["id"]]
            assert (batch["x"] == batch["id"][:, None]).all()
            assert batch["x"].shape == (len(batch["id"]), 4)


@pytest.mark.parametrize(
    ("world_size", "streams", "fits"), [(3, 8, 9), (8, 12, 8), (5, 7, 10), (16, 8, 16)]
)
def test_world_size_that_does_not_divide_streams_is_refused(
    plain, world_size: int, streams: int, fits: int
) -> None:
    with pytest.raises(hr.errors.InvalidArgument, match=rf"streams ?= ?{fits}\b"):
        plain.open().loader(rank=0, world_size=world_size, streams=streams)
    plain.open().loader(rank=0, world_size=world_size, streams=fits).close()


@pytest.mark.parametrize("where", ["fewer rows than streams", "nothing"])
def test_fewer_rows_than_streams_are_refused_on_many_ranks(plain, where: str) -> None:
    dataset = plain.open(FILTERS[where])
    for last in ({}, {"drop_last": True}, {"pad_last": True}):
        with pytest.raises(hr.errors.InvalidArgument, match="rows"):
            dataset.loader(rank=0, world_size=2, streams=8, **last)
    ids = flat(plain.survivors(FILTERS[where]))
    assert sorted(flat(deliver(dataset, streams=8))) == ids


def test_rank_and_world_size_come_from_the_environment(
    plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = {"streams": 4, "shuffle_window_rows": 16}
    expected = lakes.expected_order(plain.survivors(), **order)
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert deliver(plain.open(), batch_size=5, **order) == expected.deal(3, 4, 5)
    given = {"rank": 0, "world_size": 2}
    assert deliver(plain.open(), batch_size=5, **order, **given) == expected.deal(0, 2, 5)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(hr.errors.InvalidArgument):
        plain.open().loader(**order)
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(hr.errors.InvalidArgument, match="RANK"):
        plain.open().loader(**order)


def test_rank_outside_of_the_world_is_refused(plain) -> None:
    with pytest.raises(hr.errors.InvalidArgument, match="rank"):
        plain.open().loader(rank=2, world_size=2)


def test_finished_pass_moves_to_the_next_epoch(plain) -> None:
    order = {"streams": 4, "shuffle_window_rows": 16, "seed": 9}
    with plain.open().loader(batch_size=8, **order) as loader:
        for epoch in (0, 1, 2):
            assert loader.epoch == epoch
            expected = lakes.expected_order(plain.survivors(), epoch=epoch, **order)
            assert lakes.finish(loader) == expected.deal(0, 1, 8)
        assert loader.epoch == 3


def test_set_epoch_goes_anywhere(plain) -> None:
    order = {"streams": 4, "shuffle_window_rows": 16}
    with plain.open().loader(batch_size=8, epoch=6, **order) as loader:
        assert loader.epoch == 6
        for epoch in (5, 0, 10**12):
            next(iter(loader))
            loader.set_epoch(epoch)
            assert loader.epoch == epoch
            expected = lakes.expected_order(plain.survivors(), epoch=epoch, **order)
            assert flat(lakes.finish(loader)) == expected.rows
            assert loader.epoch == epoch + 1


def test_set_epoch_ends_the_pass_under_way(plain) -> None:
    with plain.open().loader(batch_size=8) as loader:
        batches = iter(loader)
        next(batches)
        loader.set_epoch(1)
        with pytest.raises(hr.errors.Conflict):
            next(batches)


@pytest.mark.parametrize("handed_out", [0, 1, 3])
def test_iter_after_a_break_starts_at_the_epochs_start(plain, handed_out: int) -> None:
    order = {"streams": 4, "shuffle_window_rows": 16}
    with plain.open().loader(batch_size=8, epoch=1, **order) as loader:
        for _ in itertools.islice(loader, handed_out):
            pass
        assert loader.epoch == 1
        expected = lakes.expected_order(plain.survivors(), epoch=1, **order)
        assert lakes.finish(loader) == expected.deal(0, 1, 8)


def test_remembered_counts_do_not_change_the_order(
    plain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEADRACE_CACHE_DIR", str(tmp_path))
    order = {"streams": 4, "shuffle_window_rows": 16, "seed": 21}
    for where in ("both", "mixed", "both", "none", "both"):
        expected = lakes.expected_order(plain.survivors(FILTERS[where]), **order)
        assert flat(deliver(plain.open(FILTERS[where]), **order)) == expected.rows


def test_epochs_and_seeds_give_different_orders(plain) -> None:
    options = {"streams": 4, "shuffle_window_rows": 16}
    orders = [
        flat(deliver(plain.open(), seed=seed, epoch=epoch, **options))
        for seed, epoch in itertools.product((0, 1), (0, 1))
    ]
    assert len({tuple(order) for order in orders}) == 4


def write_one_row_group(path: Path, rows: int, page_index: bool) -> None:
    table = pa.table({"id": np.arange(rows)})
    with pq.ParquetWriter(path, table.schema, write_page_index=page_index) as writer:
        writer.write_table(table, row_group_size=rows)
    assert pq.read_metadata(path).num_row_groups == 1


@pytest.mark.parametrize("page_index", [True, False])
def test_large_row_groups_are_ranges_if_they_have_an_offset_index(
    tmp_path: Path, page_index: bool
) -> None:
    rows = 2 * 2**20 + 5000
    write_one_row_group(tmp_path / "large.parquet", rows, page_index)
    size = 2**20 if page_index else rows
    ids = range(0, rows, 997)
    blocks = [
        [id_ for id_ in ids if begin <= id_ < begin + size]
        for begin in range(0, rows, size)
    ]
    dataset = hr.open(tmp_path).where("id % 997 = 0")
    for seed in (0, 1, 2):
        order = {"streams": 4, "shuffle_window_rows": 64, "seed": seed}
        expected = lakes.expected_order(blocks, **order)
        assert flat(deliver(dataset, **order)) == expected.rows


def resolved_window(dataset: hr.Dataset, **options) -> int:
    with dataset.loader(memory_budget=2**50, **options) as loader:
        return loader.state_dict()["shuffle_window_rows"]


def test_default_window_is_the_rows_of_2_to_the_28_bytes(tmp_path: Path, plain) -> None:
    wide = pa.table({"id": np.arange(3), "blob": ["a" * 3_000_000, "", "b" * 4_000_001]})
    pq.write_table(wide, tmp_path / "wide.parquet")
    metadata = pq.read_metadata(tmp_path / "wide.parquet")
    mean = metadata.row_group(0).total_byte_size // 3
    dataset = hr.open(tmp_path)
    assert 2**28 // mean == resolved_window(dataset)
    assert 2**28 // mean == resolved_window(dataset.select("id"))  # over all columns
    assert resolved_window(dataset, streams=512) == 512
    assert resolved_window(plain.open()) == 2**20
    expected = lakes.expected_order(plain.survivors(), shuffle_window_rows=2**20)
    assert flat(deliver(plain.open())) == expected.rows
