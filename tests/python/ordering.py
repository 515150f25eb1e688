"""Small tables, and the order that the contract (tests/oracle) gives them, for the tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import order as oracle
import pyarrow as pa
import pyarrow.parquet as pq
from keyed import PRODUCT


@dataclass(frozen=True)
class Filter:
    """Filter text, and what it means for a row: its id and its partition."""

    text: str | None
    passes: Callable[[int, int], bool] = lambda id_, part: True


def mixed(id_: int) -> int:
    """The column `mixed`: every row group has all of its values, so statistics do not help."""
    return id_ * 37 % 11


@dataclass(frozen=True)
class Lake:
    """A table whose column `id` is the stored row number; row ids by block, in stored order."""

    root: Path
    blocks: list[range] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)

    def add_file(self, path: str, groups: Sequence[int], part: int = 0) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        schema = pa.schema(
            {"id": pa.int64(), "mixed": pa.int32(), "x": pa.list_(pa.float32(), 4)}
        )
        with pq.ParquetWriter(file, schema, write_page_index=part % 2 == 0) as writer:
            for rows in groups:
                begin = self.blocks[-1].stop if self.blocks else 0
                ids = np.arange(begin, begin + rows)
                x = pa.FixedSizeListArray.from_arrays(
                    np.repeat(ids, 4).astype(np.float32), 4
                )
                columns = [ids, mixed(ids).astype(np.int32), x]
                writer.write_table(pa.table(columns, schema=schema))
                self.blocks.append(range(begin, begin + rows))
                self.parts.append(part)

    def open(self, where: Filter | None = None) -> hr.Dataset:
        dataset = hr.open(self.root)
        return dataset.where(where.text) if where and where.text else dataset

    def survivors(self, where: Filter | None = None) -> list[list[int]]:
        """The ids that pass, by block; blocks without any are not in the order."""
        passes = where.passes if where else (lambda id_, part: True)
        kept = [
            [id_ for id_ in ids if passes(id_, part)]
            for ids, part in zip(self.blocks, self.parts, strict=True)
        ]
        return [ids for ids in kept if ids]


def make_plain(root: Path) -> Lake:
    """Paths whose order by bytes is neither that of creation nor of a walk by folders."""
    lake = Lake(root)
    lake.add_file("Z.parquet", [7, 5, 31])
    lake.add_file("a-1/part.parquet", [1, 1, 40, 3])
    lake.add_file("a.parquet", [16, 16, 16])
    lake.add_file("a/empty.parquet", [])
    lake.add_file("a/part.parquet", [2, 23])
    lake.add_file("b.parquet", [2, 3])
    return lake


def make_hive(root: Path) -> Lake:
    lake = Lake(root)
    for part, groups in ((10, [9, 1, 20]), (11, [33]), (2, [4, 4, 4, 17]), (3, [50, 8])):
        lake.add_file(f"part={part}/data.parquet", groups, part)
    return lake


FILTERS = {
    "none": Filter(None),
    # Statistics decide all row groups but one or two, which are read.
    "range": Filter("id >= 38 and id < 100", lambda id_, part: 38 <= id_ < 100),
    # Only reading decides; every row group keeps something, or is very small.
    "mixed": Filter("mixed < 4", lambda id_, part: mixed(id_) < 4),
    # Reading empties row groups, and whole files.
    "sparse": Filter("mixed = 5", lambda id_, part: mixed(id_) == 5),
    # Both.
    "both": Filter(
        "(id < 45 or id > 130) and mixed in (0, 3, 7)",
        lambda id_, part: (id_ < 45 or id_ > 130) and mixed(id_) in (0, 3, 7),
    ),
    "fewer rows than streams": Filter(
        "id in (3, 44, 90)", lambda id_, part: id_ in (3, 44, 90)
    ),
    "nothing": Filter("mixed = 11", lambda id_, part: False),
}
PARTITION = Filter(
    "part != 11 and mixed >= 2", lambda id_, part: part != 11 and mixed(id_) >= 2
)


@dataclass(frozen=True)
class Order:
    """The order of an epoch, as the contract has it: ids of the streams and the remainder."""

    streams: list[list[int]]
    remainder: list[int]

    @property
    def sequence(self) -> list[int]:
        return oracle.sequence(self.streams)

    @property
    def rows(self) -> list[int]:
        return self.sequence + self.remainder

    def deal(self, rank: int, world_size: int, batch_size: int, **options: Any) -> list:
        return oracle.deal(
            self.streams, self.remainder, rank, world_size, batch_size, **options
        )


def expected_order(
    blocks: list[list[int]],
    *,
    streams: int = 8,
    shuffle_window_rows: int = 2**20,
    seed: int = 0,
    epoch: int = 0,
    shuffle: bool = True,
) -> Order:
    runs, remainder = oracle.streams_of(
        [len(ids) for ids in blocks],
        streams,
        shuffle_window_rows,
        seed,
        epoch,
        shuffle,
        keyed=PRODUCT,
    )
    return Order(
        [[blocks[b][i] for b, i in run] for run in runs],
        [blocks[b][i] for b, i in remainder],
    )


def ids(batch: dict) -> list[int]:
    return batch["id"].tolist()


def finish(loader: hr.Loader) -> list[list[int]]:
    """The steps of a pass, or of what is left of it; the memory stays within the budget."""
    steps = [ids(batch) for batch in loader]
    check_memory(loader)
    return steps


def check_memory(loader: hr.Loader) -> None:
    stats = loader.stats()
    assert 0 <= stats["memory_peak"] <= stats["memory_budget"]


def deliver(dataset: hr.Dataset, **options: Any) -> list[list[int]]:
    """The steps of one pass of a new loader."""
    with dataset.loader(**options) as loader:
        announced = len(loader)
        steps = finish(loader)
    assert len(steps) == announced
    return steps


def deliver_ranks(
    dataset: hr.Dataset, world_size: int, **options: Any
) -> list[list[list[int]]]:
    """The steps of every rank."""
    return [
        deliver(dataset, rank=rank, world_size=world_size, **options)
        for rank in range(world_size)
    ]


def flat(steps: list[list[int]]) -> list[int]:
    return [id_ for step in steps for id_ in step]
