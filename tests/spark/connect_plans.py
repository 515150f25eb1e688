"""Identities as Spark Connect has them: run with a folder, prints what was found as JSON.

A process of its own, since one cannot hold a session of each kind.
"""

import gc
import json
import sys
import weakref

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
    cached = rows().where("id > 3").cache()
    known("cached", cached)
    cached.unpersist()
    spark.range(5).selectExpr("id", "cast(id as double) x").write.mode("append").parquet(
        folder
    )
    known("appended files", old)
    known("same appended files", rows())

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


def main() -> None:
    spark = sessions.connect_builder().getOrCreate()
    found = observe(spark, sys.argv[1])
    spark.stop()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
