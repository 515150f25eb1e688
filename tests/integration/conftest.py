"""The command line, and storage servers that run while the tests do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import servers


@pytest.fixture(scope="session")
def binary() -> str:
    found = (
        os.environ.get("HEADRACE_CLI")  # that of a build tree
        or shutil.which("headrace", path=Path(sys.executable).parent)
        or shutil.which("headrace")
    )
    assert found, (
        "`headrace` is neither beside the Python that runs the tests nor on PATH, and "
        "HEADRACE_CLI does not tell where it is"
    )
    return found


@pytest.fixture
def run(binary, tmp_path):
    """Runs headrace with arguments, in a home of its own."""

    def call(*arguments, code=0, **environment):
        done = subprocess.run(
            [binary, *map(str, arguments)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={
                **os.environ,
                "HEADRACE_CACHE_DIR": str(tmp_path / "cache"),
                **environment,
            },
            timeout=120,
        )
        assert done.returncode == code, done.stderr
        return done

    return call


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    server = servers.start_s3(servers.S3Place(tmp_path_factory.mktemp("s3")))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    server = servers.start_gcs(tmp_path_factory.mktemp("gcs"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    server = servers.start_azure(tmp_path_factory.mktemp("azure"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def trips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of two levels of Hive partitions, one value of which needs escapes."""
    root = tmp_path_factory.mktemp("lake") / "trips"
    first = 0
    for year in (2013, 2014):
        for city in ("Rio", "São Paulo/SP"):
            folder = root / f"year={year}" / f"city={quote(city, safe='')}"
            folder.mkdir(parents=True)
            ids = range(first, first + 500)
            first += 500
            table = pa.table(
                {
                    "id": pa.array(ids, pa.int64()),
                    "fare": pa.array(
                        [None if i % 7 == 0 else i / 8 for i in ids], pa.float32()
                    ),
                    "name": pa.array([f"trip {i}" for i in ids]),
                }
            )
            pq.write_table(
                table,
                folder / "part-0.parquet",
                row_group_size=100,
                write_page_checksum=True,
            )
    (root / "_SUCCESS").touch()  # hidden, as what Spark leaves
    return root
