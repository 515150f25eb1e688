"""Adds up JUnit reports (of CTest, GoogleTest, pytest) to one line: "N passed, N failed".

Of CTest's shards of C++ tests those count that failed: of the others, each test is in a
report of GoogleTest's.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree


def count(report: Path) -> tuple[int, int, int]:
    """Passed, failed and skipped tests of a report."""
    passed = failed = skipped = 0
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None or case.get("status") == "disabled":
            skipped += 1
        elif not case.get("name", "").startswith("shard."):
            passed += 1
    return passed, failed, skipped


def main(paths: list[str]) -> int:
    """Prints the sum; fails if a test failed, a report is missing, or nothing ran."""
    missing = [path for path in paths if not Path(path).is_file()]
    counts = [count(Path(path)) for path in paths if path not in missing]
    passed, failed, skipped = (
        (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0, 0)
    )
    for path in missing:
        print(f"summary: {path} was not written")
    print(
        f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")
    )
    return 1 if failed or missing or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
