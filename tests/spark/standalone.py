"""Standalone clusters of real processes, on the loopback interface."""

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import jvm
import servers


def start(
    kind: str, folder: Path, host: str, *arguments: object, **environment: str
) -> "subprocess.Popen[bytes]":
    """A master or a worker."""
    folder.mkdir()
    return servers.start_process(
        [
            Path(sys.prefix) / "bin/spark-class",
            f"org.apache.spark.deploy.{kind.lower()}.{kind}", "--host", host, *arguments,
        ],
        folder,
        SPARK_LOCAL_IP=host,
        SPARK_DAEMON_MEMORY="512m",
        SPARK_DAEMON_JAVA_OPTS=" ".join(jvm.QUICK),
        PYTHONPATH=str(Path(__file__).parent),
        **environment,
    )  # fmt: skip


def workers_of(port: int) -> int:
    """How many workers a master has. OSError while its pages are not there yet."""
    connection = http.client.HTTPConnection(servers.HOST, port, timeout=5)
    try:
        connection.request("GET", "/json/")
        response = connection.getresponse()
        if response.status != 200:  # it listens before it has its pages
            raise OSError(f"status {response.status} of the master's page")
        return json.load(response)["aliveworkers"]
    finally:
        connection.close()


@contextlib.contextmanager
def standalone(
    folder: Path, hosts: Sequence[str], cores: int = 1, **environment: str
) -> Iterator[str]:
    """A master, and a worker on each of these hosts; the URL of the master."""
    port, page, *pages = servers.free_ports(2 + len(hosts))
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
    for host, own_page in zip(hosts, pages, strict=True):
        processes.append(
            start(
                "Worker", folder / host, host, "--cores", cores, "--memory", "1g",
                "--webui-port", own_page, "--work-dir", folder / host / "work", url,
                **environment,
            )
        )  # fmt: skip

    def ready() -> None:
        if workers_of(page) < len(hosts):
            raise OSError("workers are missing")

    try:
        servers.wait_for(ready, processes[0], folder / "master", within=120)
        yield url
    finally:
        # A worker that is asked to ends its executors.
        for process in reversed(processes):
            process.terminate()
            process.wait()
