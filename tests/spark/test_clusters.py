"""Clusters of real processes: executors that are killed, tasks that are run twice."""

import http.client
import json
import sys
from pathlib import Path

import cluster_tables
import pytest
import servers

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

PROGRAM = Path(cluster_tables.__file__).read_text()
WORKERS = ("127.0.0.1", "127.0.0.2")  # two hosts: on one, Spark overtakes no task


def start(kind: str, folder: Path, host: str, *arguments: object):
    """A master or a worker."""
    folder.mkdir()
    return servers.start_process(
        [
            Path(sys.prefix) / "bin/spark-class", "-Xmx512m",
            f"org.apache.spark.deploy.{kind.lower()}.{kind}", "--host", host, *arguments,
        ],
        folder,
        SPARK_LOCAL_IP=host,
        PYTHONPATH=str(Path(cluster_tables.__file__).parent),
    )  # fmt: skip


def workers_of(port: int) -> int:
    connection = http.client.HTTPConnection(servers.HOST, port, timeout=5)
    try:
        connection.request("GET", "/json/")
        return json.load(connection.getresponse())["aliveworkers"]
    finally:
        connection.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A master and two workers, of one core each."""
    folder = tmp_path_factory.mktemp("cluster")
    port, page, *pages = servers.free_ports(2 + len(WORKERS))
    url = f"spark://{servers.HOST}:{port}"
    processes = [
        start(
            "Master",
            folder / "master",
            servers.HOST,
            "--port",
            port,
            "--webui-port",
            page,
        )
    ]
    for host, own_page in zip(WORKERS, pages, strict=True):
        processes.append(
            start(
                "Worker", folder / host, host, "--cores", 1, "--memory", "1g",
                "--webui-port", own_page, "--work-dir", folder / host / "work", url,
            )
        )  # fmt: skip

    def ready() -> None:
        if workers_of(page) < len(WORKERS):
            raise OSError("workers are missing")

    servers.wait_for(ready, processes[0], folder / "master", within=120)
    yield url
    for process in reversed(processes):  # a worker that is asked to ends its executors
        process.terminate()
        process.wait()


def test_an_executor_of_a_local_cluster_is_killed(python, tmp_path):
    python(PROGRAM, "local-cluster[2,1,1024]", str(tmp_path), "kill")


def test_an_executor_of_a_cluster_is_killed(python, tmp_path, cluster):
    python(PROGRAM, cluster, str(tmp_path), "kill")


def test_a_task_of_a_cluster_is_overtaken(python, tmp_path, cluster):
    python(PROGRAM, cluster, str(tmp_path), "speculation")
