"""Tasks that fail and are run again, and disks that are full."""

import os
import subprocess
import sys
from pathlib import Path

import fault_tables
import pytest


def test_tasks_are_run_again_and_files_may_not_grow(python, tmp_path):
    python(Path(fault_tables.__file__).read_text(), str(tmp_path), "limit")


@pytest.mark.long
def test_tasks_are_run_again_and_a_disk_is_full(tmp_path):
    """On a disk of 2 MiB, which a namespace of mounts of its own makes without rights."""
    done = subprocess.run(
        [
            "unshare", "--map-root-user", "--mount", "sh", "-ec",
            'mount -t tmpfs -o size=2m none "$1"; exec "$2" "$3" "$1" full', "sh",
            tmp_path, sys.executable, fault_tables.__file__,
        ],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(Path(fault_tables.__file__).parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
