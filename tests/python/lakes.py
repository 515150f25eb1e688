"""Hypothesis strategies for whole tables: schemas, nulls, layouts, partitions, filters."""

import datetime
import decimal
import functools
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from hypothesis import strategies as st

DAY = datetime.date(2013, 1, 1)
INSTANT = datetime.datetime(2013, 1, 1)

# Few values of each type, so that filters keep some rows and not all.
VALUES: dict[pa.DataType, list[Any]] = {
    pa.bool_(): [False, True],
    **{
        getattr(pa, f"{sign}int{bits}")(): [0, 1, 5, 100, 127]
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
    pa.float16(): [0.0, 1.5, 5.0],
    pa.float32(): [0.0, -1.5, 5.0, float("inf")],
    pa.float64(): [0.0, -1.5, 5.0, float("nan")],
    pa.decimal128(9, 2): [decimal.Decimal("1.25"), decimal.Decimal("-7.00")],
    pa.date32(): [DAY, DAY + datetime.timedelta(9)],
    pa.timestamp("ms"): [INSTANT, INSTANT + datetime.timedelta(seconds=9)],
    pa.timestamp("us", tz="UTC"): [INSTANT, INSTANT + datetime.timedelta(seconds=9)],
    pa.time32("ms"): [datetime.time(1), datetime.time(2)],
    pa.time64("us"): [datetime.time(1), datetime.time(2)],
    pa.duration("us"): [datetime.timedelta(1), datetime.timedelta(2)],
    pa.string(): ["", "a", "5", "ß and more"],
    pa.large_string(): ["a", "b"],
    pa.binary(): [b"", b"a", b"\xff"],
    pa.dictionary(pa.int32(), pa.string()): ["a", "b"],
    pa.list_(pa.int32()): [[], [1], [1, None, 3]],
    pa.large_list(pa.string()): [[], ["a", None]],
    pa.list_(pa.float32(), 2): [[1.0, 2.0], [3.0, None]],
    pa.struct({"x": pa.int32(), "y": pa.string()}): [
        {"x": 1, "y": "a"},
        {"x": None, "y": "b"},
    ],
    pa.map_(pa.string(), pa.int32()): [[], [("k", 1)]],
}
NUMBERS = [
    type_ for type_ in VALUES if pa.types.is_integer(type_) or pa.types.is_floating(type_)
]


@dataclass(frozen=True)
class Lake:
    """Files of one schema; `table` is what they hold, in stored order."""

    root: Path
    table: pa.Table
    partitioned: bool

    def __repr__(self) -> str:
        return f"Lake({self.table.schema}, {self.table.num_rows} rows)"


@st.composite
def columns(draw: st.DrawFn) -> list[tuple[str, pa.DataType]]:
    types = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4))
    return [(f"c{i}", type_) for i, type_ in enumerate(types)]


@st.composite
def file_tables(
    draw: st.DrawFn, schema: list[tuple[str, pa.DataType]], first: int
) -> pa.Table:
    rows = draw(st.integers(0, 40))
    arrays: dict[str, pa.Array] = {"id": pa.array(range(first, first + rows), pa.int64())}
    for name, type_ in schema:
        known = VALUES[type_]
        nulls = draw(st.sampled_from([0, 1, 3]))
        picks = draw(
            st.lists(st.integers(0, len(known) + nulls - 1), min_size=rows, max_size=rows)
        )
        values = [known[pick] if pick < len(known) else None for pick in picks]
        arrays[name] = pa.array(values, type_)
    return pa.table(arrays)


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "row_group_size": draw(st.sampled_from([1, 3, 7, 16, 100])),
        # Pages of one byte end in an empty page, which Arrow's own reader loses lists at.
        "data_page_size": draw(st.sampled_from([16, 64, 1 << 20])),
        "write_batch_size": draw(st.sampled_from([1, 5, 1024])),
        "data_page_version": draw(st.sampled_from(["1.0", "2.0"])),
        "use_dictionary": draw(st.booleans()),
        "compression": draw(st.sampled_from(["none", "snappy", "zstd"])),
        "write_page_index": draw(st.booleans()),
        "write_statistics": draw(st.booleans()),
    }


@st.composite
def lakes(draw: st.DrawFn, root: Path) -> Lake:
    """Write a table of one to three files below a root."""
    schema = draw(columns())
    partitioned = draw(st.booleans())
    tables: list[pa.Table] = []
    first = 0
    for number in range(draw(st.integers(1, 3))):
        table = draw(file_tables(schema, first))
        first += table.num_rows
        folder = root / (f"part={number}" if partitioned else "")
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / f"f{number}.parquet", **draw(layouts()))
        if partitioned:
            part = pa.array([number] * table.num_rows, pa.int32())
            table = table.append_column("part", part)
        tables.append(table)
    return Lake(root, pa.concat_tables(tables), partitioned)


@dataclass(frozen=True)
class Choice:
    """One filter, as text and as an expression."""

    text: str
    expression: pc.Expression


def _literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def _comparisons(name: str, values: list[Any]) -> st.SearchStrategy[Choice]:
    field = pc.field(name)
    comparisons = {
        "=": lambda v: field == v,
        "!=": lambda v: field != v,
        "<": lambda v: field < v,
        "<=": lambda v: field <= v,
        ">": lambda v: field > v,
        ">=": lambda v: field >= v,
    }
    return st.one_of(
        st.builds(
            lambda op, v: Choice(f"{name} {op} {_literal(v)}", comparisons[op](v)),
            st.sampled_from(list(comparisons)),
            st.sampled_from(values),
        ),
        st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True).map(
            # As SQL has it; pyarrow's isin is false for a null, and not null.
            lambda vs: Choice(
                f"{name} in ({', '.join(map(_literal, vs))})",
                functools.reduce(operator.or_, [field == v for v in vs]),
            )
        ),
        st.just(Choice(f"{name} is null", field.is_null())),
        st.just(Choice(f"{name} is not null", field.is_valid())),
    )


def filters(lake: Lake) -> st.SearchStrategy[Choice]:
    """Filters over the columns of a lake that can be compared in text."""
    leaves = [_comparisons("id", [0, 1, 7, 30, 200])]
    if lake.partitioned:
        leaves.append(_comparisons("part", [0, 1, 5]))
    for field in lake.table.schema:
        whole = pa.types.is_integer(field.type) or field.type in (
            pa.float32(),
            pa.float64(),
        )
        if field.name.startswith("c") and whole:
            leaves.append(_comparisons(field.name, [0, 1, 5, 100]))
        elif field.type in (pa.string(), pa.large_string()):
            leaves.append(_comparisons(field.name, ["", "a", "5", "b"]))
    return st.recursive(
        st.one_of(leaves),
        lambda inner: st.one_of(
            st.builds(
                lambda a, b: Choice(
                    f"({a.text}) and ({b.text})", a.expression & b.expression
                ),
                inner,
                inner,
            ),
            st.builds(
                lambda a, b: Choice(
                    f"({a.text}) or ({b.text})", a.expression | b.expression
                ),
                inner,
                inner,
            ),
            inner.map(lambda a: Choice(f"not ({a.text})", ~a.expression)),
        ),
        max_leaves=4,
    )
