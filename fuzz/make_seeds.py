"""Write the seeds that are binary: Parquet files, one for each layout, and filters."""

import base64
import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 24
DAY = datetime.date(2013, 1, 1)


def _some_nulls(values: list[Any]) -> list[Any]:
    return [None if i % 5 == 3 else value for i, value in enumerate(values)]


def _flat() -> pa.Table:
    numbers = range(ROWS)
    return pa.table(
        {
            "i": pa.array(numbers, pa.int64()),
            "x": pa.array(_some_nulls([i / 4 for i in numbers]), pa.float64()),
            "s": pa.array(_some_nulls([f"s{i % 3}" for i in numbers]), pa.string()),
            "b": pa.array(_some_nulls([i % 2 == 0 for i in numbers]), pa.bool_()),
        }
    )


def _types() -> pa.Table:
    numbers = range(ROWS)
    days = [DAY + datetime.timedelta(i) for i in numbers]
    return pa.table(
        {
            "n": pa.array(numbers, pa.uint8()),
            "h": pa.array(_some_nulls([i / 2 for i in numbers]), pa.float16()),
            "d": pa.array(_some_nulls(days), pa.date32()),
            "m": pa.array([decimal.Decimal(i) for i in numbers], pa.decimal128(9, 2)),
            "t": pa.array(days, pa.date32()).cast(pa.timestamp("ms", tz="UTC")),
            "z": pa.array([bytes([i]) * 3 for i in numbers], pa.binary(3)),
        }
    )


def _nested() -> pa.Table:
    numbers = range(ROWS)
    return pa.table(
        {
            "l": pa.array(
                _some_nulls([list(range(i % 4)) for i in numbers]), pa.list_(pa.int32())
            ),
            "o": pa.array(
                _some_nulls([{"x": i, "y": [f"y{i % 2}"]} for i in numbers]),
                pa.struct({"x": pa.int16(), "y": pa.list_(pa.string())}),
            ),
            "k": pa.array(
                [[("k", i)] for i in numbers], pa.map_(pa.string(), pa.int64())
            ),
        }
    )


SEEDS: dict[str, tuple[pa.Table, dict[str, Any]]] = {
    "dictionary": (_flat(), {"compression": "none"}),
    "plain": (_flat(), {"compression": "none", "use_dictionary": False}),
    "v2": (_flat(), {"compression": "none", "data_page_version": "2.0"}),
    "compressed": (_flat(), {"compression": "snappy"}),
    "checksums": (_flat(), {"compression": "none", "write_page_checksum": True}),
    "page_index": (
        _flat(),
        {
            "compression": "none",
            "write_page_index": True,
            "data_page_size": 32,
            "write_batch_size": 4,
            "use_dictionary": ["s"],
        },
    ),
    "row_groups": (_flat(), {"compression": "none", "row_group_size": 9}),
    "delta": (
        _flat(),
        {
            "compression": "none",
            "use_dictionary": False,
            "column_encoding": {
                "i": "DELTA_BINARY_PACKED",
                "x": "BYTE_STREAM_SPLIT",
                "s": "DELTA_BYTE_ARRAY",
                "b": "RLE",
            },
        },
    ),
    "types": (_types(), {"compression": "none"}),
    "nested": (_nested(), {"compression": "none"}),
    "nested_v2": (
        _nested(),
        {"compression": "zstd", "data_page_version": "2.0", "write_page_index": True},
    ),
}


FILTERS = [
    "i = 2013 and x <= 10",
    "s in ('AA', null) or not s like 'U%'",
    "x is null or -x * 2 = 1.5",
]


def _cells() -> dict[str, bytes]:
    """Return a cell of each codec."""
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    wide = image.astype(np.uint16) * 300
    tensor = np.arange(6, dtype=np.float32)
    columns = [
        (hr.Field("npy", "float32", (None,), codec="npy"), tensor),
        (hr.Field("npz", "float32", (None,), codec="npz"), tensor),
        (hr.Field("zstd", "float32", (None,), codec="zstd"), tensor),
        (hr.Field("jpeg", "uint8", (None, None, 3), codec="jpeg"), image),
        (hr.Field("jpeg_gray", "uint8", (None, None), codec="jpeg"), image[..., 0]),
        (hr.Field("png", "uint8", (None, None, 3), codec="png"), image),
        (hr.Field("png_wide", "uint16", (None, None, 3), codec="png"), wide),
        (hr.Field("webp", "uint8", (None, None, 3), codec="webp"), image),
    ]
    table = hr.Schema([field for field, _ in columns]).encode(
        {field.name: [value] for field, value in columns}
    )
    return {name: table[name][0].as_py() for name in table.column_names}


def main(corpus: Path) -> None:
    """Write them below a folder."""
    (corpus / "pages").mkdir(parents=True, exist_ok=True)
    for name, (table, options) in SEEDS.items():
        path = corpus / "pages" / name
        pq.write_table(table, path, **{"store_schema": False, **options})
    (corpus / "cells").mkdir(parents=True, exist_ok=True)
    for name, cell in _cells().items():
        (corpus / "cells" / name).write_bytes(cell)
    (corpus / "expression").mkdir(parents=True, exist_ok=True)
    dataset = hr.open(corpus / "pages" / "plain")
    for number, text in enumerate(FILTERS):
        description = json.loads(dataset.where(text).__reduce__()[1][0])
        seed = base64.b64decode(description["where"])
        (corpus / "expression" / str(number)).write_bytes(seed)


if __name__ == "__main__":
    main(Path(__file__).parent / "corpus")
