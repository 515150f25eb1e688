"""hr.write: what is written is what is read, here and by pyarrow."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace as hr


def write(data: Any, where: Path, **options: Any) -> hr.WriteSummary:
    return hr.write(data, where / "table", format="parquet", **options)


def read(where: Path) -> pa.Table:
    return hr.open(where / "table").to_arrow()


def numbers(rows: int = 1000) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "key": pa.array([i % 7 for i in range(rows)], pa.int32()),
            "text": pa.array([None if i % 5 == 0 else f"text {i}" for i in range(rows)]),
        }
    )


def test_writes_what_is_read(tmp_path: Path) -> None:
    table = numbers()
    summary = write(table, tmp_path)
    assert read(tmp_path).equals(table)
    assert pq.read_table(tmp_path / "table").equals(table)
    assert (summary.rows, summary.files, summary.row_groups) == (1000, 1, 1)
    sizes = [file.stat().st_size for file in (tmp_path / "table").iterdir()]
    assert summary.bytes == sum(sizes)
    assert summary.version is None


def test_takes_streams_frames_and_dicts(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    duckdb = pytest.importorskip("duckdb")
    table = numbers()
    write(table, tmp_path / "source")
    columns = {name: table[name].to_pylist() for name in table.column_names}
    relation = duckdb.from_arrow(table)
    for i, data in enumerate(
        [
            table.to_reader(max_chunksize=100),
            table.to_batches()[0],
            iter(table.to_batches(max_chunksize=300)),
            polars.from_arrow(table),
            relation,
            table.to_pandas(),
            hr.open(tmp_path / "source" / "table"),
            {**columns, "key": np.array(columns["key"], np.int32)},
            (
                {"id": [j], "key": np.array([j % 7], np.int32), "text": [columns["text"][j]]}
                for j in range(1, 1000)
            ),
        ]
    ):
        write(data, tmp_path / str(i))
        found = read(tmp_path / str(i))
        assert found.num_rows == (999 if i == 8 else 1000), i
        assert found.cast(table.schema).equals(table.slice(1000 - found.num_rows)), i
