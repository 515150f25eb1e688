"""Iceberg tables, snapshot by snapshot, row for row as pyiceberg reads them."""

import datetime
import decimal
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import headrace as hr
import ice_tables
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from headrace import errors
from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    LongType,
    NestedField,
    StringType,
    StructType,
    UUIDType,
)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return ice_tables.catalog(tmp_path / "lake with space")


def rows(table: pa.Table) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=repr)


def numbers(first: int, count: int = 10) -> pa.Table:
    ids = range(first, first + count)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "x": pa.array([None if i % 4 == 3 else i / 2 for i in ids], pa.float64()),
        }
    )


def simple(catalog: Catalog, name: str = "db.t", files: int = 3) -> Table:
    table = catalog.create_table(name, numbers(0).schema)
    for number in range(files):
        table.append(numbers(10 * number))
    return table


def assert_as_pyiceberg(catalog: Catalog, name: str) -> None:
    table = catalog.load_table(name)
    for snapshot in table.snapshots():
        found = hr.iceberg.open(catalog, name, snapshot_id=snapshot.snapshot_id)
        expected = table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
        assert rows(found.to_arrow()) == rows(expected)
        assert found.schema.names == expected.schema.names
        assert found.count_rows() == expected.num_rows
        assert found.version == snapshot.snapshot_id


def test_every_snapshot(catalog: Catalog) -> None:
    table = simple(catalog)
    table.delete("id < 5")
    table.overwrite(numbers(100))
    assert_as_pyiceberg(catalog, "db.t")
    assert hr.iceberg.open(catalog, "db.t").count_rows() == 10


def test_a_table_without_snapshots_has_no_rows(catalog: Catalog) -> None:
    catalog.create_table("db.t", numbers(0).schema)
    dataset = hr.iceberg.open(catalog, "db.t")
    assert dataset.count_rows() == 0
    assert dataset.schema.names == ["id", "x"]


def test_columns_go_by_their_ids(catalog: Catalog) -> None:
    table = simple(catalog)
    with table.update_schema() as update:
        update.rename_column("x", "y")
    with table.update_schema() as update:
        update.add_column("x", StringType())
        update.add_column("s", StructType(NestedField(10, "a", LongType())))
        update.move_first("y")
    inner = pa.struct({"a": pa.int64()})
    more = {"y": [0.5], "id": [900], "x": ["new"], "s": pa.array([{"a": 7}], inner)}
    table.append(pa.table(more))
    with table.update_schema() as update:
        update.rename_column("s.a", "b")
        update.delete_column("y")
    assert_as_pyiceberg(catalog, "db.t")
    newest = hr.iceberg.open(catalog, "db.t").to_arrow()
    assert newest.schema.names == ["id", "x", "s"]
    assert newest.filter(pc.field("id") == 900)["s"].to_pylist() == [{"b": 7}]


def test_types_and_partitions(catalog: Catalog) -> None:
    at = datetime.datetime(2026, 11, 1, 22)
    count = 50
    table = pa.table(
        {
            "id": pa.array(range(count), pa.int64()),
            "at": pa.array([at + datetime.timedelta(hours=n) for n in range(count)]),
            "utc": pa.array([at] * count, pa.timestamp("us", "UTC")),
            "day": pa.array(
                [(at + datetime.timedelta(hours=n)).date() for n in range(count)]
            ),
            "kind": pa.array(["a b", "c/d", None, "é", ""] * 10),
            "price": pa.array([decimal.Decimal("1.25")] * count, pa.decimal128(9, 2)),
            "blob": pa.array([b"\x00\xff"] * count),
            "tags": pa.array([["x"], [], None, ["y", None], ["z"]] * 10),
            "m": pa.array([[("k", 1)], None] * 25, pa.map_(pa.string(), pa.int64())),
            "ok": pa.array([True, None] * 25),
        }
    )
    made = catalog.create_table("db.t", table.schema)
    with made.update_spec() as spec:
        spec.add_field("day", IdentityTransform(), "day")
        spec.add_field("kind", IdentityTransform(), "kind")
    made.append(table)
    assert_as_pyiceberg(catalog, "db.t")
    dataset = hr.iceberg.open(catalog, "db.t")
    found = dataset.where("day >= date '2026-11-03' and kind = 'é'")
    expected = made.scan("day >= '2026-11-03' and kind = 'é'").to_arrow()
    assert rows(found.to_arrow()) == rows(expected) != []
    plan = found.explain().to_dict()
    assert plan["after"]["files"] < plan["before"]["files"]
    assert dataset.between("2026-11-03", "2026-11-04", column="at").count_rows() == 24


def test_position_deletes(catalog: Catalog) -> None:
    table = simple(catalog)
    a, b, c = ice_tables.data_files(table)
    ice_tables.commit_deletes(table, [(a, 0), (a, 9), (b, 4)])
    ice_tables.commit_deletes(table, [(a, 1), (a, 9), (c, 5)])
    table.append(numbers(50))  # newer than the deletes
    ice_tables.commit_deletes(table, [(c, p) for p in range(10)])
    assert_as_pyiceberg(catalog, "db.t")
    dataset = hr.iceberg.open(catalog, "db.t")
    want = sorted(table.scan().to_arrow()["id"].to_pylist())
    assert dataset.count_rows() == len(want) == 26
    with dataset.select("id").loader(batch_size=4, to="numpy") as loader:
        assert sorted(int(i) for batch in loader for i in batch["id"]) == want
    assert dataset.where("id < 20").count_rows() == sum(i < 20 for i in want)


def test_many_position_deletes(catalog: Catalog) -> None:
    table = catalog.create_table("db.t", numbers(0).schema)
    table.append(numbers(0, 200_000))
    (path,) = ice_tables.data_files(table)
    gone = [p for p in range(200_000) if p % 3 == 0 or 70_000 <= p < 140_000]
    ice_tables.commit_deletes(table, [(path, p) for p in gone])
    found = hr.iceberg.open(catalog, "db.t").to_arrow()["id"].to_pylist()
    assert sorted(found) == sorted(set(range(200_000)) - set(gone))


def test_equality_deletes_are_refused_by_name(catalog: Catalog) -> None:
    table = simple(catalog)
    before = table.current_snapshot()
    assert before is not None
    ice_tables.commit_deletes(table, [("", 3)], equality=True)
    with pytest.raises(errors.Unsupported, match="equality deletes"):
        hr.iceberg.open(catalog, "db.t")
    older = hr.iceberg.open(catalog, "db.t", snapshot_id=before.snapshot_id)
    assert older.count_rows() == 30


def test_tags_branches_and_what_is_not_there(catalog: Catalog) -> None:
    table = simple(catalog)
    first = table.snapshots()[0].snapshot_id
    with table.manage_snapshots() as manage:
        manage.create_tag(first, "train-2026-11")
    tagged = hr.iceberg.open(catalog, "db.t", snapshot_id="train-2026-11")
    assert tagged.count_rows() == 10
    assert hr.iceberg.open(catalog, "db.t", snapshot_id=str(first)).count_rows() == 10
    for missing in ("nothing", 5):
        with pytest.raises(errors.NotFound, match="train-2026-11"):
            hr.iceberg.open(catalog, "db.t", snapshot_id=missing)
    for name in ("db.absent", "absent.t"):
        with pytest.raises(errors.NotFound, match=name):
            hr.iceberg.open(catalog, name)


def test_a_snapshot_stays_as_it_was_opened(catalog: Catalog) -> None:
    table = simple(catalog)
    (path, *_) = ice_tables.data_files(table)
    ice_tables.commit_deletes(table, [(path, 0)])
    dataset = hr.iceberg.open(catalog, "db.t")
    before = rows(dataset.to_arrow())
    with dataset.select("id").loader(batch_size=8, to="numpy") as loader:
        next(iter(loader))
        state = loader.state_dict()
    pickled = pickle.dumps(dataset.where("id > 3"))
    table.append(numbers(70))
    assert rows(dataset.to_arrow()) == before
    assert rows(pickle.loads(pickled).to_arrow()) == [r for r in before if r["id"] > 3]
    again = hr.iceberg.open(catalog, "db.t", snapshot_id=dataset.version)
    assert again.fingerprint == dataset.fingerprint
    with again.select("id").loader(batch_size=8, to="numpy") as loader:
        loader.load_state_dict(state)
        assert sum(len(batch["id"]) for batch in loader) == len(before) - 8
    newer = hr.iceberg.open(catalog, "db.t").select("id").loader(batch_size=8)
    with newer, pytest.raises(errors.Conflict):
        newer.load_state_dict(state)


def test_a_file_that_is_gone_is_named(catalog: Catalog) -> None:
    table = simple(catalog)
    (path, *_) = ice_tables.data_files(table)
    dataset = hr.iceberg.open(catalog, "db.t")
    Path(path.removeprefix("file://")).unlink()
    with pytest.raises(errors.NotFound, match=Path(path).name):
        dataset.to_arrow()


def test_types_that_are_not_read_are_named(catalog: Catalog) -> None:
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "key", UUIDType()))
    catalog.create_table("db.t", schema)
    with pytest.raises(errors.Unsupported, match="'key' of type uuid"):
        hr.iceberg.open(catalog, "db.t")


def test_files_of_others_are_read_by_name(catalog: Catalog, tmp_path: Path) -> None:
    """Files that were added as they are have no field ids, and the table a name mapping."""
    table = catalog.create_table("db.t", numbers(0).schema)
    pq.write_table(numbers(0), tmp_path / "plain.parquet")
    table.add_files([(tmp_path / "plain.parquet").as_uri()])
    table.append(numbers(10))
    assert_as_pyiceberg(catalog, "db.t")
    with table.update_schema() as update:
        update.rename_column("x", "y")
    with pytest.raises(errors.Unsupported, match="name mapping"):
        hr.iceberg.open(catalog, "db.t")


def test_by_uri_through_a_configured_catalog(catalog: Catalog) -> None:
    simple(catalog)
    prefix = "PYICEBERG_CATALOG__LAKE__"
    environment = {
        prefix + "TYPE": "sql",
        prefix + "URI": catalog.properties["uri"],
        prefix + "WAREHOUSE": catalog.properties["warehouse"],
    }
    first = catalog.load_table("db.t").snapshots()[0].snapshot_id
    script = f"""
        import headrace as hr
        assert hr.open("iceberg:lake.db.t").count_rows() == 30
        assert hr.open("iceberg:lake.db.t@{first}").count_rows() == 10
        assert hr.iceberg.open("lake", "db.t").count_rows() == 30
        try:
            hr.open("iceberg:lake")
        except hr.errors.InvalidArgument as error:
            assert "iceberg:catalog." in str(error), error
        else:
            raise AssertionError
        try:
            hr.open("iceberg:nowhere.db.t")
        except hr.errors.InvalidArgument as error:
            assert "nowhere" in str(error), error
        else:
            raise AssertionError
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        check=True,
        env=dict(os.environ) | environment,
    )


def test_importing_headrace_does_not_import_pyiceberg() -> None:
    script = "import headrace, sys; assert 'pyiceberg' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"catalog": 5, "table": "db.t"}, "catalog"),
        ({"table": 5}, "table"),
        ({"table": "db.t", "snapshot_id": 1.5}, "snapshot_id"),
        ({"table": "db.t", "snapshot_id": True}, "snapshot_id"),
        ({"table": "db.t", "storage_options": {"a": 1}}, "storage_options"),
    ],
)
def test_arguments_are_checked(
    catalog: Catalog, arguments: dict[str, Any], what: str
) -> None:
    with pytest.raises(errors.InvalidArgument, match=what):
        hr.iceberg.open(**{"catalog": catalog} | arguments)
