"""Writes to tables by their names: where the rows go, and what the entry says afterwards."""

import datetime
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import headrace as hr
import pyarrow as pa
import pytest
from headrace._staged import StagedWrite

ROWS = pa.table({"id": [1, 2, 3]})


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> hr.Catalog:
    """The one that is meant if none is named."""
    monkeypatch.setenv("HEADRACE_CATALOG", str(tmp_path / "catalog.db"))
    return hr.catalog()


@pytest.fixture
def numbers(catalog: hr.Catalog, tmp_path: Path) -> Path:
    """A Delta table of one version, named prod.numbers."""
    place = tmp_path / "lake/numbers"
    hr.write(ROWS, place)
    catalog.add("prod.numbers", place)
    return place


def counts(catalog: hr.Catalog, name: str = "prod.numbers") -> tuple[int | None, ...]:
    entry = catalog.show(name)
    return entry.version, entry.rows, entry.files


def test_a_version_is_opened_by_its_number_or_its_time(
    catalog: hr.Catalog, numbers: Path
) -> None:
    hr.write(ROWS, "catalog:prod.numbers", mode="append")
    log = numbers / "_delta_log"
    first, second = datetime.datetime(2026, 1, 1), datetime.datetime(2026, 1, 2)
    for version, time in enumerate((first, second)):
        seconds = time.replace(tzinfo=datetime.UTC).timestamp()
        commit = log / f"{version:020}.json"
        os.utime(commit, (seconds, seconds))
    opened = catalog.open("prod.numbers", version=0)
    assert (opened.version, opened.count_rows()) == (0, 3)
    assert catalog.open("prod.numbers", 1).count_rows() == 6
    assert catalog.open("prod.numbers", as_of=first).version == 0
    assert catalog.open("prod.numbers", as_of="2026-01-02T00:00Z").version == 1
    with pytest.raises(hr.errors.NotFound):
        catalog.open("prod.numbers", as_of="2025-12-31T00:00Z")
    with pytest.raises(hr.errors.NotFound, match="version 7"):
        catalog.open("prod.numbers", version=7)
    for also in ({"version": 0}, {"as_of": first}):
        with pytest.raises(hr.errors.InvalidArgument, match="one of the two"):
            catalog.open("prod.numbers@1", **also)
    with pytest.raises(hr.errors.InvalidArgument):
        catalog.open("prod.numbers", version=0, as_of=first)
    with pytest.raises(hr.errors.InvalidArgument, match="version"):
        catalog.open("prod.numbers", version=-1)


def test_what_is_no_place_to_write_to_is_refused(
    catalog: hr.Catalog, numbers: Path
) -> None:
    for address in ("prod.numbers@0", "prod.numbers@tag", "a b"):
        with pytest.raises(hr.errors.InvalidArgument):
            hr.write(ROWS, f"catalog:{address}", mode="append")
    with pytest.raises(
        hr.errors.NotFound, match=r"no table prod\.nubmers.*prod\.numbers"
    ):
        hr.write(ROWS, "catalog:prod.nubmers", mode="append")
    with pytest.raises(hr.errors.Conflict, match=r"table prod\.numbers: .*version 0"):
        hr.write(ROWS, "catalog:prod.numbers")
    catalog.add("prod.glob", f"{numbers}/*.parquet")
    with pytest.raises(hr.errors.InvalidArgument, match="glob"):
        hr.write(ROWS, "catalog:prod.glob", mode="append", format="parquet")
    assert counts(catalog) == (0, 3, 1)
    assert hr.open(numbers).version == 0


def test_plain_parquet_goes_to_the_partitions_that_the_entry_says(
    catalog: hr.Catalog, tmp_path: Path
) -> None:
    place = tmp_path / "plain"
    rows = pa.table({"id": [1, 2, 3], "month": [1, 1, 2]})
    hr.write(rows, place, format="parquet", partition_by=["month"])
    catalog.add("plain", place)
    assert counts(catalog, "plain") == (None, 3, 2)
    with pytest.raises(hr.errors.Conflict, match='format="parquet"'):
        hr.write(rows, "catalog:plain", mode="append")
    hr.write(rows, "catalog:plain", mode="append", format="parquet")
    assert counts(catalog, "plain") == (None, 6, 4)
    hr.write(rows[:1], "catalog:plain", mode="overwrite_partitions", format="parquet")
    assert counts(catalog, "plain") == (None, 3, 3)
    assert catalog.open("plain").to_arrow().column_names == ["id", "month"]


def test_a_table_that_was_deleted_is_made_anew(
    catalog: hr.Catalog, numbers: Path, tmp_path: Path
) -> None:
    numbers.rename(tmp_path / "elsewhere")
    hr.write({"other": ["a"]}, "catalog:prod.numbers")
    assert counts(catalog) == (0, 1, 1)
    (column,) = catalog.show("prod.numbers").columns
    assert (column.name, column.type) == ("other", "string")


def test_rows_stand_where_the_catalog_cannot_be_told(
    catalog: hr.Catalog, numbers: Path
) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from ROWS.to_batches()
        catalog.rm("prod.numbers")

    with pytest.warns(
        RuntimeWarning, match=r"3 rows were written.*no table prod\.numbers"
    ):
        written = hr.write(batches(), "catalog:prod.numbers", mode="append")
    assert written.version == 1
    assert "no table prod.numbers" in written.to_dict()["catalog_error"]
    assert "the catalog was not told" in repr(written)
    assert hr.open(numbers).count_rows() == 6


APPEND = """
import headrace as hr
import pyarrow as pa

for _ in range(5):
    hr.write(pa.table({"id": [1, 2, 3]}), "catalog:prod.numbers", mode="append")
"""


def test_the_entry_ends_with_the_last_version_of_many_writers(
    catalog: hr.Catalog, numbers: Path
) -> None:
    children = [subprocess.Popen([sys.executable, "-c", APPEND]) for _ in range(4)]
    assert [child.wait(240) for child in children] == [0] * 4
    assert counts(catalog) == (20, 63, 21)
    assert hr.open("catalog:prod.numbers").count_rows() == 63


def test_a_staged_write_by_name_tells_the_catalog(
    catalog: hr.Catalog, numbers: Path
) -> None:
    more = pa.table({"id": [4, 5]})
    planned = StagedWrite("catalog:prod.numbers", more.schema, mode="append")
    away = pickle.loads(pickle.dumps(planned))  # as a task of Spark's has it
    part = away.stage(0, more.schema, more.to_batches())
    assert pickle.loads(pickle.dumps(away)).commit([part]).version == 1
    assert counts(catalog)[:2] == (1, 5)
    assert hr.open("catalog:prod.numbers").count_rows() == 5
    with pytest.raises(hr.errors.NotFound, match=r"prod\.others"):
        StagedWrite("catalog:prod.others", more.schema)

    late = StagedWrite("catalog:prod.numbers", more.schema, mode="append")
    part = late.stage(0, more.schema, more.to_batches())
    catalog.rm("prod.numbers")
    with pytest.warns(RuntimeWarning, match="the catalog was not told"):
        assert late.commit([part]).version == 2
