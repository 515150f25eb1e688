"""What a selective filter reads: the row groups that survive, once, in long ranges."""

from pathlib import Path

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
