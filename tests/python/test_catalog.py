"""Catalogs: tables by name, in a file that many processes write to."""

import datetime
import json
import os
import pickle
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import headrace as hr
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SECRET = "hunter2-of-the-tests"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Two partitions of three rows."""
    root = tmp_path / "flights"
    for month in (1, 2):
        folder = root / f"month={month}"
        folder.mkdir(parents=True)
        table = pa.table({"id": pa.array([1, 2, 3]), "delay": [0.5, None, 2.0]})
        pq.write_table(table, folder / "a.parquet")
    return root


@pytest.fixture
def catalog(tmp_path: Path) -> hr.Catalog:
    return hr.catalog(tmp_path / "home/catalog.db")


@pytest.fixture
def flights(catalog: hr.Catalog, lake: Path) -> hr.CatalogEntry:
    return catalog.add(
        "prod.flights",
        lake,
        description="Departures of New York",
        owner="ana",
        comments={"delay": "minutes"},
        tags={"first": 0},
        partition_types={"month": "int8"},
    )


def test_an_entry_says_what_the_table_is(
    catalog: hr.Catalog, flights: hr.CatalogEntry, lake: Path
) -> None:
    assert flights == catalog.show("prod.flights")
    assert flights.uri == str(lake)
    assert (flights.rows, flights.files) == (6, 2)
    assert flights.bytes == sum(f.stat().st_size for f in lake.rglob("*.parquet"))
    assert flights.columns == (
        hr.CatalogColumn("id", "int64"),
        hr.CatalogColumn("delay", "double", "minutes"),
        hr.CatalogColumn("month", "int8"),
    )
    assert flights.partition_columns == ("month",)
    assert flights.tags == {"first": 0}
    assert flights.created is not None
    age = datetime.datetime.now(datetime.UTC) - flights.created
    assert abs(age) < datetime.timedelta(hours=1)
    assert "parquet-cpp" in flights.last_writer


def test_entries_are_values_that_print(flights: hr.CatalogEntry, lake: Path) -> None:
    assert repr(flights) == f"CatalogEntry('prod.flights', {str(lake)!r}, 6 rows)"
    assert "  delay  double  minutes\n" in str(flights)
    assert str(flights).startswith("prod.flights\n  description     Departures")
    assert pickle.loads(pickle.dumps(flights)) == flights
    with pytest.raises(AttributeError):
        flights.rows = 7  # type: ignore[misc]


def test_the_owner_is_who_adds(
    catalog: hr.Catalog, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "carla")
    assert catalog.add("flights", lake).owner == "carla"


def test_opens_by_name(catalog: hr.Catalog, flights: hr.CatalogEntry, lake: Path) -> None:
    opened = catalog.open("prod.flights")
    assert opened.schema.field("month").type == pa.int8()
    assert opened.count_rows() == 6
    assert catalog.open("prod.flights", where="month = 2").count_rows() == 3
    wider = catalog.open("prod.flights", partition_types={"month": "int64"})
    assert wider.schema.field("month").type == pa.int64()


def test_a_name_is_a_uri(
    catalog: hr.Catalog,
    flights: hr.CatalogEntry,
    lake: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEADRACE_CATALOG", catalog.uri)
    opened = hr.open("catalog:prod.flights")
    assert opened.to_arrow().equals(catalog.open("prod.flights").to_arrow())
    # What was opened is whole without the catalog.
    Path(catalog.uri).unlink()
    again = pickle.loads(pickle.dumps(opened))
    assert again.to_arrow().equals(opened.to_arrow())
    with opened.select("id").loader(batch_size=3) as loader:
        assert sum(len(batch["id"]) for batch in loader) == 6


def test_a_version_leads_to_that_version_or_an_error(
    catalog: hr.Catalog, flights: hr.CatalogEntry
) -> None:
    with pytest.raises(hr.errors.NotFound, match="it has first"):
        catalog.open("prod.flights@frist")
    # Plain Parquet has no versions, whatever a tag says.
    with pytest.raises(hr.HeadraceError, match="version 0"):
        catalog.open("prod.flights@first")


def test_the_default_place_is_in_the_home_folder(
    tmp_path: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADRACE_CATALOG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hr.catalog().uri == str(tmp_path / ".local/share/headrace/catalog.db")
    assert hr.catalog().ls() == []
    assert not (tmp_path / ".local").exists()
    hr.catalog().add("flights", lake)
    assert hr.open("catalog:flights").count_rows() == 6
    mode = (tmp_path / ".local/share/headrace/catalog.db").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_finds_by_text_column_tag_and_owner(
    catalog: hr.Catalog, flights: hr.CatalogEntry, lake: Path
) -> None:
    other = catalog.add("test.trips", lake / "month=1", owner="ben")
    assert catalog.ls() == [flights, other]
    assert catalog.find("MINUTES york") == [flights]
    assert catalog.find("trip") == [other]
    assert catalog.find(column="ID") == [flights, other]
    assert catalog.find(column="month") == [flights]
    assert catalog.find(tag="first") == [flights]
    assert catalog.find("i", owner="ben") == [other]
    assert catalog.find("nothing") == []


def test_tags_stay_where_they_are(
    catalog: hr.Catalog, flights: hr.CatalogEntry, lake: Path
) -> None:
    catalog.tag("prod.flights", "train", 3)
    with pytest.raises(hr.errors.Conflict, match="stands for version 3, not 4"):
        catalog.tag("prod.flights", "train", 4)
    catalog.tag("prod.flights", "train", 4, replace=True)
    replaced = catalog.add("prod.flights", lake / "month=1", owner="ben", replace=True)
    assert replaced.tags == {"first": 0, "train": 4}
    assert replaced.created == flights.created
    catalog.rm("prod.flights@first")
    assert catalog.show("prod.flights").tags == {"train": 4}


def test_what_is_removed_is_gone_and_its_files_stay(
    catalog: hr.Catalog, flights: hr.CatalogEntry, lake: Path
) -> None:
    catalog.rm("prod.flights")
    assert catalog.ls() == []
    with pytest.raises(hr.errors.NotFound, match=r"no table prod\.flights"):
        catalog.open("prod.flights")
    assert hr.open(lake).count_rows() == 6


def test_a_taken_name_is_a_conflict(
    catalog: hr.Catalog, flights: hr.CatalogEntry, lake: Path
) -> None:
    with pytest.raises(hr.errors.Conflict, match=r"prod\.flights already"):
        catalog.add("prod.flights", lake)
    with pytest.raises(hr.errors.NotFound, match='column "dealy"'):
        catalog.add("other", lake, comments={"dealy": "minutes"})
    assert catalog.ls() == [flights]


def test_credentials_are_not_kept(catalog: hr.Catalog, lake: Path) -> None:
    s3 = "s3://KEY:" + SECRET + "@bucket/flights"
    for uri in (s3, "catalog:other"):
        with pytest.raises(hr.HeadraceError) as refused:
            catalog.add("x", uri)
        assert SECRET not in str(refused.value)
    entry = catalog.add("flights", lake)
    assert entry.storage_options == {}
    assert SECRET.encode() not in Path(catalog.uri).read_bytes()


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.add("a b", "x"),
        lambda c: c.add(3, "x"),
        lambda c: c.show("-"),
        lambda c: c.tag("a", "12", 12),
        lambda c: c.tag("a", "b", -1),
        lambda c: c.tag("a", "b", True),
        lambda c: c.rm("a@1"),
        lambda c: c.find(""),
        lambda c: c.find("  "),
        lambda c: c.find(3),
        lambda c: c.open("a@b@c"),
        lambda c: hr.catalog(""),
        lambda c: hr.catalog("ftp://host/catalog"),
        lambda c: hr.open(["catalog:a", "catalog:b"]),
    ],
)
def test_wrong_arguments_are_refused(
    catalog: hr.Catalog, lake: Path, call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lake.parent)
    pq.write_table(pa.table({"a": [1]}), "x")
    catalog.add("a", lake)
    with pytest.raises(hr.errors.InvalidArgument):
        call(catalog)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a catalog, nor a database of any kind\n" * 100)
    with pytest.raises(hr.errors.Corrupt, match=r"notes\.txt"):
        hr.catalog(text)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()
    with pytest.raises(hr.errors.Corrupt, match="something else"):
        hr.catalog(tmp_path / "other.db")


ADD_MANY = """
import sys
import headrace as hr

catalog, lake, process = hr.catalog(sys.argv[1]), sys.argv[2], sys.argv[3]
for i in range(10):
    catalog.add(f"p{process}.t{i}", lake)
    catalog.tag("prod.flights", f"p{process}-{i}", i)
"""


def test_many_processes_at_once_lose_nothing(
    catalog: hr.Catalog, flights: hr.CatalogEntry, lake: Path
) -> None:
    command = [sys.executable, "-c", ADD_MANY, catalog.uri, str(lake)]
    children = [subprocess.Popen([*command, str(process)]) for process in range(8)]
    assert [child.wait(120) for child in children] == [0] * 8
    assert len(catalog.ls()) == 81
    assert len(catalog.show("prod.flights").tags) == 81


def test_a_reader_is_not_disturbed_by_a_fork(
    catalog: hr.Catalog, flights: hr.CatalogEntry
) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            catalog.tag("prod.flights", "child", 1)
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert json.dumps(dict(catalog.show("prod.flights").tags)) == (
        '{"child": 1, "first": 0}'
    )
