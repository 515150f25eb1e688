"""Many processes that commit to one table on S3 at once: no version and no row is lost."""

import json
import subprocess
import sys

import headrace as hr
import pytest
import servers

APPEND = """
import json
import sys
import headrace as hr
import pyarrow as pa

given = json.load(sys.stdin)
versions = []
for i in range(given["commits"]):
    first = (given["process"] * given["commits"] + i) * 3
    rows = pa.table({"id": pa.array(range(first, first + 3), pa.int64())})
    written = hr.write(
        rows, given["uri"], mode="append", storage_options=given["options"], num_threads=1
    )
    versions.append(written.version)
json.dump(versions, sys.stdout)
"""


@pytest.mark.parametrize(
    ("processes", "commits"),
    [(4, 10), pytest.param(8, 50, marks=[pytest.mark.long, pytest.mark.timeout(900)])],
)
def test_no_commit_and_no_row_is_lost(
    s3: servers.Server, processes: int, commits: int
) -> None:
    uri = f"s3://{servers.BUCKET}/commits/{processes}-by-{commits}"
    children = []
    for process in range(processes):
        child = subprocess.Popen(
            [sys.executable, "-c", APPEND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        given = {"process": process, "commits": commits}
        assert child.stdin is not None
        child.stdin.write(
            json.dumps({**given, "uri": uri, "options": s3.options}).encode()
        )
        child.stdin.close()
        children.append(child)
    versions: list[int] = []
    for child in children:
        assert child.stdout is not None
        told = child.stdout.read()
        child.stdout.close()
        assert child.wait() == 0
        mine = json.loads(told)
        assert mine == sorted(mine)
        versions += mine
    count = processes * commits
    assert sorted(versions) == list(range(count))
    table = hr.open(uri, storage_options=s3.options)
    assert table.version == count - 1
    assert sorted(table.to_arrow()["id"].to_pylist()) == list(range(3 * count))
