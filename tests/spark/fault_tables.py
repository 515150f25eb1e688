"""What fails in tasks and on disk: run with a folder, in local Spark that tries tasks again.

A process of its own: how often a task is tried is set when Spark starts, and with the
argument "limit", no file may grow beyond 1 MiB. What is wrong raises.
"""

import resource
import sys
import time
from pathlib import Path

import headrace as hr
import pytest
import sessions
from listing import claim, files_below
from pyspark.sql import functions as F

MIB = 1 << 20


def a_task_that_fails_halfway_is_run_again(spark, folder):
    first = folder / "claimed"

    def rows(batches):
        for count, batch in enumerate(batches):
            if count == 2 and batch.column(0)[0].as_py() >= 500 and claim(first):
                raise ValueError("the first attempt")
            yield batch

    frame = spark.range(0, 1000, 1, 2).mapInArrow(rows, "id long")
    summary = hr.spark.write(frame, str(folder / "t"))
    assert first.exists()
    assert summary.rows == 1000
    assert hr.open(folder / "t").to_arrow()["id"].to_pylist() == list(range(1000))
    first.unlink()
    with hr.spark.convert(frame, cache_dir=folder / "cache") as converter:
        assert first.exists()
        found = converter.dataset().to_arrow()["id"].to_pylist()
    assert found == list(range(1000))
    assert files_below(folder / "cache") == []


def said(folder):
    return rf"^{folder}/.*\.parquet: Error writing bytes to file: (File too large|No space left)"


def a_full_disk_is_told_and_nothing_is_left(spark, folder):
    large = spark.range(0, 1_000_000, 1, 2).select(F.xxhash64("id").alias("x"))
    cache, table = folder / "cache", folder / "large"
    with pytest.raises(hr.errors.ResourceExhausted, match=said(cache)):
        hr.spark.convert(large, cache_dir=cache)
    with pytest.raises(hr.errors.ResourceExhausted, match=said(table)):
        hr.spark.write(large, str(table))
    while files_below(cache) + files_below(table):  # what was given up may still write
        time.sleep(0.05)
    with hr.spark.convert(spark.range(10), cache_dir=cache) as converter:
        assert converter.dataset().count_rows() == 10
    assert files_below(cache) == []


def main() -> None:
    folder, disk = Path(sys.argv[1]), sys.argv[2]
    if disk == "limit":  # in Spark's JVM and its tasks, too, which inherit it
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))
    builder = sessions.builder("local[2,4]")
    builder = builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", "100")
    spark = builder.config("spark.sql.warehouse.dir", folder / "warehouse").getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    a_task_that_fails_halfway_is_run_again(spark, folder)
    spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    a_full_disk_is_told_and_nothing_is_left(spark, folder)
    spark.stop()


if __name__ == "__main__":
    main()
