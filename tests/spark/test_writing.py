"""DataFrames to tables and back, through classic Spark."""

import datetime
import decimal
import time
from pathlib import Path

import headrace as hr
import numpy as np
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import functions as F


def files_below(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    )


@pytest.fixture
def numbers(spark):
    """1,000 rows in 4 partitions: scalars of many types, with nulls."""
    null = F.col("id") % 3 == 0
    return spark.range(0, 1000, 1, 4).select(
        "id",
        F.when(~null, F.col("id").cast("int")).alias("i"),
        F.when(~null, F.col("id") % 100).cast("byte").alias("b"),
        F.when(~null, F.col("id") * 1.5).alias("x"),
        F.when(~null, F.col("id").cast("float") / 4).alias("f"),
        F.when(~null, F.col("id").cast("string")).alias("s"),
        F.when(~null, F.col("id").cast("string").cast("binary")).alias("bytes"),
        F.when(~null, F.col("id") % 2 == 0).alias("flag"),
        F.when(~null, F.timestamp_millis(F.col("id") * 3_600_000)).alias("ts"),
        F.when(~null, F.expr("timestamp_ntz'2024-01-01 00:00:00'")).alias("ntz"),
        F.when(~null, F.expr("date_add(date'2024-01-01', cast(id as int))")).alias("day"),
        F.when(~null, F.col("id").cast("decimal(20,3)")).alias("money"),
        F.when(~null, F.array(F.col("id"), F.lit(None), F.col("id") + 1)).alias("list"),
        F.when(~null, F.struct(F.col("id").alias("a"), F.lit("b").alias("b"))).alias(
            "pair"
        ),
        F.when(~null, F.create_map(F.lit("k"), F.col("id"))).alias("map"),
    )


def test_a_frame_comes_back_as_it_was(numbers, spark, tmp_path):
    summary = hr.spark.write(numbers, str(tmp_path / "t"))
    assert (summary.rows, summary.files, summary.version) == (1000, 4, 0)
    back = hr.spark.read(spark, str(tmp_path / "t"))
    assert back.dtypes == numbers.dtypes
    assert back.collect() == numbers.collect()  # and in its order


def test_what_is_written_is_read_without_spark(numbers, tmp_path):
    hr.spark.write(numbers, str(tmp_path / "t"))
    table = hr.open(tmp_path / "t").to_arrow()
    assert table["id"].to_pylist() == list(range(1000))
    assert table["ts"][1].as_py() == datetime.datetime(1970, 1, 1, 1, tzinfo=datetime.UTC)
    assert table["ntz"][1].as_py() == datetime.datetime(2024, 1, 1)
    assert table["money"][1].as_py() == decimal.Decimal("1.000")
    assert table["s"].null_count == 334
    with hr.open(tmp_path / "t").select("id").loader(batch_size=100) as loader:
        assert sorted(np.concatenate([b["id"] for b in loader])) == list(range(1000))


def test_modes(spark, tmp_path):
    uri = str(tmp_path / "t")
    some = spark.range(10)
    hr.spark.write(some, uri)
    with pytest.raises(hr.errors.Conflict, match="is a table already"):
        hr.spark.write(some, uri)
    assert hr.spark.write(some, uri, mode="append").version == 1
    assert hr.open(uri).count_rows() == 20
    files = len(
        [name for name in files_below(tmp_path / "t") if name.endswith(".parquet")]
    )
    replaced = hr.spark.write(spark.range(3), uri, mode="overwrite").to_dict()
    assert replaced["files_replaced"] == files
    assert hr.open(uri).count_rows() == 3
    assert hr.spark.read(spark, uri, version=1).count() == 20


def test_partitions_and_order(spark, tmp_path):
    frame = spark.range(0, 100, 1, 3).select(
        "id", (F.col("id") % 3).cast("int").alias("part"), (-F.col("id")).alias("key")
    )
    hr.spark.write(frame, str(tmp_path / "p"), partition_by=["part"], sort_by=["key"])
    assert {path.split("/")[0] for path in files_below(tmp_path / "p")} == {
        "_delta_log",
        "part=0",
        "part=1",
        "part=2",
    }
    for part in range(3):
        keys = (
            hr.open(tmp_path / "p").where(f"part = {part}").to_arrow()["key"].to_pylist()
        )
        assert keys == sorted(-i for i in range(100) if i % 3 == part)
    hr.spark.write(frame, str(tmp_path / "s"), sort_by=["key"])
    assert hr.open(tmp_path / "s").to_arrow()["key"].to_pylist() == list(range(-99, 1))
    with pytest.raises(PySparkException, match="none"):
        hr.spark.write(frame, str(tmp_path / "n"), sort_by=["none"])


def test_empty_frames_have_columns(spark, tmp_path):
    hr.spark.write(spark.range(0), str(tmp_path / "a"))
    hr.spark.write(
        spark.createDataFrame([], "a int, b array<float>"), str(tmp_path / "b")
    )
    hr.spark.write(spark.range(5).repartition(7), str(tmp_path / "c"))
    assert hr.open(tmp_path / "a").count_rows() == 0
    assert hr.open(tmp_path / "b").schema.names == ["a", "b"]
    assert hr.spark.read(spark, str(tmp_path / "b")).collect() == []
    assert hr.open(tmp_path / "c").count_rows() == 5


def fails_late(spark, folder: Path):
    """Two tasks: the second one fails once the first one's file is there."""

    def data_files():
        return [name for name in files_below(folder) if not name.startswith("_delta_log")]

    known = len(data_files())

    def rows(batches):
        for batch in batches:
            if batch.column(0)[0].as_py():
                while len(data_files()) == known or any(
                    not name.endswith(".parquet") for name in data_files()
                ):
                    time.sleep(0.01)
                raise ValueError("the cause")
            yield batch

    return spark.range(0, 2, 1, 2).mapInArrow(rows, "id long")


def test_a_failed_job_leaves_no_file(spark, tmp_path):
    uri = tmp_path / "t"
    hr.spark.write(spark.range(10), str(uri))
    before = files_below(uri)
    with pytest.raises(PySparkException, match="the cause"):
        hr.spark.write(fails_late(spark, uri), str(uri), mode="append")
    assert files_below(uri) == before
    assert hr.open(uri).count_rows() == 10


def test_what_a_task_finds_wrong_is_raised_as_ours(spark, tmp_path):
    schema = hr.Schema([hr.Field("v", "float32", (3,))])
    frame = spark.createDataFrame([([1.0, 2.0],)], "v array<float>")
    with pytest.raises(hr.errors.HeadraceError, match="v") as raised:
        hr.spark.write(frame, str(tmp_path / "t"), schema=schema)
    assert "Traceback" not in str(raised.value)
    assert files_below(tmp_path) == []


def test_tensors_and_images_go_both_ways(spark, tmp_path):
    schema = hr.Schema(
        [
            hr.Field("i", "int64", nullable=False),
            hr.Field("matrix", "float32", (2, 3)),
            hr.Field("ragged", "int16", (None,)),
            hr.Field("rows", "float64", (None, 2)),
            hr.Field("image", "uint8", (None, None, 3), codec="png"),
            hr.Field("name", "string"),
        ]
    )
    as_row = hr.spark.rows(schema)
    values = [
        {
            "i": i,
            "matrix": None if i % 4 == 1 else np.full((2, 3), i, "float32"),
            "ragged": np.arange(i % 4, dtype="int16"),
            "rows": np.full((i % 3, 2), i, "float64"),
            "image": np.full((2, i + 1, 3), i, "uint8"),
            "name": f"row {i}",
        }
        for i in range(10)
    ]
    frame = spark.createDataFrame([as_row(one) for one in values], as_row.spark_schema)
    hr.spark.write(frame, str(tmp_path / "t"), schema=schema)
    with (
        hr.open(tmp_path / "t")
        .nulls({"matrix": hr.fill(-1)})
        .ragged({"ragged": hr.pad(0)})
        .select("i", "matrix", "ragged")
        .loader(batch_size=10, shuffle=False) as loader
    ):
        batch = next(iter(loader))
    assert batch["matrix"].shape == (10, 2, 3)
    assert batch["matrix"][2, 0, 0] == 2
    back = hr.spark.read(spark, str(tmp_path / "t")).collect()
    assert [row["ragged"] for row in back[:5]] == [[], [0], [0, 1], [0, 1, 2], []]
    assert back[1]["matrix"] is None
    assert back[3]["matrix"] == [[3.0] * 3] * 2
    assert back[5]["rows"] == [[5.0, 5.0]] * 2
    assert back[9]["image"] == [[[9, 9, 9]] * 10] * 2


def test_rows_are_checked(spark):
    as_row = hr.spark.rows(
        hr.Schema([hr.Field("i", "int8", nullable=False), hr.Field("v", "float32", (2,))])
    )
    assert as_row({"i": np.int64(7)}).i == 7
    assert as_row({"i": 7}).v is None
    ok = np.zeros(2, "float32")
    for wrong, match in [
        ({}, '"i" has no value'),
        ({"i": 300}, "int8"),
        ({"i": True}, "int8"),
        ({"i": "1"}, "int8"),
        ({"i": 1, "w": 2}, r"\['w'\]"),
        ({"i": 1, "v": np.zeros(3, "float32")}, "v"),
        ({"i": 1, "v": np.zeros(2, "float64")}, "float64"),
    ]:
        with pytest.raises(hr.errors.InvalidArgument, match=match):
            as_row(wrong)
    assert as_row({"i": 1, "v": ok}).v == ok.tobytes()


def test_queries_of_one_frame_do_not_disturb_each_other(spark, tmp_path):
    """Spark 4.3 shares what a Python source answers among all queries of a frame."""
    hr.spark.write(spark.range(0, 1000, 1, 4), str(tmp_path / "t"))
    spark.conf.set("spark.sql.python.filterPushdown.enabled", "true")
    try:
        frame = hr.spark.read(spark, str(tmp_path / "t"))
        assert frame.filter("id >= 990").count() == 10
        assert frame.count() == 1000
        both = frame.filter("id >= 990").union(frame.filter("id >= 100"))
        assert both.count() == 910
    finally:
        spark.conf.unset("spark.sql.python.filterPushdown.enabled")


def test_options_of_the_source(spark, tmp_path):
    uri = str(tmp_path / "t")
    frame = spark.range(0, 100, 1, 2).select("id", (F.col("id") * 2).alias("twice"))
    frame.write.format("headrace").mode("append").save(uri)
    frame.write.format("headrace").mode("append").option("sort_by", "twice").save(uri)
    assert hr.open(uri).version == 1
    read = spark.read.format("headrace").option("version", "0")
    assert read.load(uri).count() == 100
    assert read.option("columns", "twice").load(uri).columns == ["twice"]
    assert (
        read.option("where", "twice >= 190").option("partitions", "1").load(uri).count()
        == 5
    )
    frame.write.format("headrace").mode("overwrite").save(uri)
    assert hr.open(uri).count_rows() == 100
    with pytest.raises(PySparkException, match='no option "colums"'):
        spark.read.format("headrace").option("colums", "id").load(uri)
    with pytest.raises(PySparkException, match="expected an integer"):
        spark.read.format("headrace").option("version", "new").load(uri)
    with pytest.raises(PySparkException, match="NotFound"):
        spark.read.format("headrace").load(str(tmp_path / "nothing"))


def test_an_aborted_save_leaves_no_file(spark, tmp_path):
    (tmp_path / "t").mkdir()
    with pytest.raises(PySparkException, match="the cause"):
        fails_late(spark, tmp_path / "t").write.format("headrace").mode("append").save(
            str(tmp_path / "t")
        )
    assert files_below(tmp_path / "t") == []


def test_reading_is_split_by_row_groups(spark, tmp_path):
    rows = {"x": np.arange(200_000), "y": np.random.default_rng(0).random(200_000)}
    hr.write(rows, tmp_path / "t", row_group_bytes=1 << 18)
    frame = hr.spark.read(spark, str(tmp_path / "t"))
    parts = frame.rdd.getNumPartitions()
    assert parts > 4
    assert (
        hr.spark.read(spark, str(tmp_path / "t"), partitions=3).rdd.getNumPartitions()
        == 3
    )
    assert frame.agg(F.sum("x")).first()[0] == sum(range(200_000))
    few = hr.spark.read(spark, str(tmp_path / "t"), where="x >= 199990")
    assert few.rdd.getNumPartitions() == 1
    assert [row.x for row in few.collect()] == list(range(199_990, 200_000))


def test_a_stored_column_row_id_is_only_a_column(spark, tmp_path):
    hr.write({"row_id": [5, 5, 7], "x": [1, 2, 3]}, tmp_path / "t")
    found = hr.spark.read(spark, str(tmp_path / "t")).collect()
    assert [tuple(row) for row in found] == [(5, 1), (5, 2), (7, 3)]


def test_vectors_for_spark_ml(spark, tmp_path):
    hr.write({"v": np.arange(6, dtype="float32").reshape(3, 2)}, tmp_path / "t")
    frame = hr.spark.read(spark, str(tmp_path / "t"), vectors=["v"])
    assert frame.schema["v"].dataType.typeName() == "vectorudt"
    assert [row.v.toArray().tolist() for row in frame.collect()] == [
        [0, 1],
        [2, 3],
        [4, 5],
    ]
