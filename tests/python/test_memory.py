"""Memory of a loader's process over epochs, by bench/memory on smaller tables."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "bench" / "memory" / "memory.py"
#: Of allocators between the second epoch and the last.
SETTLING = 32_000_000


@pytest.mark.parametrize(
    "case",
    [
        "large_row_groups",
        "wide",
        "long_strings",
        pytest.param("blobs", marks=pytest.mark.long),
        "tensors",
    ],
)
def test_memory_stays_below_its_bound_and_does_not_grow(case: str) -> None:
    command = [sys.executable, PROGRAM, case, "--epochs", "4", "--times", "4", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert len(result["peaks"]) == 4
    assert 0 < result["peak"] <= result["bound"], result
    assert result["growth"] <= SETTLING, result
