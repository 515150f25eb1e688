"""Tables whose data files or statistics are true and easily misread."""

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import checkpoints
import pyarrow as pa
from hand_tables import IDS, KERNEL, Hand, numbers, started, table_of_name
from log_writer import LogWriter, statistics

# What data files may hold


@table_of_name
def older_files(root: Path) -> Hand:
    """Files that lack columns, hold them in another order, and more than the schema."""
    table = started(root)
    table.commit(table.add(numbers(0), "a.parquet"))
    both = numbers(10)
    shuffled = pa.table({"x": both["x"], "gone": ["q"] * 10, "id": both["id"]})
    table.commit(table.add(shuffled, "b.parquet"))
    wider = pa.schema(
        [*IDS, pa.field("s", pa.struct({"a": pa.int32(), "b": pa.string()}))]
    )
    table.commit(table.metadata(wider))
    inner = pa.struct({"a": pa.int32()})
    nested = pa.table(
        {"s": pa.array([{"a": 1}, None], inner), "id": pa.array([90, 91], pa.int64())}
    )
    table.commit(table.add(nested, "c.parquet"))
    return Hand(table)


@table_of_name
def old_encodings(root: Path) -> Hand:
    """Times as int96, milliseconds and nanoseconds, decimals as integers."""
    table = LogWriter(root)
    schema = pa.schema(
        {
            "id": pa.int64(),
            "ts": pa.timestamp("us", "UTC"),
            "d": pa.decimal128(9, 2),
            "i": pa.int32(),
        }
    )
    table.commit(table.protocol(), table.metadata(schema))
    at = datetime.datetime(2026, 11, 1, 2, 3, 4, 567000, datetime.UTC)
    rows = [
        {"id": n, "ts": at + datetime.timedelta(days=n), "d": Decimal(n) / 4, "i": n}
        for n in range(4)
    ]
    data = pa.Table.from_pylist(rows, schema)
    options: list[dict[str, Any]] = [
        {"use_deprecated_int96_timestamps": True},
        {"coerce_timestamps": "ms"},
        {"store_decimal_as_integer": True},
        {"version": "1.0"},
        {"compression": "gzip", "data_page_version": "2.0"},
    ]
    for number, option in enumerate(options):
        table.commit(table.add(data, f"{number}.parquet", store_schema=False, **option))
    return Hand(table)


# Statistics that are true and easily misread


@table_of_name
def bounds(root: Path) -> Hand:
    """Cut texts, times cut to milliseconds, wide bounds, unknown and lacking ones."""
    table = LogWriter(root)
    schema = pa.schema(
        {
            "id": pa.int64(),
            "ts": pa.timestamp("us", "UTC"),
            "s": pa.string(),
            "x": pa.float64(),
            "d": pa.decimal128(20, 3),
            "big": pa.int64(),
        }
    )
    table.commit(table.protocol("deletionVectors"), table.metadata(schema))
    at = datetime.datetime(2026, 11, 1, 0, 0, 0, 123456, datetime.UTC)

    def data(number: int) -> pa.Table:
        rows = [
            {
                "id": number * 10 + i,
                "ts": at + datetime.timedelta(days=number, microseconds=i * 100),
                "s": chr(97 + number) * 40 + str(i),
                "x": number + i / 10,
                "d": Decimal(number * 10**13) + Decimal(i) / 1000,
                "big": 2**53 + number * 10 + i,
            }
            for i in range(10)
        ]
        return pa.Table.from_pylist(rows, schema)

    def stats(number: int, **more: Any) -> str:
        content = json.loads(statistics(data(number)))
        letters = chr(97 + number) * 32
        content["minValues"]["s"] = letters
        content["maxValues"]["s"] = letters + "\N{REPLACEMENT CHARACTER}"
        return json.dumps(content | more)

    adds = [
        table.add(data(n), f"{n}.parquet", stats=stats(n), row_group_size=4)
        for n in range(6)
    ]
    adds.append(table.add(data(6), "6.parquet", stats=None))
    adds.append(table.add(data(7), "7.parquet", stats='{"numRecords":10}'))
    lacking = stats(8, minValues={"id": 80}, maxValues={}, nullCount={})
    adds.append(table.add(data(8), "8.parquet", stats=lacking))
    table.commit(*adds)
    deleted = table.with_vector(adds[3], table.inline_vector([0, 9]))
    table.commit(table.remove(adds[3]), deleted)
    checkpoints.classic(table, 2)
    return Hand(table, KERNEL)
