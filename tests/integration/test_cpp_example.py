"""The C++ API as a user meets it: examples/cpp built against the installed package."""

import os
import subprocess
import sysconfig
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
PREFIX = Path(sysconfig.get_path("purelib")) / "headrace"


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def train_loop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example program, built in a fresh folder with the installed package alone."""
    build = tmp_path_factory.mktemp("example")
    configured = run(
        "cmake", "-S", ROOT / "examples/cpp", "-B", build, "-G", "Ninja",
        f"-DCMAKE_PREFIX_PATH={PREFIX}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror",
    )  # fmt: skip
    assert configured.returncode == 0, configured.stdout + configured.stderr
    built = run("cmake", "--build", build)
    assert built.returncode == 0, built.stdout + built.stderr
    return build / "train_loop"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lake") / "numbers.parquet"
    values = pa.table({"x": list(range(3000)), "y": [i % 4 / 2 for i in range(3000)]})
    pq.write_table(values, path, row_group_size=700)
    return path


def test_example_sees_every_row_once_in_one_epoch(train_loop: Path, table: Path) -> None:
    done = run(train_loop, table, "x", "y")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["rows 3000", "mean x 1499.5", "mean y 0.75"]


def test_example_filters_rows(train_loop: Path, table: Path) -> None:
    done = run(train_loop, table, "x", "--where", "x < 10 and y > 0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["rows 7", "mean x 4.71429"]


def test_example_names_the_error_kind_when_the_column_is_unknown(
    train_loop: Path, table: Path
) -> None:
    done = run(train_loop, table, "z")
    assert done.returncode == 1
    assert done.stderr.startswith("NotFound: ")
    assert "z" in done.stderr
