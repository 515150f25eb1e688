"""`headrace verify` of Delta tables: the files of a version, and no others."""

import json
from pathlib import Path

import hand_tables
import headrace as hr
import pyarrow as pa
import pytest

ROWS = pa.table({"id": pa.array(range(1000), pa.int64())})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Version 0 of one file, 1 of another, 2 of both; and a file of no version."""
    place = tmp_path / "lake/numbers"
    hr.write(ROWS, place)
    hr.write(ROWS, place, mode="overwrite")
    hr.write(ROWS, place, mode="append")
    (place / "part-of-a-dead-writer.parquet").write_bytes(b"half")
    return place


def report(run, uri: object, code: int = 0, **environment: str) -> dict:
    return json.loads(run("verify", uri, "--json", code=code, **environment).stdout)


def files_of(table: Path, version: int) -> list[str]:
    log = (table / f"_delta_log/{version:020}.json").read_text().splitlines()
    adds = [line["add"]["path"] for line in map(json.loads, log) if "add" in line]
    return [str(table / path) for path in adds]


def test_the_files_of_a_version_are_verified_and_no_others(run, table: Path) -> None:
    found = report(run, table)
    assert (found["files"], found["defects"]) == (2, [])
    assert report(run, f"{table}@0")["files"] == 1
    said = run("verify", f"{table}@7", code=3).stderr
    assert "NotFound" in said and "version 7" in said


def test_a_defect_is_one_of_the_versions_that_have_the_file(run, table: Path) -> None:
    (gone,) = files_of(table, 0)
    (damaged,) = files_of(table, 1)
    Path(gone).unlink()
    content = bytearray(Path(damaged).read_bytes())
    content[len(content) // 3] ^= 0xFF
    Path(damaged).write_bytes(content)
    (defect,) = report(run, f"{table}@0", code=1)["defects"]
    assert defect["path"] == gone
    for address in (table, f"{table}@1"):
        (defect,) = report(run, address, code=1)["defects"]
        assert (defect["path"], defect["column"]) == (damaged, "id")


def test_a_damaged_log_cannot_be_verified_by(run, table: Path) -> None:
    (table / "_delta_log/00000000000000000001.json").unlink()
    assert "Corrupt: " in run("verify", table, code=5).stderr


def test_deletion_vectors_are_read(run, tmp_path: Path) -> None:
    table = tmp_path / "table"
    hand_tables.dv_relative(table)
    assert report(run, table)["defects"] == []
    (vector,) = table.glob("deletion_vector_*.bin")
    vector.unlink()
    defects = report(run, table, code=1)["defects"]
    assert [defect["path"] for defect in defects] == [
        str(table / path) for path in ("a.parquet", "sub/b.parquet")
    ]
    assert all(vector.name in defect["message"] for defect in defects)


def test_a_name_is_verified_where_its_table_lies(
    run, table: Path, tmp_path: Path
) -> None:
    catalog = hr.catalog(tmp_path / "catalog.db")
    catalog.add("prod.numbers", table, tags={"first": 0})
    home = {"HEADRACE_CATALOG": catalog.uri}
    assert report(run, "catalog:prod.numbers", **home)["files"] == 2
    assert report(run, "catalog:prod.numbers@first", **home)["files"] == 1
    assert report(run, "catalog:prod.numbers@1", **home)["files"] == 1


def test_a_version_of_plain_parquet_is_refused(run, tmp_path: Path) -> None:
    hr.write(ROWS, tmp_path / "plain", format="parquet")
    assert report(run, tmp_path / "plain")["files"] == 1
    said = run("verify", f"{tmp_path / 'plain'}@3", code=2).stderr
    assert "no versions" in said
