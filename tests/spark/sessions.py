"""Spark sessions for tests: classic ones and Spark Connect, on the loopback interface."""

import os
import sys
from typing import Any

from pyspark.sql import SparkSession

os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
os.environ["PYSPARK_PYTHON"] = sys.executable

ZONE = "Europe/Berlin"  # not UTC, so that what forgets the zone is found


def builder(master: str = "local[2]") -> Any:
    return (
        SparkSession.builder.master(master)
        .appName("headrace tests")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "768m")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", ZONE)
    )
