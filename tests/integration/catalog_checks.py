"""What every catalog does alike: checks that take one, and a lake of flights by month."""

from collections.abc import Callable
from pathlib import Path

import headrace as hr
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Check = Callable[[hr.Catalog, Path], None]


def make_lake(root: Path) -> Path:
    """Two partitions of three rows."""
    for month in (1, 2):
        folder = root / f"month={month}"
        folder.mkdir(parents=True)
        table = pa.table({"id": pa.array([1, 2, 3]), "delay": [0.5, None, month * 1.5]})
        pq.write_table(table, folder / "a.parquet")
    return root


def check_an_entry_comes_back_as_it_was_added(catalog: hr.Catalog, lake: Path) -> None:
    added = catalog.add(
        "prod.flights",
        lake,
        description="Departures of São Paulo",
        owner="ana",
        comments={"delay": "minutes"},
        tags={"first": 0},
    )
    assert added == catalog.show("prod.flights")
    assert (added.name, added.owner) == ("prod.flights", "ana")
    assert added.uri == str(lake)
    assert added.description == "Departures of São Paulo"
    assert added.columns == (
        hr.CatalogColumn("id", "int64"),
        hr.CatalogColumn("delay", "double", "minutes"),
        hr.CatalogColumn("month", "int32"),
    )
    assert added.partition_columns == ("month",)
    assert (added.format, added.version) == ("parquet", None)
    assert (added.rows, added.files) == (6, 2)
    assert added.bytes == sum(file.stat().st_size for file in lake.rglob("*.parquet"))
    assert added.tags == {"first": 0}
    assert "parquet-cpp" in added.last_writer
    assert added.created is not None
    assert added.updated is not None


def check_it_opens_by_name(catalog: hr.Catalog, lake: Path) -> None:
    opened = catalog.open("prod.flights")
    assert opened.to_arrow().equals(hr.open(lake).to_arrow())
    assert catalog.open("prod.flights", where="month = 2").count_rows() == 3
    assert catalog.open("prod.flights", where="month = 3").count_rows() == 0


def check_it_is_found(catalog: hr.Catalog, lake: Path) -> None:
    catalog.add("prod.trips", lake / "month=1", owner="ben")
    names = [entry.name for entry in catalog.ls()]
    assert names == sorted(names)
    assert {"prod.flights", "prod.trips"} <= set(names)

    def found(text: str | None = None, **wanted: str) -> list[str]:
        return [entry.name for entry in catalog.find(text, **wanted)]

    assert found("PAULO minutes") == ["prod.flights"]
    assert found("prod.tr") == ["prod.trips"]
    assert found("paulo trips") == []
    assert found(column="DELAY", owner="ana") == ["prod.flights"]
    assert found(tag="first") == ["prod.flights"]
    assert found(tag="no-such-tag") == []


def check_tags_stay(catalog: hr.Catalog, lake: Path) -> None:
    catalog.tag("prod.flights", "train-2026.11", 3)
    catalog.tag("prod.flights", "train-2026.11", 3)
    with pytest.raises(hr.errors.Conflict, match="stands for version 3, not 4"):
        catalog.tag("prod.flights", "train-2026.11", 4)
    catalog.tag("prod.flights", "train-2026.11", 4, replace=True)
    assert catalog.show("prod.flights").tags == {"first": 0, "train-2026.11": 4}
    catalog.rm("prod.flights@first")
    assert catalog.show("prod.flights").tags == {"train-2026.11": 4}
    with pytest.raises(hr.errors.NotFound, match=r"no tag first; it has train-2026\.11"):
        catalog.rm("prod.flights@first")


def check_a_taken_name_is_a_conflict_until_it_is_replaced(
    catalog: hr.Catalog, lake: Path
) -> None:
    with pytest.raises(hr.errors.Conflict, match=r"prod\.flights already"):
        catalog.add("prod.flights", lake)
    replaced = catalog.add(
        "prod.flights", lake / "month=1", description="January", replace=True
    )
    assert replaced.uri == str(lake / "month=1")
    assert replaced.description == "January"
    assert replaced.partition_columns == ()
    assert [column.name for column in replaced.columns] == ["id", "delay"]
    assert replaced.rows == 3
    assert replaced.tags == {"train-2026.11": 4}


def check_a_write_by_name_is_told(catalog: hr.Catalog, lake: Path) -> None:
    rows = pa.table({"id": [1, 2], "month": [1, 2]})
    place = lake.parent / "numbers"
    hr.write(rows, place, partition_by=["month"])
    words = {"description": "Numbers", "comments": {"id": "which"}, "tags": {"first": 0}}
    before = catalog.add("prod.numbers", place, owner="ana", **words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADRACE_CATALOG", catalog.uri)
        appended = hr.write(rows, "catalog:prod.numbers", mode="append")
        assert (appended.version, appended.to_dict()["catalog_error"]) == (1, None)
        after = catalog.show("prod.numbers")
        assert (after.version, after.rows, after.files) == (1, 4, 4)
        parquet = place.rglob("*.parquet")
        assert after.bytes == sum(file.stat().st_size for file in parquet)
        assert "parquet-cpp" in after.last_writer
        for kept in (
            "uri",
            "owner",
            "description",
            "columns",
            "partition_columns",
            "tags",
        ):
            assert getattr(after, kept) == getattr(before, kept)
        # Other columns come by overwriting alone; the words of those that stay are kept.
        wider = rows.append_column("new", pa.array([0.5, 1.5]))
        hr.write(wider, "catalog:prod.numbers", mode="overwrite", partition_by=["month"])
    after = catalog.show("prod.numbers")
    assert (after.version, after.rows, after.files) == (2, 2, 2)
    assert {column.name: (column.type, column.comment) for column in after.columns} == {
        "id": ("int64", "which"),
        "new": ("double", ""),
        "month": ("int64", ""),
    }
    assert after.description == "Numbers"
    assert catalog.open("prod.numbers", version=1).count_rows() == 4
    assert catalog.open("prod.numbers@first").count_rows() == 2
    catalog.rm("prod.numbers")


def check_what_is_removed_is_gone(catalog: hr.Catalog, lake: Path) -> None:
    catalog.rm("prod.flights")
    with pytest.raises(hr.errors.NotFound, match=r"prod\.flights.*it has.*prod\.trips"):
        catalog.open("prod.flights")
    for missing in (catalog.show, catalog.rm):
        with pytest.raises(hr.errors.NotFound):
            missing("prod.flights")
    with pytest.raises(hr.errors.NotFound):
        catalog.tag("prod.flights", "a", 1)
    assert hr.open(lake).count_rows() == 6
    catalog.rm("prod.trips")


# In this order: each goes on with what those before it left.
CHECKS: list[Check] = [
    check_an_entry_comes_back_as_it_was_added,
    check_it_opens_by_name,
    check_it_is_found,
    check_tags_stay,
    check_a_taken_name_is_a_conflict_until_it_is_replaced,
    check_a_write_by_name_is_told,
    check_what_is_removed_is_gone,
]
