"""Opening tables where they lie, and what is told of them."""

import datetime
from pathlib import Path
from typing import Any

import headrace as hr
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)
    return path


def ids(source: Any, **options: Any) -> list[int]:
    return hr.open(source, **options).to_arrow()["id"].to_pylist()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files whose bytewise order is not that of their making."""
    for name, first in (("b.parquet", 10), ("a.parquet", 0), ("c/a.parquet", 20)):
        write(tmp_path / "lake" / name, {"id": range(first, first + 3)})
    return tmp_path / "lake"


def test_a_file_a_directory_a_glob_and_a_list(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = [0, 1, 2], [10, 11, 12], [20, 21, 22]
    assert ids(folder / "b.parquet") == b
    assert ids(str(folder)) == ids(f"{folder}/") == ids(folder.as_uri()) == a + b + c
    assert ids(f"{folder}/*.parquet") == a + b
    assert ids(f"{folder}/**/a.parquet") == a + c
    assert ids(f"{folder}/[bc]*") == b
    assert ids([folder / "b.parquet", str(folder / "a.parquet")]) == b + a
    assert ids(f"{folder}/?.parquet") == a + b
    monkeypatch.chdir(folder.parent)
    assert ids("lake") == ids(Path("lake")) == a + b + c


def test_names_that_begin_with_a_dot_or_an_underscore_are_left_out(folder: Path) -> None:
    for name in ("_SUCCESS", ".crc", "_temporary/0.parquet", ".hidden/x.parquet"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"not Parquet")
    assert len(ids(folder)) == 9


def test_hive_partitions_become_typed_columns(tmp_path: Path) -> None:
    root = tmp_path / "t"
    for year, city, day in (
        (2013, "S%C3%A3o%20Paulo%2FSP", "2013-02-01"),
        (2014, "__HIVE_DEFAULT_PARTITION__", "2014-02-01"),
    ):
        write(root / f"year={year}/city={city}/day={day}/f.parquet", {"id": [year]})
    dataset = hr.open(root)
    assert dataset.schema == pa.schema(
        {"id": pa.int64(), "year": pa.int32(), "city": pa.string(), "day": pa.date32()}
    )
    assert dataset.to_arrow().to_pylist() == [
        {
            "id": 2013,
            "year": 2013,
            "city": "São Paulo/SP",
            "day": datetime.date(2013, 2, 1),
        },
        {"id": 2014, "year": 2014, "city": None, "day": datetime.date(2014, 2, 1)},
    ]
    assert dataset.where("city is null").to_arrow()["id"].to_pylist() == [2014]
    assert dataset.where("day < date '2014-01-01'").count_rows() == 1


def test_types_of_partitions_can_be_given(tmp_path: Path) -> None:
    for month in ("01", "02"):
        write(tmp_path / f"t/month={month}/f.parquet", {"id": [int(month)]})
    inferred = hr.open(tmp_path / "t").schema.field("month").type
    assert inferred == pa.string()  # as a number, the zero would be lost
    given = hr.open(tmp_path / "t", partition_types={"month": "int16"})
    assert given.schema.field("month").type == pa.int16()
    assert given.to_arrow()["month"].to_pylist() == [1, 2]


def test_partition_columns_come_in_batches(tmp_path: Path) -> None:
    for part in (1, 2):
        write(tmp_path / f"t/part={part}/f.parquet", {"id": [part] * 3})
    with hr.open(tmp_path / "t").loader(batch_size=6, seed=3) as loader:
        (batch,) = loader
    assert batch["part"].dtype == "int32"
    assert batch["part"].tolist() == batch["id"].tolist()


def test_columns_that_files_lack_are_null_and_types_are_widened(tmp_path: Path) -> None:
    root = tmp_path / "t"
    write(
        root / "1.parquet",
        {"id": pa.array([1], pa.int16()), "x": pa.array([1], pa.float32())},
    )
    write(root / "2.parquet", {"y": ["a"], "id": pa.array([2], pa.int64())})
    write(
        root / "3.parquet",
        {"id": pa.array([3], pa.int32()), "x": pa.array([2.5], pa.float64())},
    )
    dataset = hr.open(root)
    assert dataset.schema.types == [pa.int64(), pa.float64(), pa.string()]
    assert dataset.to_arrow().to_pylist() == [
        {"id": 1, "x": 1.0, "y": None},
        {"id": 2, "x": None, "y": "a"},
        {"id": 3, "x": 2.5, "y": None},
    ]
    with dataset.nulls({"x": "mask", "y": hr.fill("none")}).loader(
        shuffle=False
    ) as loader:
        (batch,) = loader
    assert batch["x_mask"].tolist() == [True, False, True]
    assert batch["y"].tolist() == ["none", "a", "none"]


def test_types_that_do_not_go_together_are_a_mismatch(tmp_path: Path) -> None:
    write(tmp_path / "t/1.parquet", {"id": [1], "x": [1.5]})
    second = write(tmp_path / "t/2.parquet", {"id": [2], "x": ["a"]})
    with pytest.raises(hr.errors.SchemaMismatch, match=r'"x".*string.*double') as caught:
        hr.open(tmp_path / "t")
    assert str(second) in str(caught.value)


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    write(tmp_path / "one/a.parquet", {"id": [1]})
    write(tmp_path / "two/a.parquet", {"id": [1]})
    write(tmp_path / "three/a.parquet", {"id": [2]})
    write(tmp_path / "four/b.parquet", {"id": [1]})
    one, two, three, four = (
        hr.open(tmp_path / name).fingerprint for name in ("one", "two", "three", "four")
    )
    assert one == two
    assert len({one, three, four}) == 3


def test_a_dataset_prints_its_table_and_choice(folder: Path) -> None:
    dataset = hr.open(folder)
    assert repr(dataset) == (
        f"Dataset({folder}: 9 rows, 3 files, 3 row groups\n  columns:\n    id: int64)"
    )
    chosen = dataset.where("id > 5").cast({"id": "float32"}).nulls({"id": hr.fill(0)})
    assert "where: id > 5" in repr(chosen)
    assert "id: int64 -> float" in repr(chosen)
    assert repr(dataset).count("where") == 0


def test_frames_and_arrow_consumers_get_the_choice(folder: Path) -> None:
    dataset = hr.open(folder).where("id >= 11").cast({"id": "int32"})
    expected = pa.table({"id": pa.array([11, 12, 20, 21, 22], pa.int32())})
    assert dataset.to_arrow().equals(expected)
    assert pa.table(dataset).equals(expected)
    pd.testing.assert_frame_equal(dataset.to_pandas(), expected.to_pandas())
    assert dataset.to_polars().equals(pl.from_arrow(expected))
    assert pl.DataFrame(dataset).equals(pl.from_arrow(expected))
    wide = pa.schema({"id": pa.int64()})
    reader = pa.RecordBatchReader.from_stream(dataset, schema=wide)
    assert reader.read_all().schema == wide


def plan(dataset: hr.Dataset) -> dict[str, Any]:
    return dataset.explain().to_dict()


def test_partitions_prune_whole_files(tmp_path: Path) -> None:
    for part in range(4):
        write(
            tmp_path / f"t/part={part}/f.parquet", {"id": range(100)}, row_group_size=50
        )
    found = plan(hr.open(tmp_path / "t").where("part in (1, 2)"))
    assert (found["before"]["files"], found["before"]["row_groups"]) == (4, 8)
    assert (found["after"]["files"], found["after"]["rows"]) == (2, 200)
    assert found["rows_proven"] == 200


def test_statistics_prune_row_groups_and_prove_others(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet", {"id": range(1000), "x": [1.5] * 1000}, row_group_size=100
    )
    found = plan(hr.open(path).select("x").where("id >= 250 and id < 500"))
    assert found["before"]["row_groups"] == 10
    assert found["after"]["row_groups"] == 3
    assert found["after"]["rows"] == 300
    assert found["rows_proven"] == 200
    assert 0 < found["after"]["bytes"] < found["before"]["bytes"]
    assert plan(hr.open(path).where(pc.field("x") > 2))["after"]["rows"] == 0


def test_bloom_filters_prune_row_groups(tmp_path: Path) -> None:
    names = [f"name {i * 7919 % 1000}" for i in range(1000)]
    options = {"bloom_filter_options": {"name": True}}
    path = write(tmp_path / "a.parquet", {"name": names}, row_group_size=100, **options)
    present = plan(hr.open(path).where("name = 'name 7919'"))["after"]["row_groups"]
    assert present <= 1  # of ten: the names interleave, so that min and max prune none
    found = hr.open(path).where(f"name = '{names[555]}'")
    assert plan(found)["after"]["row_groups"] <= 2
    assert found.count_rows() == 1


def test_explain_reads_no_page_and_prints(folder: Path) -> None:
    text = str(hr.open(folder).where("id > 15").explain())
    assert "3 files" in text
    assert "1 files" in text
    for path in folder.rglob("*.parquet"):
        content = bytearray(path.read_bytes())
        content[4:20] = bytes(16)  # pages, not the footer
        path.write_bytes(content)
    assert plan(hr.open(folder))["before"]["rows"] == 9
