"""A small table, declarations and functions for the tests of `map_batches`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 200
BATCH = 16


@dataclass(frozen=True)
class Field:
    """What a `headrace.Field` tells of a column."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] = ()


@dataclass(frozen=True)
class Schema:
    """What a `headrace.Schema` tells."""

    fields: list[Field] = field(default_factory=list)


def declare(**columns: Any) -> Schema:
    """A schema of columns: a dtype, or (dtype, *shape)."""
    split = {
        n: (c, ()) if isinstance(c, str) else (c[0], c[1:]) for n, c in columns.items()
    }
    return Schema([Field(name, dtype, shape) for name, (dtype, shape) in split.items()])


def write(path: Path, rows: int = ROWS) -> hr.Dataset:
    """A table of numbers, vectors, lists and texts, told by `id`."""
    id_ = np.arange(rows)
    vectors = np.arange(rows * 3, dtype=np.float32)
    table = {
        "id": id_,
        "x": id_ / 2,
        "small": pa.array(id_ % 100, pa.int8()),
        "flag": id_ % 2 == 0,
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors), 3),
        "items": pa.array(
            [list(range(i % 4)) for i in range(rows)], pa.list_(pa.int32())
        ),
        "name": [f"name {i}" for i in range(rows)],
        "blob": pa.array([b"\xff" * (i % 3) for i in range(rows)]),
    }
    pq.write_table(pa.table(table), path, row_group_size=30)
    return hr.open(path)


def load(dataset: hr.Dataset, **options: Any) -> list[Any]:
    """The batches of a pass in stored order, or as the options say."""
    with dataset.loader(**{"batch_size": BATCH, "shuffle": False, **options}) as loader:
        return list(loader)


def joined(batches: list[Any], name: str) -> np.ndarray:
    """A column of batches."""
    return np.concatenate([np.asarray(batch[name]) for batch in batches])
