"""One classic Spark session for all tests of a process."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sessions
from pyspark.sql import SparkSession


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Counts of survivors do not pass from test to test; no launcher sets the rank."""
    monkeypatch.setenv("HEADRACE_CACHE_DIR", "")
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    folder = tmp_path_factory.mktemp("warehouse")
    session = sessions.builder().config("spark.sql.warehouse.dir", folder).getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., str]:
    """Runs a program in a process of its own, and returns what it printed."""

    def run(program: str, *arguments: str, code: int = 0) -> str:
        path = tmp_path / "program.py"
        path.write_text(program)
        done = subprocess.run(
            [sys.executable, str(path), *arguments],
            capture_output=True,
            text=True,
            timeout=240,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    return run
