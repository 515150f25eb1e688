"""Spark Connect: the same tables and batches as with classic Spark, and nothing left."""

import json
import socket
import sys
import time
from pathlib import Path

import connect_tables
import pytest
import servers
from listing import files_below, runs

PROGRAM = Path(connect_tables.__file__).read_text()


@pytest.fixture(autouse=True)
def no_other_server(monkeypatch):
    for name in ("SPARK_REMOTE", "SPARK_LOCAL_REMOTE", "SPARK_CONNECT_MODE_ENABLED"):
        monkeypatch.delenv(name, raising=False)


def test_a_server_that_the_session_starts(python, tmp_path):
    server = json.loads(python(PROGRAM, "local[2]", str(tmp_path), "exit"))
    assert files_below(tmp_path / "cache") == []
    while runs(server):  # its JVM ends by itself, after the process that started it
        time.sleep(0.05)


@pytest.fixture
def server(tmp_path):
    """A server of Connect's in a process of its own."""
    folder = tmp_path / "server"
    folder.mkdir()
    (port,) = servers.free_ports(1)
    options = {
        "spark.connect.grpc.binding.address": servers.HOST,
        "spark.connect.grpc.binding.port": port,
        "spark.driver.host": servers.HOST,
        "spark.driver.bindAddress": servers.HOST,
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
    }
    process = servers.start_process(
        [
            Path(sys.prefix) / "bin/spark-submit",
            "--master", "local[2]", "--driver-memory", "768m",
            *(word for pair in options.items() for word in ("--conf", "=".join(map(str, pair)))),
            "--class", "org.apache.spark.sql.connect.service.SparkConnectServer",
            "spark-internal",
        ],
        folder,
        SPARK_LOCAL_IP=servers.HOST,
        PYSPARK_PYTHON=sys.executable,
    )  # fmt: skip
    servers.wait_for(
        lambda: socket.create_connection((servers.HOST, port)).close(), process, folder
    )
    yield f"sc://{servers.HOST}:{port}"
    process.terminate()
    process.wait()


@pytest.mark.long
def test_a_server_elsewhere(python, tmp_path, server):
    assert json.loads(python(PROGRAM, server, str(tmp_path), "stop")) is None
    assert files_below(tmp_path / "cache") == []
