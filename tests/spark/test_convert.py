"""DataFrames to training batches: materialised once, cleaned up."""

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import headrace as hr
import numpy as np
import pytest
from pyspark.errors import PySparkException
from pyspark.ml.linalg import Matrices, SparseVector, Vectors
from pyspark.sql import functions as F

CONF = "headrace.spark.converter.parentCacheDirUrl"


def tables(cache: Path) -> list[str]:
    """The directories of a cache that have files."""
    if not cache.exists():
        return []
    return sorted(
        folder.name
        for folder in cache.iterdir()
        if not folder.name.startswith("_") and any(p.is_file() for p in folder.rglob("*"))
    )


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def lake(spark, tmp_path):
    """A folder of Parquet: what it holds is known by its files."""
    folder = tmp_path / "lake"
    spark.range(0, 100, 1, 2).select("id", (F.col("id") / 2).alias("x")).write.parquet(
        str(folder)
    )
    return folder


def test_a_frame_becomes_batches(spark, lake, cache):
    df = spark.read.parquet(str(lake))
    with hr.spark.convert(df, cache_dir=cache, dtype="float32") as converter:
        assert len(converter) == 100
        assert converter.schema.names == ["id", "x"]
        assert converter.uri.startswith(str(cache))
        with converter.loader(batch_size=30, seed=1) as loader:
            batches = list(loader)
        assert [len(batch["id"]) for batch in batches] == [30, 30, 30, 10]
        assert batches[0]["x"].dtype == np.float32
        ids = np.concatenate([batch["id"] for batch in batches])
        assert sorted(ids) == list(range(100))
        assert converter.dataset().where("id < 10").count_rows() == 10
        assert "100 rows" in repr(converter)
    assert tables(cache) == []
    assert "deleted" in repr(converter)
    with pytest.raises(hr.errors.NotFound, match="deleted"):
        converter.dataset()
    converter.delete()


def test_the_same_frame_is_materialised_once(spark, lake, cache):
    def query():
        return spark.read.parquet(str(lake)).where("id < 50").select("id")

    first = hr.spark.convert(query(), cache_dir=cache)
    again = hr.spark.convert(query(), cache_dir=cache)
    assert again.uri == first.uri
    assert len(again) == 50
    others = [
        hr.spark.convert(query().select(F.col("id").alias("key")), cache_dir=cache),
        hr.spark.convert(query(), cache_dir=cache, compression="snappy"),
        hr.spark.convert(query().where("id < 49"), cache_dir=cache),
    ]
    assert len({one.uri for one in [first, *others]}) == 4
    # Each converter is a user of its own.
    first.delete()
    assert again.dataset().count_rows() == 50
    for one in [again, *others]:
        one.delete()
    assert tables(cache) == []


def test_other_data_are_another_table(spark, lake, cache):
    first = hr.spark.convert(spark.read.parquet(str(lake)), cache_dir=cache)
    spark.range(7).select("id", F.lit(1.0).alias("x")).write.mode("overwrite").parquet(
        str(lake)
    )
    second = hr.spark.convert(spark.read.parquet(str(lake)), cache_dir=cache)
    assert (len(first), len(second)) == (100, 7)
    first.delete()
    second.delete()


def test_a_new_version_of_our_own_table_is_other_data(spark, tmp_path, cache):
    hr.write({"x": [1, 2, 3]}, tmp_path / "t")

    def frame():
        return hr.spark.read(spark, str(tmp_path / "t"))

    first = hr.spark.convert(frame(), cache_dir=cache)
    hr.write({"x": [4]}, tmp_path / "t", mode="append")
    second = hr.spark.convert(frame(), cache_dir=cache)
    assert (len(first), len(second)) == (3, 4)
    first.delete()
    second.delete()


def test_random_rows_are_materialised_anew_and_the_log_says_why(spark, cache, caplog):
    df = spark.range(10).select(F.rand().alias("x"))
    with caplog.at_level(logging.INFO, "headrace.spark"):
        first = hr.spark.convert(df, cache_dir=cache)
        second = hr.spark.convert(df, cache_dir=cache)
    assert first.uri != second.uri
    assert "rand" in caplog.text
    first.delete()
    second.delete()


def test_threads_that_convert_one_frame_at_once_get_one_table(spark, lake, cache):
    df = spark.read.parquet(str(lake))
    made = []
    threads = [
        threading.Thread(
            target=lambda: made.append(hr.spark.convert(df, cache_dir=cache))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.uri for one in made}) == 1
    assert len(tables(cache)) == 1
    for one in made:
        one.delete()
    assert tables(cache) == []


def test_vectors_become_tensors(spark, cache):
    rows = [
        (0, Vectors.dense([1.0, 2.0, 3.0])),
        (1, Vectors.sparse(3, [1], [5.0])),
        (2, None),
        (3, Vectors.sparse(3, [], [])),
    ]
    df = spark.createDataFrame(rows, ["id", "v"])
    with hr.spark.convert(df, cache_dir=cache, dtype="float32") as converter:
        dataset = converter.dataset().nulls({"v": hr.fill(-1)})
        with dataset.loader(batch_size=4, shuffle=False) as loader:
            batch = next(iter(loader))
        order = np.argsort(batch["id"])
        assert batch["v"].dtype == np.float32
        assert batch["v"][order].tolist() == [[1, 2, 3], [0, 5, 0], [-1] * 3, [0] * 3]
    with hr.spark.convert(df, cache_dir=cache, vectors="sparse") as converter:
        dataset = converter.dataset().where("id != 2").ragged({"v": "sparse"})
        with dataset.loader(batch_size=3, shuffle=False) as loader:
            batch = next(iter(loader))
        assert sorted(batch["v_values"]) == [1, 2, 3, 5]
    assert isinstance(rows[1][1], SparseVector)


def test_what_no_table_holds_is_refused_by_name(spark, cache):
    for query, match in [
        ("select null as nothing", 'column "nothing" is void.*: cast it to the type'),
        (
            "select interval 1 day as span",
            'column "span" is interval day.*: cast it to dec',
        ),
        (
            "select struct(interval 1 month as a) as s",
            r'column "s\.a" is interval month.*: cast it to int, which counts',
        ),
        ("select make_interval(1, 2) as i", 'column "i" is interval,.* by extract'),
        ("select time'01:02:03' as t", 'column "t" is time.*: cast it to string'),
        ("select parse_json('1') as v", 'column "v" is variant.* by variant_get'),
    ]:
        with pytest.raises(hr.errors.Unsupported, match=match):
            hr.spark.convert(spark.sql(query), cache_dir=cache)
    with pytest.raises(hr.errors.InvalidArgument, match="several columns named"):
        hr.spark.convert(spark.sql("select 1 as a, 2 as a"), cache_dir=cache)
    assert tables(cache) == []


def test_what_a_refusal_says_to_do_with_intervals_and_matrices_does(spark, cache):
    """Of each the message says what to make of it, and that converts."""
    spans = spark.sql(
        "select interval '-1 00:00:00.5' day to second d, interval '2-3' year to month y"
    )
    matrices = spark.createDataFrame([(Matrices.dense(2, 3, range(6)),)], ["m"])
    for df, match in [
        (spans.select("d"), "interval day to second.* decimal"),
        (spans.select("y"), "interval year to month.* int"),
        (matrices, 'column "m" is matrix.* array<double>'),
    ]:
        with pytest.raises(hr.errors.Unsupported, match=match):
            hr.spark.convert(df, cache_dir=cache)

    numbers = spans.selectExpr("cast(d as decimal(18, 6)) d", "cast(y as int) y")
    with hr.spark.convert(numbers, cache_dir=cache) as converter:
        row = converter.dataset().to_arrow().to_pylist()[0]
    assert row == {"d": Decimal("-86400.5"), "y": 27}
    flat = F.udf(lambda m: m.toArray().ravel().tolist(), "array<double>")
    schema = hr.Schema([hr.Field("m", "float64", (6,))])
    with (
        hr.spark.convert(
            matrices.select(flat("m").alias("m")), cache_dir=cache, schema=schema
        ) as converter,
        converter.loader(batch_size=1) as loader,
    ):
        assert next(iter(loader))["m"].tolist() == [[0, 2, 4, 1, 3, 5]]


def test_a_failed_materialisation_leaves_nothing_and_raises_the_cause(spark, cache):
    df = spark.range(10).select(F.expr("if(id = 7, raise_error('the cause'), id)"))
    with pytest.raises(PySparkException, match="the cause"):
        hr.spark.convert(df, cache_dir=cache)
    assert tables(cache) == []


def test_where_the_cache_directory_comes_from(spark, lake, tmp_path, monkeypatch):
    df = spark.read.parquet(str(lake))
    with pytest.raises(hr.errors.InvalidArgument, match=CONF):
        hr.spark.convert(df)
    monkeypatch.setenv("HEADRACE_SPARK_CACHE_DIR", str(tmp_path / "a"))
    with hr.spark.convert(df) as converter:
        assert converter.uri.startswith(str(tmp_path / "a"))
    for conf, folder in [
        ("petastorm.spark.converter.parentCacheDirUrl", f"file://{tmp_path}/b"),
        (CONF, f"file://{tmp_path}/c"),
    ]:
        spark.conf.set(conf, folder)
    try:
        with hr.spark.convert(df) as converter:
            assert f"{tmp_path}/c" in converter.uri
        spark.conf.unset(CONF)
        with hr.spark.convert(df) as converter:
            assert f"{tmp_path}/b" in converter.uri
    finally:
        spark.conf.unset("petastorm.spark.converter.parentCacheDirUrl")


def test_kept_tables_stay_and_can_get_a_name(spark, lake, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_CATALOG", str(tmp_path / "catalog.db"))
    df = spark.read.parquet(str(lake))
    converter = hr.spark.convert(df, cache_dir=cache, keep=True, name="prod.halves")
    converter.delete()
    assert len(tables(cache)) == 1
    assert hr.open("catalog:prod.halves").count_rows() == 100
    with hr.spark.convert(df, cache_dir=cache) as again:
        assert again.uri == converter.uri
    assert len(tables(cache)) == 1
    with pytest.raises(hr.errors.InvalidArgument, match="keep"):
        hr.spark.convert(df, cache_dir=cache, name="prod.halves")


def test_a_pickled_converter_reads_and_leaves_deleting_to_its_maker(spark, lake, cache):
    with hr.spark.convert(spark.read.parquet(str(lake)), cache_dir=cache) as converter:
        other = pickle.loads(pickle.dumps(converter))
        assert other.dataset().count_rows() == len(other) == 100
        other.delete()
        assert converter.dataset().count_rows() == 100


def test_partitions_and_empty_frames(spark, cache):
    with hr.spark.convert(spark.range(1000), cache_dir=cache, partitions=3) as converter:
        assert len(converter) == 1000
        assert len(list(Path(converter.uri).glob("*.parquet"))) == 3
    with hr.spark.convert(spark.range(10).where("id < 0"), cache_dir=cache) as converter:
        assert len(converter) == 0
        with converter.loader(batch_size=4) as loader:
            assert list(loader) == []
    with hr.spark.convert(spark.range(0, 100, 1, 50), cache_dir=cache) as converter:
        assert converter.dataset().count_rows() == 100


PROGRAM = """
import sys
import sessions
import headrace as hr

spark = sessions.builder().getOrCreate()
spark.sparkContext.setLogLevel("OFF")
df = spark.read.parquet(sys.argv[1])
converter = hr.spark.convert(df, cache_dir=sys.argv[2], keep="keep" in sys.argv)
print(converter.uri, flush=True)
if "stop" in sys.argv:
    import os, time
    spark.stop()
    while any(names for _, _, names in os.walk(converter.uri)):
        time.sleep(0.05)
if "wait" in sys.argv:
    sys.stdin.read()
"""


def test_another_driver_finds_what_is_kept(spark, lake, cache, python):
    first = python(PROGRAM, str(lake), str(cache), "keep").split()[-1]
    with hr.spark.convert(spark.read.parquet(str(lake)), cache_dir=cache) as converter:
        assert converter.uri == first


def test_the_end_of_a_process_and_of_a_session_clean_up(lake, cache, python):
    python(PROGRAM, str(lake), str(cache))
    assert tables(cache) == []
    python(PROGRAM, str(lake), str(cache), "stop")
    assert tables(cache) == []


def test_what_a_killed_driver_left_goes_with_the_next_one(spark, lake, cache, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    driver = subprocess.Popen(
        [sys.executable, str(program), str(lake), str(cache), "wait"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    with driver:
        assert driver.stdout is not None
        left = Path(driver.stdout.readline().split()[-1]).name
        assert tables(cache) == [left]
        driver.send_signal(signal.SIGKILL)
    with hr.spark.convert(spark.range(3), cache_dir=cache) as converter:
        assert tables(cache) == [Path(converter.uri).name]
        assert left not in tables(cache)
    assert tables(cache) == []
