"""Spark sessions for tests: classic ones and Spark Connect, on the loopback interface."""

import os
import sys
from pathlib import Path
from typing import Any

import jvm
from pyspark.sql import SparkSession

os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
os.environ["PYSPARK_PYTHON"] = sys.executable
# Where warm_daemon is, for workers of a source that Spark has found by itself: they are not
# told spark.executorEnv.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
)

ZONE = "Europe/Berlin"  # not UTC, so that what forgets the zone is found
OPTIONS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "768m",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.session.timeZone": ZONE,
    "spark.executor.extraJavaOptions": " ".join(jvm.QUICK),
    # Workers are forked of one that has imported what most tasks do.
    "spark.python.daemon.module": "warm_daemon",
    "spark.executorEnv.PYTHONPATH": str(Path(__file__).parent),
}


def builder(master: str = "local[2]") -> Any:
    return (
        SparkSession.builder.master(master).appName("headrace tests").config(map=OPTIONS)
    )


def connect_builder(url: str = "local[2]") -> Any:
    """Of Spark Connect; "local" starts a server in this process' JVM, on a free port."""
    # Whatever its value; "1" would also have the launcher look for Spark's sources.
    os.environ["SPARK_TESTING"] = "ports"
    options = {"spark.sql.session.timeZone": ZONE}
    if url.startswith("local"):
        options |= {**OPTIONS, "spark.connect.grpc.binding.address": "127.0.0.1"}
    return SparkSession.builder.remote(url).config(map=options)
