"""Identities as Spark Connect has them: run with a folder, prints what was found as JSON.

A process of its own, since one cannot hold a session of each kind.
"""

import gc
import json
import os
import sys
import weakref
from pathlib import Path

import pyarrow.parquet as pq
import sessions
from headrace.spark._plan import SessionPlans, identify
from pyspark.sql import functions as F


def observe(spark, folder):
    found = {}
    plans = SessionPlans()
    # So that each run of a frame lists its files, as it does once the server has forgotten it.
    spark.conf.set("spark.connect.session.planCache.enabled", "false")

    def known(name, df):
        """Whether a frame is known; from now on it is."""
        identity = identify(df, {})
        before = plans.find(df, identity)
        plans.add(df, identity, name)
        found[name] = [identity.scope, identity.exact, before]

    def rows():
        return spark.read.parquet(folder).select("id", "x")

    plus = F.udf(lambda v: v + 1, "long")
    random = F.udf(lambda v: v + 1, "long").asNondeterministic()
    spark.udf.register("hidden", random)
    rows().createOrReplaceTempView("rows")
    old = rows()
    known("files", old)
    known("same files", rows())
    known("renamed", rows().withColumnRenamed("x", "y"))
    known("cast", rows().withColumn("x", F.col("x").cast("float")))
    known("function", rows().select(plus("id")))
    known("same function", rows().select(plus("id")))
    known("random function", rows().select(random("id")))
    known("registered function", spark.sql("select hidden(id) from rows"))
    known("rand", rows().select(F.rand()))
    known("rand among many", rows().select(*[F.lit(1)] * 60, F.rand()))
    known("uuid in a view", spark.sql("select uuid() from rows"))
    spark.conf.set("spark.sql.maxPlanStringLength", "100")
    known("rand in a long plan", rows().select(F.rand()))
    spark.conf.unset("spark.sql.maxPlanStringLength")
    cached = rows().where("id > 3").cache()
    known("cached", cached)
    cached.unpersist()
    spark.range(5).selectExpr("id", "cast(id as double) x").write.mode("append").parquet(
        folder
    )
    known("appended files", old)
    known("same appended files", rows())
    for name, value in (("session.timeZone", "Asia/Tokyo"), ("ansi.enabled", "false")):
        before = spark.conf.get(f"spark.sql.{name}")
        spark.conf.set(f"spark.sql.{name}", value)
        known(name, rows())
        spark.conf.set(f"spark.sql.{name}", before)
    known("same settings", rows())
    files_that_change(known, rows, Path(folder))
    days_and_odd_names(spark, known, Path(folder).with_name("a b%20ü"))

    local = spark.createDataFrame(
        [(i, "x" * 100) for i in range(2000)], "n int, s string"
    )
    known("local rows", local)
    known("same local rows", local)
    gone = weakref.ref(local)
    del local
    gc.collect()
    found["local rows are kept"] = gone() is not None
    return found


def files_that_change(known, rows, folder):
    part, other = sorted(folder.glob("part-*.parquet"))[:2]
    data, time = part.read_bytes(), part.stat().st_mtime_ns
    old = rows()
    known("before", old)
    os.utime(part, ns=(time, time - 5_000_000))
    known("older", old)
    known("same older", rows())
    os.utime(part, ns=(time, time))
    known("as before", rows())
    Path(f"{folder}/.{part.name}.crc").unlink()
    pq.write_table(pq.read_table(part), part, compression="none")
    assert part.stat().st_size != len(data)
    os.utime(part, ns=(time, time))
    known("of other size", old)
    part.write_bytes(data)
    os.utime(part, ns=(time, time))
    # Each is as one of the two was, but not at its place.
    times = [one.stat().st_mtime_ns for one in (part, other)]
    for one, stamp in zip((other, part), times, strict=True):
        os.utime(one, ns=(stamp, stamp))
    known("times exchanged", old)
    other.rename(folder.parent / "other")
    known("without a file", old)
    (folder.parent / "other").rename(other)
    known("put back", rows())


def days_and_odd_names(spark, known, folder):
    """More folders than Spark lists without a job, whose names are not their URIs."""
    spark.range(40).withColumn("day", F.concat(F.lit("%41 "), "id")).repartition(
        1
    ).write.partitionBy("day").parquet(str(folder))
    known("days", spark.read.parquet(str(folder)))
    known("same days", spark.read.parquet(str(folder)))
    part = sorted(folder.glob("*/part-*.parquet"))[7]
    time = part.stat().st_mtime_ns
    os.utime(part, ns=(time, time + 5_000_000))
    known("a day touched", spark.read.parquet(str(folder)))


def main() -> None:
    spark = sessions.connect_builder().getOrCreate()
    found = observe(spark, sys.argv[1])
    spark.stop()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
