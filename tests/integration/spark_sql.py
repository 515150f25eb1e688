"""A Spark session that runs SQL for tests: a JSON text a line in, a JSON list of rows out.

Arguments: the port of a Hive Metastore on the loopback interface, and a folder.
"""

import json
import os
import sys
import traceback

from pyspark.sql import SparkSession


def main() -> None:
    port, folder = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what Spark prints is no answer
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "512m")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.warehouse.dir", f"file://{folder}/warehouse")
        .config("spark.hadoop.hive.metastore.uris", f"thrift://127.0.0.1:{port}")
        .config("spark.hadoop.hive.exec.dynamic.partition.mode", "nonstrict")
        .enableHiveSupport()
        .getOrCreate()
    )
    print("ready", file=answers)
    for line in sys.stdin:
        try:
            rows = [row.asDict() for row in session.sql(json.loads(line)).collect()]
            print(json.dumps({"rows": rows}, default=str), file=answers)
        except Exception:
            print(json.dumps({"error": traceback.format_exc()}), file=answers)


if __name__ == "__main__":
    main()
