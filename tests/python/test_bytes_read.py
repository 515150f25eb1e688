"""What a selective filter reads: the row groups that survive, once, in long ranges."""

import sys
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest
from headrace import _native

ROWS = 400_000
GROUP_ROWS = 100_000
MIB = 1 << 20


@pytest.fixture(scope="module", params=[False, True], ids=["no index", "page index"])
def path(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    random = np.random.default_rng(1)
    columns = {f"x{i}": random.random(ROWS, np.float32) for i in range(12)}
    path = tmp_path_factory.mktemp("sorted") / "table.parquet"
    table = pa.table({"k": np.arange(ROWS), **columns})
    options = {"row_group_size": GROUP_ROWS, "write_page_index": request.param}
    pq.write_table(table, path, **options)
    return path


def bytes_of(path: Path, groups: list[int], columns: list[str]) -> int:
    metadata = pq.read_metadata(path)
    chunks = [metadata.row_group(g).column(c) for g in groups for c in range(13)]
    return sum(c.total_compressed_size for c in chunks if c.path_in_schema in columns)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("where", "groups"),
    [
        ("k >= 100000 and k < 300000", [1, 2]),
        ("k >= 123456 and k < 234567", [1, 2]),
        ("k = 250000", [2]),
    ],
)
def test_row_groups_that_survive_are_read_once_in_long_ranges(
    path: Path, where: str, groups: list[int], threads: int
) -> None:
    dataset = hr.open(path).where(where)
    with dataset.loader(batch_size=1000, num_threads=threads) as loader:
        rows = sum(len(batch["k"]) for batch in loader)
        stats = loader.stats()
    assert rows == dataset.count_rows()
    assert stats["bytes_read"] <= bytes_of(path, groups, dataset.schema.names) + MIB // 4
    assert stats["read_calls"] <= 4 * len(groups)  # one of four MiB; counting; an index
    assert stats["row_groups_pruned"] == 4 - len(groups)


def test_what_a_filter_on_a_disk_leaves_whole_is_not_held(path: Path) -> None:
    """The page cache has it."""
    with hr.open(path).select("x1").where("x0 > 0.5").loader() as loader:
        counted = loader.stats()
        assert sum(len(batch["x1"]) for batch in loader) == loader.stats()["rows"] > 0
    filter_bytes = bytes_of(path, [0, 1, 2, 3], ["x0"])
    assert filter_bytes <= counted["bytes_read"] <= filter_bytes + MIB // 4
    assert counted["memory_peak"] < filter_bytes


@pytest.mark.parametrize("where", ["chance < 2", "chance < 50", "chance < 99"])
def test_survivors_of_every_width_are_placed(tmp_path: Path, where: str) -> None:
    random = np.random.default_rng(3)
    chance = random.integers(0, 100, 50_000)
    types = [
        pa.bool_(), pa.int8(), pa.uint16(), pa.int32(), pa.int64(), pa.float16(), pa.float32(),
        pa.float64(), pa.date32(), pa.timestamp("us"),
    ]  # fmt: skip
    columns = {"id": pa.array(np.arange(len(chance))), "chance": pa.array(chance)}
    stored = {name: values.to_numpy() for name, values in columns.items()}
    for column_type in types:
        # As numbers: what tensors hold of dates and times.
        width = column_type.bit_width
        numbers = chance % 2 if width == 1 else chance
        whole = pa.int32() if width == 32 else pa.int64()
        is_time = pa.types.is_temporal(column_type)
        values = pa.array(numbers, whole if is_time else None).cast(column_type)
        missing = random.random(len(chance)) < 0.1
        for name, absent in (("", missing & False), (", nulls", missing)):
            key = f"{column_type}{name}"
            columns[key] = pa.compute.if_else(pa.array(absent), None, values)
            stored[key] = np.where(absent, 0, numbers)
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=20_000)
    chosen = hr.open(tmp_path).where(where)
    chosen = chosen.nulls({name: hr.fill(0) for name in columns if "nulls" in name})
    with chosen.loader(batch_size=1000, seed=1) as loader:
        batches = list(loader)
        paths = loader.stats()["decode_paths"]
    order = np.argsort(np.concatenate([batch["id"] for batch in batches]))
    kept = chance < int(where.rsplit(maxsplit=1)[-1])
    for name, values in stored.items():
        delivered = np.concatenate([batch[name] for batch in batches])[order]
        np.testing.assert_array_equal(delivered.astype(np.int64), values[kept], name)
    assert paths == {
        name: ["arrays" if name == "chance" else "placed"] for name in columns
    }


@pytest.mark.parametrize("width", [1, 1000, 50_000])
def test_a_range_of_a_sorted_column_reads_little_more_than_its_row_groups(
    tmp_path: Path, width: int
) -> None:
    """Less than 1.2 of their bytes, of files whose rows came in another order."""
    table = tmp_path / "table"
    random = np.random.default_rng(2)
    values = {f"x{i}": random.random(ROWS, np.float32) for i in range(4)}
    rows = pa.table({"k": random.permutation(ROWS), **values})
    hr.write(rows, table, sort_by=["k"], row_group_bytes=MIB, file_bytes=3 * MIB)
    low = 123_456
    holding = total = 0
    for file in table.glob("*.parquet"):
        metadata = pq.read_metadata(file)
        for g in range(metadata.num_row_groups):
            group = metadata.row_group(g)
            chunks = [group.column(c) for c in range(group.num_columns)]
            size = sum(chunk.total_compressed_size for chunk in chunks)
            total += size
            known = chunks[0].statistics
            if known.min < low + width and known.max >= low:
                holding += size
    assert 0 < 2 * holding < total
    dataset = hr.open(table).where(f"k >= {low} and k < {low + width}")
    with dataset.loader(batch_size=1000) as loader:
        found = sorted(int(k) for batch in loader for k in batch["k"])
        read = loader.stats()["bytes_read"]
    assert found == list(range(low, low + width))
    assert 0 < read < holding * 1.2


def test_columns_apart_are_read_apart(path: Path) -> None:
    chosen = ["x0", "x1", "x5"]
    dataset = hr.open(path).select(*chosen).where("k >= 100000 and k < 200000")
    with dataset.loader(batch_size=1000) as loader:
        list(loader)
        stats = loader.stats()
    assert stats["bytes_read"] <= bytes_of(path, [1], chosen) + MIB // 4


def test_a_small_budget_reads_bit_by_bit(path: Path) -> None:
    dataset = hr.open(path).where("k >= 123456 and k < 234567")
    options = {"batch_size": 1000, "shuffle_window_rows": 4096, "seed": 1}
    with dataset.loader(**options) as loader:
        expected = [batch["k"].tolist() for batch in loader]
        floor = loader.stats()["memory_floor"]
    with dataset.loader(**options, memory_budget=floor) as loader:
        assert [batch["k"].tolist() for batch in loader] == expected
        assert loader.stats()["memory_peak"] <= floor


def test_counting_is_shown_on_a_terminal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    make = _native.Loader.make

    def spy(*arguments: Any, progress: Any, **options: Any) -> Any:
        def both(done: int, total: int) -> None:
            told.append((done, total))
            progress(done, total)

        return make(*arguments, progress=both, **options)

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(_native.Loader, "make", spy)
    with hr.open(path).where("x0 > 0.5").loader(num_threads=2) as loader:
        assert sum(len(batch["k"]) for batch in loader) > 0
    total = 4 * GROUP_ROWS
    assert told == [(done, total) for done in range(GROUP_ROWS, total + 1, GROUP_ROWS)]


def test_a_progress_that_raises_does_not_stop_the_counting(path: Path) -> None:
    chosen = hr.open(path).where("x0 > 0.25")
    unraisable: list[object] = []
    sys.unraisablehook, before = unraisable.append, sys.unraisablehook
    try:
        loader = _native.Loader.make(
            chosen._native, batch_size=1000, progress=lambda done, total: 1 // 0
        )
    finally:
        sys.unraisablehook = before
    assert loader.steps() > 100
    assert len(unraisable) == 4
    loader.close()
