"""DataFrames of Spark Connect are fitted and transformed as classic ones."""

import os
import subprocess
import sys
from pathlib import Path

import fits
import pytest


@pytest.mark.long
def test_frames_of_spark_connect_are_fitted_and_transformed(tmp_path: Path) -> None:
    fits.make_table(tmp_path / "table")
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, here / "connect_checks.py", tmp_path],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": f"{here}:{here.parent / 'spark'}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
