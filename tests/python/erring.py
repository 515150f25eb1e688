"""A table of many types, and checks of the errors that it is good for."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = 400
ROW_GROUP = 100
SECRET = "HUSHxHUSH"
SECRETS = {
    "access_key": f"id-{SECRET}",
    "secret_key": f"key-{SECRET}",
    "session_token": f"token-{SECRET}",
}
PLACE = pa.struct({"lat": pa.float64(), "lon": pa.float64()})


def table(rows: int = ROWS, first: int = 0) -> pa.Table:
    ids = np.arange(rows, dtype=np.int64) + first
    return pa.table(
        {
            "id": ids,
            "delay": pa.array([None if i == 157 else i / 2 for i in ids], pa.float64()),
            "carrier": pa.array([f"v{i % 5}" for i in ids], pa.string()),
            "items": pa.array([[1, 2], [3]] * (rows // 2), pa.list_(pa.int64())),
            "place": pa.array([{"lat": 1.0, "lon": 2.0}] * rows, PLACE),
            "price": pa.array([Decimal("1.25")] * rows, pa.decimal128(9, 2)),
        }
    )


def write(path: Path, content: pa.Table, **options: Any) -> Path:
    options = {"row_group_size": ROW_GROUP, "use_dictionary": False, **options}
    pq.write_table(content, path, **options)
    return path


def batches(dataset: hr.Dataset, **options: Any) -> list[dict[str, Any]]:
    with dataset.loader(**{"shuffle": False, "batch_size": 64, **options}) as loader:
        return list(loader)


def load_id(dataset: hr.Dataset) -> object:
    return batches(dataset.select("id"))


def read_id(dataset: hr.Dataset) -> object:
    return dataset.select("id").to_arrow()


def count_odd(dataset: hr.Dataset) -> object:
    return dataset.where("id % 2 = 1").count_rows()


readers = pytest.mark.parametrize("read", [load_id, read_id, count_odd])


def message(
    kind: type[hr.HeadraceError], call: Callable[[], object], *facts: object
) -> str:
    """Return what a call raises, after checking the kind and that every fact is told."""
    with pytest.raises(hr.HeadraceError) as caught:
        call()
    text = str(caught.value)
    assert type(caught.value) is kind, f"{type(caught.value).__name__}: {text}"
    assert caught.value.kind == kind.__name__
    for fact in facts:
        assert str(fact) in text
    return text
