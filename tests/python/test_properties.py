"""Whatever the table and its layout: the same rows as pyarrow reads, filters and orders."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import headrace as hr
import lakes
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

calm = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@contextmanager
def drawn_lake(data: st.DataObject) -> Iterator[lakes.Lake]:
    root = Path(tempfile.mkdtemp(prefix="headrace-lake-"))
    try:
        yield data.draw(lakes.lakes(root))
    finally:
        shutil.rmtree(root)


def rows(table: pa.Table) -> list[str]:
    """Rows as text, so that NaN equals itself; dictionaries as what they stand for."""
    return [repr(row) for row in table.to_pylist()]


def expected_rows(lake: lakes.Lake, choice: lakes.Choice | None) -> pa.Table:
    return lake.table if choice is None else lake.table.filter(choice.expression)


@calm
@given(st.data())
def test_tables_come_back_with_their_types_in_stored_order(data: st.DataObject) -> None:
    with drawn_lake(data) as lake:
        dataset = hr.open(lake.root)
        assert dataset.schema.equals(lake.table.schema)
        table = dataset.to_arrow()
        table.validate(full=True)
        assert table.schema.equals(lake.table.schema)
        assert rows(table) == rows(lake.table)
        assert dataset.count_rows() == lake.table.num_rows


@calm
@given(st.data())
def test_filters_keep_what_pyarrow_keeps_as_text_and_as_expression(
    data: st.DataObject,
) -> None:
    with drawn_lake(data) as lake:
        choice = data.draw(lakes.filters(lake))
        expected = rows(expected_rows(lake, choice))
        dataset = hr.open(lake.root)
        for chosen in (dataset.where(choice.text), dataset.where(choice.expression)):
            assert rows(chosen.to_arrow()) == expected
            assert chosen.count_rows() == len(expected)
            summary = chosen.explain().to_dict()
            assert summary["after"]["rows"] >= len(expected)


@calm
@given(st.data())
def test_selected_columns_come_in_the_order_asked_for(data: st.DataObject) -> None:
    with drawn_lake(data) as lake:
        names = data.draw(
            st.lists(st.sampled_from(lake.table.column_names), min_size=1, unique=True)
        )
        choice = data.draw(st.none() | lakes.filters(lake))
        dataset = hr.open(lake.root).select(*names)
        if choice is not None:
            dataset = dataset.where(choice.text)
        expected = expected_rows(lake, choice).select(names)
        assert rows(dataset.to_arrow()) == rows(expected)


@calm
@given(st.data())
def test_fields_of_structs_are_reached_by_dotted_names(data: st.DataObject) -> None:
    with drawn_lake(data) as lake:
        for field in lake.table.schema:
            if not pa.types.is_struct(field.type):
                continue
            found = hr.open(lake.root).select(f"{field.name}.x").to_arrow().column(0)
            structs = lake.table.column(field.name).to_pylist()
            assert found.to_pylist() == [s and s["x"] for s in structs]


@calm
@given(st.data(), st.booleans(), st.sampled_from([1, 2, 8]), st.integers(1, 64))
def test_loaders_deliver_every_row_once(
    data: st.DataObject, shuffle: bool, streams: int, window: int
) -> None:
    with drawn_lake(data) as lake:
        choice = data.draw(st.none() | lakes.filters(lake))
        dataset = hr.open(lake.root).select("id")
        if choice is not None:
            dataset = dataset.where(choice.text)
        seed = data.draw(st.integers(0, 2**64 - 1))
        batch_size = data.draw(st.integers(1, 50))
        with dataset.loader(
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            streams=streams,
            shuffle_window_rows=window,
            num_threads=data.draw(st.sampled_from([1, 3])),
        ) as loader:
            batches = [batch["id"] for batch in loader]
            stats = loader.stats()
        assert stats["memory_peak"] <= stats["memory_budget"]
        delivered = [int(i) for batch in batches for i in batch]
        kept = expected_rows(lake, choice).column("id").to_pylist()
        assert sorted(delivered) == kept
        assert all(len(batch) == batch_size for batch in batches[:-1])
        if not shuffle and streams == 1:
            assert delivered == kept


@calm
@given(st.data(), st.booleans())
def test_arrow_batches_keep_types_and_nulls(data: st.DataObject, shuffle: bool) -> None:
    with drawn_lake(data) as lake:
        with hr.open(lake.root).loader(
            batch_size=16, shuffle=shuffle, to="arrow"
        ) as loader:
            batches = list(loader)
        if not batches:
            assert lake.table.num_rows == 0
            return
        table = pa.Table.from_batches(batches).sort_by("id")
        assert table.schema.types == lake.table.schema.types
        assert rows(table) == rows(lake.table)


def dense(table: pa.Table, name: str, fill: Any) -> list[Any]:
    return [fill if value is None else value for value in table.column(name).to_pylist()]


@calm
@given(st.data())
def test_numbers_become_tensors_with_nulls_as_told(data: st.DataObject) -> None:
    with drawn_lake(data) as lake:
        names = [
            field.name
            for field in lake.table.schema
            if field.name != "id" and field.type in lakes.NUMBERS
        ]
        policy = data.draw(st.sampled_from(["mask", hr.fill(3)]))
        dataset = hr.open(lake.root).select("id", *names)
        dataset = dataset.nulls(dict.fromkeys(names, policy))
        with dataset.loader(batch_size=7, seed=1) as loader:
            batches = list(loader)
        if not batches:
            return
        place = np.argsort(np.concatenate([batch["id"] for batch in batches]))
        for name in names:
            column = np.concatenate([batch[name] for batch in batches])[place]
            assert column.dtype == lake.table.schema.field(name).type.to_pandas_dtype()
            fill = 0 if policy == "mask" else 3
            assert np.array_equal(
                column.astype(float),
                np.array(dense(lake.table, name, fill), float),
                equal_nan=True,
            )
            if policy == "mask":
                mask = np.concatenate([batch[f"{name}_mask"] for batch in batches])[place]
                assert mask.tolist() == lake.table.column(name).is_valid().to_pylist()


@calm
@given(st.data(), st.booleans())
def test_isin_keeps_what_pyarrow_keeps_nulls_included(
    data: st.DataObject, negated: bool
) -> None:
    with drawn_lake(data) as lake:
        name = data.draw(st.sampled_from(["id", lake.table.column_names[1]]))
        field_type = lake.table.schema.field(name).type
        if field_type not in lakes.NUMBERS or field_type == pa.float16():
            return  # Arrow has no is_in of float16
        wanted = pa.array(
            data.draw(st.lists(st.sampled_from([0, 1, 5, None]))), field_type
        )
        expression = pc.field(name).isin(wanted)
        expression = ~expression if negated else expression
        expected = lake.table.filter(expression)
        assert rows(hr.open(lake.root).where(expression).to_arrow()) == rows(expected)
