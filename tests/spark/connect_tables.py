"""Tables through Spark Connect: run with a URL of Connect, a folder, and "stop" or "exit".

A process of its own, since one cannot hold a session of each kind. What is wrong raises; it
prints, as JSON, the server's process where it started one.
"""

import json
import os
import sys
import time
from pathlib import Path

import headrace as hr
import numpy as np
import pytest
import sessions
from listing import files_below
from pyspark.errors import PySparkException
from pyspark.ml.linalg import Vectors
from pyspark.sql import functions as F


def tables_go_both_ways(spark, folder):
    uri = str(folder / "t")
    null = F.col("id") % 3 == 0
    frame = spark.range(0, 1000, 1, 4).select(
        "id",
        F.when(~null, F.col("id") * 1.5).alias("x"),
        F.when(~null, F.col("id").cast("string")).alias("s"),
        F.when(~null, F.timestamp_millis(F.col("id") * 3_600_000)).alias("ts"),
        F.when(~null, F.array(F.col("id"), F.lit(None))).alias("list"),
    )
    summary = hr.spark.write(frame, uri)
    assert (summary.rows, summary.files, summary.version) == (1000, 4, 0)
    back = hr.spark.read(spark, uri)
    assert back.dtypes == frame.dtypes
    assert back.collect() == frame.collect()

    frame.write.format("headrace").mode("append").save(uri)
    assert hr.open(uri).version == 1
    assert hr.spark.read(spark, uri).count() == 2000
    assert hr.spark.read(spark, uri, version=0, where="id >= 990").count() == 10
    hr.spark.write(frame, uri, mode="overwrite", sort_by=["x"])
    assert hr.open(uri).to_arrow()["x"].to_pylist()[:2] == [1.5, 3.0]


def failures_are_told_and_leave_nothing(spark, folder):
    place = folder / "failed"
    frame = spark.range(10).select(F.expr("if(id = 7, raise_error('the cause'), id) a"))
    with pytest.raises(PySparkException, match="the cause"):
        hr.spark.write(frame, str(place))
    with pytest.raises(PySparkException, match="the cause"):
        hr.spark.convert(frame, cache_dir=place)
    schema = hr.Schema([hr.Field("v", "float32", (3,))])
    short = spark.createDataFrame([([1.0, 2.0],)], "v array<float>")
    with pytest.raises(hr.errors.HeadraceError, match="v") as raised:
        hr.spark.write(short, str(place), schema=schema)
    assert "Traceback" not in str(raised.value)
    with pytest.raises(hr.errors.Unsupported, match='column "span"'):
        hr.spark.convert(spark.sql("select interval 1 day as span"), cache_dir=place)
    until(lambda: files_below(place) == [])  # a task that was given up may still write


def frames_become_batches_once(spark, folder, cache):
    lake = str(folder / "lake")
    spark.range(0, 100, 1, 2).withColumn("x", F.col("id") / 2).write.parquet(lake)
    plus = F.udf(lambda value: value + 1, "long")

    def rows():
        return spark.read.parquet(lake)

    def converted(df, **options):
        return hr.spark.convert(df, cache_dir=cache, **options)

    first, again = converted(rows()), converted(rows())
    assert again.uri == first.uri
    assert len(again) == 100
    with again.loader(batch_size=30, seed=1) as loader:
        batches = list(loader)
    assert [len(batch["id"]) for batch in batches] == [30, 30, 30, 10]
    assert sorted(np.concatenate([batch["id"] for batch in batches])) == list(range(100))

    called, called_again = (
        converted(rows().select(plus("id").alias("n"))),
        converted(rows().select(plus("id").alias("n"))),
    )
    assert called_again.uri == called.uri
    assert sorted(called.dataset().to_arrow()["n"].to_pylist()) == list(range(1, 101))
    random = [converted(rows().select(F.rand().alias("x"))) for _ in range(2)]
    others = [
        called,
        *random,
        converted(rows().withColumnRenamed("x", "y")),
        converted(rows(), dtype="float32", partitions=3),
    ]
    assert len({one.uri for one in [first, *others]}) == 6
    # Each converter is a user of its own.
    first.delete()
    assert again.dataset().count_rows() == 100
    for one in [again, called_again, *others]:
        one.delete()

    vectors = [(0, Vectors.dense([1.0, 2.0])), (1, Vectors.sparse(2, [1], [5.0]))]
    with (
        converted(spark.createDataFrame(vectors, ["id", "v"])) as converter,
        converter.loader(batch_size=2, shuffle=False) as loader,
    ):
        batch = next(iter(loader))
    assert batch["v"][np.argsort(batch["id"])].tolist() == [[1.0, 2.0], [0.0, 5.0]]
    with converted(spark.range(0)) as converter:
        assert len(converter) == 0
    assert files_below(cache) == []


def another_session_of_the_server_keeps_its_tables(url, cache):
    """Both have one application, and the one that stops leaves the other's alone."""
    one, two = (sessions.connect_builder(url).create() for _ in range(2))
    goes = hr.spark.convert(one.range(3), cache_dir=cache)
    stays = hr.spark.convert(two.range(4), cache_dir=cache)
    one.stop()
    until(lambda: not Path(goes.uri).exists())
    assert stays.dataset().count_rows() == 4
    stays.delete()
    two.stop()


def until(true):
    """What the session's watch does takes a second; a test that waits for ever is ended."""
    while not true():
        time.sleep(0.05)


def main() -> None:
    url, folder, end = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    cache = folder / "cache"
    spark = sessions.connect_builder(url).getOrCreate()
    assert type(spark).__module__ == "pyspark.sql.connect.session"
    tables_go_both_ways(spark, folder)
    failures_are_told_and_leave_nothing(spark, folder)
    frames_become_batches_once(spark, folder, cache)
    if url.startswith("sc:"):
        another_session_of_the_server_keeps_its_tables(url, cache)

    left = hr.spark.convert(spark.range(5), cache_dir=cache)
    assert files_below(cache) != []
    server = None
    if url.startswith("local"):
        from pyspark import SparkContext

        server = SparkContext._gateway.proc.pid
    if end == "stop":
        spark.stop()
        until(lambda: not Path(left.uri).exists())
        assert "SPARK_REMOTE" not in os.environ
    print(json.dumps(server))


if __name__ == "__main__":
    main()
