"""tools/summary.py: the last line of make test, and whether it may be believed."""

import subprocess
import sys
from pathlib import Path

SUMMARY = Path(__file__).parents[2] / "tools/summary.py"
PASSED = "<testsuite><testcase name='a'/><testcase name='b'/></testsuite>"
MIXED = (
    '<testsuite><testcase name="c"/><testcase name="d"><failure message="no"/></testcase>'
    '<testcase name="e"><skipped/></testcase><testcase name="f" status="disabled"/>'
    '<testcase name="g"><error/></testcase></testsuite>'
)


def run(tmp_path: Path, **reports: str) -> tuple[int, str]:
    for name, text in reports.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, SUMMARY, *reports], cwd=tmp_path, capture_output=True, text=True
    )
    return done.returncode, done.stdout


def test_sums_over_reports_and_passes_when_all_passed(tmp_path: Path) -> None:
    assert run(tmp_path, a=PASSED, b=PASSED) == (0, "4 passed, 0 failed\n")


def test_fails_when_a_test_failed(tmp_path: Path) -> None:
    assert run(tmp_path, a=PASSED, b=MIXED) == (1, "3 passed, 2 failed, 2 skipped\n")


def test_of_shards_those_count_that_failed(tmp_path: Path) -> None:
    passed = PASSED.replace("name='b'", "name='shard.0'")
    assert run(tmp_path, a=passed) == (0, "1 passed, 0 failed\n")
    failed = MIXED.replace('name="d"', 'name="shard.0"')
    assert run(tmp_path, a=failed) == (1, "1 passed, 2 failed, 2 skipped\n")


def test_fails_when_nothing_ran(tmp_path: Path) -> None:
    assert run(tmp_path, a="<testsuite/>") == (1, "0 passed, 0 failed\n")


def test_fails_when_a_report_was_not_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(PASSED)
    done = subprocess.run(
        [sys.executable, SUMMARY, "a", "b"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout == "summary: b was not written\n2 passed, 0 failed\n"
