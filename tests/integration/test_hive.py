"""Catalogs against each other, and the Hive Metastore against a real one with a real Spark.

Both take half a minute to start, so one test starts them once, and its checks are subtests.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import catalog_checks
import headrace as hr
import jvm
import pyarrow as pa
import pytest
import servers

HERE = Path(__file__).parent
JARS = Path(sysconfig.get_path("purelib")) / "pyspark/jars"

TABLES = [
    "CREATE DATABASE prod",
    "CREATE DATABASE lab",
    # As Spark registers its own: a data source table with its partitions in the metastore.
    "CREATE TABLE lab.days (id INT COMMENT 'the key', Name STRING, day DATE, hour INT) "
    "USING parquet PARTITIONED BY (day, hour) COMMENT 'Hours of days'",
    "INSERT INTO lab.days SELECT id, concat('n', id), "
    "date_add(DATE'2026-11-01', CAST(id % 4 AS INT)), CAST(id % 3 AS INT) "
    "FROM range(0, 120)",
    # As Hive does.
    "CREATE TABLE lab.texts (x BIGINT, amount DECIMAL(10,2)) "
    "PARTITIONED BY (part STRING) STORED AS PARQUET",
    "INSERT INTO lab.texts SELECT id, id / 4, CASE id % 3 WHEN 0 THEN 'a b' "
    "WHEN 1 THEN '2026' END FROM range(0, 30)",
    "CREATE TABLE lab.whole USING parquet AS SELECT id, id * 2 AS twice, "
    "array(id) AS list FROM range(0, 10)",
    "CREATE TABLE lab.lines USING csv AS SELECT id FROM range(0, 3)",
    "CREATE VIEW lab.few AS SELECT * FROM lab.whole WHERE id < 3",
]


class Spark:
    """SQL in, rows out."""

    def __init__(self, port: int, folder: Path) -> None:
        with (folder / "spark.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "setpriv", "--pdeathsig", "KILL",
                    sys.executable, str(HERE / "spark_sql.py"), str(port), str(folder),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                text=True,
                env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"},
            )  # fmt: skip
        if self._answer() != "ready\n":
            raise RuntimeError((folder / "spark.txt").read_text()[-4000:])

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def __call__(self, sql: str) -> list[dict[str, Any]]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(sql) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self._answer())
        assert "error" not in answer, answer["error"]
        rows: list[dict[str, Any]] = answer["rows"]
        return rows

    def stop(self) -> None:
        """Lets the session end by itself, with its JVM."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@dataclass
class Metastore:
    """A server, a client of it, and a Spark session beside it."""

    uri: str
    catalog: hr.Catalog
    spark: Spark
    folder: Path
    process: subprocess.Popen[bytes]


@contextmanager
def running(folder: Path) -> Iterator[Metastore]:
    assert shutil.which("java"), "java is not installed; to install it: tools/setup.sh"
    (port,) = servers.free_ports(1)
    process = servers.start_process(
        [
            "java",
            *jvm.QUICK,
            "-Xmx512m",
            "-cp",
            f"{JARS}/*",
            HERE / "Hms.java",
            port,
            folder,
        ],
        folder,
    )

    def ready() -> None:
        with socket.create_connection((servers.HOST, port), timeout=5):
            pass

    servers.wait_for(ready, process, folder, within=200)
    try:
        spark = Spark(port, folder)
        try:
            for sql in TABLES:
                spark(sql)
            uri = f"thrift://{servers.HOST}:{port}"
            yield Metastore(uri, hr.catalog(uri), spark, folder, process)
        finally:
            spark.stop()
    finally:
        process.kill()
        process.wait()


def files_of(dataset: hr.Dataset) -> int:
    files: int = dataset.explain().to_dict()["before"]["files"]
    return files


def rows_of(table: pa.Table, key: str = "id") -> list[dict[str, Any]]:
    """As Spark gives them."""
    rows: list[dict[str, Any]] = json.loads(json.dumps(table.to_pylist(), default=str))
    return sorted(rows, key=lambda row: row[key])


def check_tables_of_spark_open_by_name(hive: Metastore) -> None:
    for name, key in (("lab.days", "id"), ("lab.texts", "x"), ("lab.whole", "id")):
        expected = hive.spark(f"SELECT * FROM {name} ORDER BY {key}")
        found = rows_of(hive.catalog.open(name).to_arrow(), key)
        assert found == expected, name
    opened = hr.open
    os.environ["HEADRACE_CATALOG"] = hive.uri
    try:
        assert opened("catalog:lab.whole").count_rows() == 10
    finally:
        del os.environ["HEADRACE_CATALOG"]


def check_entries_say_what_spark_registered(hive: Metastore) -> None:
    days = hive.catalog.show("lab.days")
    assert days.description == "Hours of days"
    assert days.columns == (
        hr.CatalogColumn("id", "int32", "the key"),
        hr.CatalogColumn("Name", "string"),
        hr.CatalogColumn("day", "date32[day]"),
        hr.CatalogColumn("hour", "int32"),
    )
    assert days.partition_columns == ("day", "hour")
    assert days.partition_types == {"day": "date32", "hour": "int32"}
    assert days.last_writer == "Spark 4.3.0"
    assert days.format == "parquet"
    texts = hive.catalog.show("lab.texts")
    assert [column.type for column in texts.columns] == [
        "int64",
        "decimal128(10, 2)",
        "string",
    ]
    whole = hive.catalog.show("lab.whole")
    assert whole.columns[2].type == "list<element: int64>"
    assert hive.catalog.find("hours key")[0] == days
    assert {entry.name for entry in hive.catalog.find(column="twice")} == {
        "lab.few",
        "lab.whole",
    }


def check_types_are_the_metastores_and_not_guessed(hive: Metastore) -> None:
    # "2026" is text there, and would be read as a number from the paths alone.
    texts = hive.catalog.open("lab.texts")
    assert texts.schema.field("part").type == pa.string()
    parts = set(texts.select("part").to_arrow()["part"].to_pylist())
    assert parts == {"a b", "2026", None}


def check_the_metastore_prunes_partitions(hive: Metastore) -> None:
    catalog = hive.catalog
    # Spark puts as many files into each of the 12 partitions.
    each = files_of(catalog.open("lab.days")) // 12
    assert each > 0
    for where, partitions in (
        ("day = date '2026-11-02'", 3),
        ("day >= '2026-11-03'", 6),
        ("day = '2026-11-02' and hour < 2 and id > 5", 2),
        ("hour in (0, 2) and day < '2026-11-02'", 2),
        ("hour = 1 or day = '2026-11-01'", 6),
        ("2 <= hour", 4),
        ("hour != 1", 8),
        ("id = 7", 12),
        ("id = 7 or hour = 1", 12),
    ):
        opened = catalog.open("lab.days", where=where)
        assert files_of(opened) == partitions * each, where
        expected = hive.spark(f"SELECT * FROM lab.days WHERE {where} ORDER BY id")
        assert rows_of(opened.to_arrow()) == expected, where
    # One partition keeps its columns.
    one = catalog.open("lab.days", where="day = '2026-11-02' and hour = 2")
    assert files_of(one) == each
    assert one.schema.names == ["id", "Name", "day", "hour"]
    assert catalog.open("lab.days", where="hour = 17").count_rows() == 0
    texts = files_of(catalog.open("lab.texts"))
    # A null partition is a text to the metastore, and greater than digits.
    assert 0 < files_of(catalog.open("lab.texts", where="part = 'a b'")) < texts


def check_other_partitions_are_not_looked_at(hive: Metastore) -> None:
    folder = Path(hive.catalog.show("lab.days").uri)
    away = hive.folder / "away"
    shutil.move(folder / "day=2026-11-04", away)
    try:
        with pytest.raises(hr.errors.NotFound, match="day=2026-11-04"):
            hive.catalog.open("lab.days")
        opened = hive.catalog.open("lab.days", where="day < '2026-11-04'")
        assert opened.count_rows() == 90
    finally:
        shutil.move(away, folder / "day=2026-11-04")
    # What lies there and was never registered is no part of the table.
    shutil.copytree(folder / "day=2026-11-01", folder / "day=2026-12-24")
    try:
        assert hive.catalog.open("lab.days").count_rows() == 120
    finally:
        shutil.rmtree(folder / "day=2026-12-24")


def check_a_pruned_dataset_is_whole_by_itself(hive: Metastore) -> None:
    import pickle

    one = hive.catalog.open("lab.days", where="day = '2026-11-02' and hour = 2")
    again = pickle.loads(pickle.dumps(one))
    assert again.fingerprint == one.fingerprint
    assert again.to_arrow().equals(one.to_arrow())


def check_spark_reads_what_we_register(hive: Metastore) -> None:
    lake = catalog_checks.make_lake(hive.folder / "ours")
    hive.catalog.add(
        "prod.ours", lake, description="Ours", owner="ana", comments={"delay": "minutes"}
    )
    rows = hive.spark("SELECT * FROM prod.ours WHERE month = 2 ORDER BY id")
    assert rows == rows_of(hive.catalog.open("prod.ours", where="month = 2").to_arrow())
    described = {
        row["col_name"]: (row["data_type"], row["comment"])
        for row in hive.spark("DESCRIBE prod.ours")
    }
    assert described["delay"] == ("double", "minutes")
    assert described["month"][0] == "int"
    # A partition that comes later is found by both.
    shutil.copytree(lake / "month=1", lake / "month=3")
    hive.spark("REFRESH TABLE prod.ours")
    assert hive.spark("SELECT count(*) AS n FROM prod.ours") == [{"n": 9}]
    assert hive.catalog.open("prod.ours").count_rows() == 9
    hive.spark("DROP TABLE prod.ours")
    assert (lake / "month=1").exists()
    with pytest.raises(hr.errors.NotFound):
        hive.catalog.show("prod.ours")


def check_a_tag_changes_nothing_that_spark_knows(hive: Metastore) -> None:
    before = hive.spark("DESCRIBE EXTENDED lab.days")
    hive.catalog.tag("lab.days", "train", 3)
    after = hive.spark("DESCRIBE EXTENDED lab.days")

    def told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row for row in rows if row["col_name"] != "Table Properties"]

    assert told(after) == told(before)
    assert hive.spark("SELECT count(*) AS n FROM lab.days") == [{"n": 120}]
    hive.catalog.rm("lab.days@train")


def check_many_tags_at_once_lose_nothing(hive: Metastore) -> None:
    hive.catalog.tag("lab.whole", "first", 0)
    with ThreadPoolExecutor(8) as pool:
        for done in [
            pool.submit(hive.catalog.tag, "lab.whole", f"tag-{i}", i) for i in range(24)
        ]:
            done.result()
    assert len(hive.catalog.show("lab.whole").tags) == 25


def check_what_is_not_parquet_is_refused_by_name(hive: Metastore) -> None:
    with pytest.raises(hr.errors.Unsupported, match="stored as csv"):
        hive.catalog.open("lab.lines")
    with pytest.raises(hr.errors.Unsupported, match="stored as view"):
        hive.catalog.open("lab.few")
    with pytest.raises(hr.errors.NotFound, match="database nowhere is not there"):
        hive.catalog.show("nowhere.days")
    with pytest.raises(hr.errors.NotFound, match="no database nowhere"):
        hive.catalog.add("nowhere.x", Path(hive.catalog.show("lab.whole").uri))
    with pytest.raises(hr.errors.InvalidArgument, match=r"database\.table"):
        hive.catalog.show("a.b.c")


def check_an_end_of_the_server_is_told(hive: Metastore) -> None:
    (closed,) = servers.free_ports(1)
    # The second of two is asked where the first is not there.
    both = hr.catalog(f"thrift://{servers.HOST}:{closed},{hive.uri}")
    assert both.show("lab.days") == hive.catalog.show("lab.days")
    hive.process.kill()
    hive.process.wait()
    with pytest.raises(hr.errors.Unavailable, match="Hive Metastore"):
        hive.catalog.ls()


HIVE_CHECKS: list[Callable[[Metastore], None]] = [
    check_tables_of_spark_open_by_name,
    check_entries_say_what_spark_registered,
    check_types_are_the_metastores_and_not_guessed,
    check_the_metastore_prunes_partitions,
    check_other_partitions_are_not_looked_at,
    check_a_pruned_dataset_is_whole_by_itself,
    check_spark_reads_what_we_register,
    check_a_tag_changes_nothing_that_spark_knows,
    check_many_tags_at_once_lose_nothing,
    check_what_is_not_parquet_is_refused_by_name,
    check_an_end_of_the_server_is_told,  # the last
]


def test_the_embedded_catalog(tmp_path: Path, subtests: pytest.Subtests) -> None:
    lake = catalog_checks.make_lake(tmp_path / "lake")
    catalog = hr.catalog(tmp_path / "catalog.db")
    for check in catalog_checks.CHECKS:
        with subtests.test(msg=check.__name__):
            check(catalog, lake)


@pytest.mark.timeout(900)
def test_a_hive_metastore(tmp_path: Path, subtests: pytest.Subtests) -> None:
    lake = catalog_checks.make_lake(tmp_path / "lake")
    with running(tmp_path) as hive:
        for conforms in catalog_checks.CHECKS:
            with subtests.test(msg=conforms.__name__):
                conforms(hive.catalog, lake)
        for check in HIVE_CHECKS:
            with subtests.test(msg=check.__name__):
                check(hive)
