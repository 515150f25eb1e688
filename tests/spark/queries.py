"""Queries over a folder of Parquet files that name the same rows in every driver.

Run with a folder, prints the identity of each as a driver of its own sees it, as JSON.
"""

import json
import sys
import tempfile

import sessions
from headrace.spark._plan import identify
from pyspark.sql import Window
from pyspark.sql import functions as F


def shared(spark, folder):
    """Name to DataFrame; the rows of all of them differ."""
    rows = spark.read.parquet(str(folder))
    rows.createOrReplaceTempView("rows")
    by_group = Window.partitionBy("group").orderBy("id")
    others = rows.select("id", F.col("x").alias("y"))
    return {
        "files": rows,
        "renamed": rows.withColumnRenamed("x", "z"),
        "cast": rows.withColumn("x", F.col("x").cast("float")),
        "cast of text": rows.select(F.col("name").cast("int").alias("n")),
        "lenient cast of text": rows.select(F.col("name").try_cast("int").alias("n")),
        "filter": rows.where("id > 10"),
        "another filter": rows.where("id > 11"),
        "filter on text": rows.where("name = '1'"),
        "join": rows.join(others, "id"),
        "left join": rows.join(others, "id", "left"),
        "aggregate": rows.groupBy("group").agg(F.sum("x"), F.collect_list("id")),
        "window": rows.withColumn("n", F.row_number().over(by_group)),
        "lag": rows.withColumn("n", F.lag("id", 2).over(by_group)),
        "union": rows.unionByName(rows),
        "distinct": rows.select("group").distinct(),
        "sorted": rows.orderBy(F.desc("x")),
        "view": spark.sql("select id from rows where x > 3"),
        "expression table": spark.sql("with a as (select id + 1 as k from rows) "
                                      "select l.k from a l join a r on l.k = r.k + 1"),
        "subquery": spark.sql("select * from rows where x > (select avg(x) from rows)"),
        "lambda": rows.select(F.transform(F.array("id"), lambda v: v + 1).alias("v")),
        "json": rows.select(F.from_json("name", "a int", {"mode": "FAILFAST"}).alias("j")),
        "lenient json": rows.select(F.from_json("name", "a int").alias("j")),
        "bytes": rows.select(F.lit(b"\x00\x01").alias("b")),
        "other bytes": rows.select(F.lit(b"\x01").alias("b")),
        "file name": rows.select(F.input_file_name().alias("f")),
        "wide": rows.select(*[(F.col("x") + i).alias(f"c{i}") for i in range(60)]),
        "range": spark.range(100),
        "longer range": spark.range(101),
    }  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        builder = sessions.builder().config("spark.sql.warehouse.dir", scratch)
        spark = builder.getOrCreate()
        found = {
            name: [identity.scope, identity.key]
            for name, df in shared(spark, sys.argv[1]).items()
            for identity in [identify(df, {})]
        }
        spark.stop()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
