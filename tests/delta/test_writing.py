"""What we write, read by others: delta-rs, Polars and delta-kernel-rs; and writing at once."""

import datetime
import json
import multiprocessing
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import deltalake
import headrace as hr
import numpy as np
import oracle
import polars
import pyarrow as pa
import pytest


def rows_of(first: int, count: int) -> pa.Table:
    ids = range(first, first + count)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "x": pa.array([i * 0.5 for i in ids], pa.float64()),
            "text": pa.array(
                [None if i % 5 == 0 else f"row {i}" for i in ids], pa.string()
            ),
            "day": pa.array([datetime.date(2026, 11, 1 + i % 3) for i in ids]),
            "at": pa.array(
                [
                    datetime.datetime(2026, 1, 1) + datetime.timedelta(seconds=i)
                    for i in ids
                ],
                pa.timestamp("us", "UTC"),
            ),
            "list": pa.array([[i, i + 1] for i in ids], pa.list_(pa.int32())),
        }
    )


def by_id(table: pa.Table) -> pa.Table:
    return table.sort_by("id")


def test_others_read_each_version_as_we_do(tmp_path: pathlib.Path) -> None:
    uri = str(tmp_path / "t")
    versions = [
        hr.write(rows_of(i * 10, 10), uri, mode="append").version for i in range(12)
    ]
    assert versions == list(range(12))
    assert (tmp_path / "t/_delta_log/00000000000000000010.checkpoint.parquet").exists()
    for version in (0, 5, 10, 11):
        ours = by_id(hr.open(uri, version=version).to_arrow())
        assert ours.num_rows == (version + 1) * 10
        theirs = by_id(oracle.by_deltalake(uri, version))
        assert ours.cast(theirs.schema).equals(theirs)
        frame = polars.read_delta(uri, version=version).sort("id")
        assert frame["id"].to_list() == ours["id"].to_pylist()
    assert by_id(oracle.by_kernel(uri, hr.open(uri).version)).num_rows == 120


def test_partitions_and_overwrites_are_read_by_others(tmp_path: pathlib.Path) -> None:
    uri = str(tmp_path / "t")
    hr.write(rows_of(0, 30), uri, partition_by=["day"])
    hr.write(rows_of(100, 1), uri, mode="overwrite_partitions")
    ours = by_id(hr.open(uri).to_arrow())
    assert ours["id"].to_pylist() == [*(i for i in range(30) if i % 3 != 1), 100]
    theirs = by_id(oracle.by_deltalake(uri, 1)).select(ours.column_names)
    assert ours.cast(theirs.schema).equals(theirs)
    hr.write(rows_of(7, 3), uri, mode="overwrite")
    assert hr.open(uri).count_rows() == 3
    assert hr.open(uri, version=0).count_rows() == 30
    assert oracle.by_kernel(uri, hr.open(uri).version).num_rows == 3


def test_types_that_delta_lacks_come_back(tmp_path: pathlib.Path) -> None:
    uri = str(tmp_path / "t")
    table = pa.table(
        {"a": pa.array([1, 2**32 - 1], pa.uint32()), "b": pa.array([3, 4], pa.uint8())}
    )
    hr.write(table, uri)
    assert oracle.by_deltalake(uri, 0)["a"].to_pylist() == [1, 2**32 - 1]
    with hr.open(uri).loader(batch_size=2, shuffle=False) as loader:
        (batch,) = loader
    assert batch["a"].dtype == np.uint32
    assert batch["a"].tolist() == [1, 2**32 - 1]
    with pytest.raises(hr.errors.Unsupported, match="half"):
        hr.write(pa.table({"h": pa.array([1.0], pa.float16())}), str(tmp_path / "u"))


def test_tensors_keep_their_fields_in_the_log(tmp_path: pathlib.Path) -> None:
    uri = str(tmp_path / "t")
    schema = hr.Schema([hr.Field("v", "float32", (2, 3), codec="raw")])
    values = [np.full((2, 3), i, np.float32) for i in range(4)]
    hr.write({"v": values}, uri, schema=schema)
    hr.write({"v": np.stack(values)}, uri, mode="append")
    with hr.open(uri).loader(batch_size=8, shuffle=False) as loader:
        (batch,) = loader
    assert batch["v"].shape == (8, 2, 3)
    assert batch["v"][3].tolist() == values[3].tolist()


def test_writes_that_do_not_fit_are_refused(tmp_path: pathlib.Path) -> None:
    uri = str(tmp_path / "t")
    hr.write(rows_of(0, 3), uri)
    with pytest.raises(hr.errors.Conflict, match="table already"):
        hr.write(rows_of(0, 3), uri)
    with pytest.raises(hr.errors.SchemaMismatch, match='"id"'):
        hr.write(pa.table({"id": pa.array(["x"])}), uri, mode="append")
    with pytest.raises(hr.errors.SchemaMismatch, match='"new"'):
        hr.write(pa.table({"new": pa.array([1])}), uri, mode="append")
    hr.write(pa.table({"id": pa.array([9], pa.int64())}), uri, mode="append")
    assert hr.open(uri).where("id = 9").to_arrow()["text"].to_pylist() == [None]
    assert hr.open(uri).version == 1


def test_tables_that_only_grow_are_not_overwritten(tmp_path: pathlib.Path) -> None:
    uri = str(tmp_path / "t")
    deltalake.write_deltalake(
        uri, rows_of(0, 3), configuration={"delta.appendOnly": "true"}
    )
    with pytest.raises(hr.errors.Unsupported, match="only grows"):
        hr.write(rows_of(0, 3), uri, mode="overwrite")
    hr.write(rows_of(3, 3), uri, mode="append")
    assert hr.open(uri).count_rows() == 6


def test_compacting_keeps_the_rows(tmp_path: pathlib.Path) -> None:
    uri = str(tmp_path / "t")
    for i in range(5):
        hr.write(rows_of(i * 30, 30), uri, mode="append", partition_by=["day"])
    before = by_id(hr.open(uri).to_arrow())
    assert len(hr.diff(uri, 0, 4).files_added) == 12
    compacted = hr.compact(uri)
    assert (compacted.files, compacted.version) == (3, 5)
    assert by_id(hr.open(uri).to_arrow()).equals(before)
    theirs = by_id(oracle.by_deltalake(uri, 5)).select(before.column_names)
    assert before.cast(theirs.schema).equals(theirs)
    assert hr.compact(uri).files == 0
    assert hr.open(uri).version == 5


def test_history_diff_restore_and_vacuum(tmp_path: pathlib.Path) -> None:
    uri = str(tmp_path / "t")
    hr.write(rows_of(0, 10), uri)
    hr.write(rows_of(10, 5), uri, mode="append")
    hr.write(rows_of(0, 2), uri, mode="overwrite")
    assert [commit.version for commit in hr.history(uri)] == [2, 1, 0]
    assert hr.history(uri)[0].parameters["mode"] == "Overwrite"
    change = hr.diff(uri, 1, 2)
    assert (change.rows_added, change.rows_removed) == (2, 15)
    assert hr.restore(uri, 1) == 3
    assert hr.open(uri).count_rows() == 15
    assert oracle.by_deltalake(uri, 3).num_rows == 15
    left = tmp_path / "t/part-left-over.parquet"
    left.write_bytes(b"half")
    an_hour_ago = time.time() - 3600  # what is of this very millisecond is not old
    os.utime(left, (an_hour_ago, an_hour_ago))
    assert hr.vacuum(uri).files == ()
    found = hr.vacuum(uri, older_than=datetime.timedelta(0))
    assert "part-left-over.parquet" in found.files
    assert not found.deleted and left.exists()
    assert hr.vacuum(uri, older_than=datetime.timedelta(0), dry_run=False).deleted
    assert not left.exists()
    assert hr.open(uri).count_rows() == 15
    with pytest.raises(hr.errors.NotFound, match="restored"):
        hr.restore(uri, 2)


def test_a_loader_goes_on_while_others_commit(tmp_path: pathlib.Path) -> None:
    uri = str(tmp_path / "t")
    hr.write(rows_of(0, 1000), uri)
    table = hr.open(uri).select("id")
    with table.loader(batch_size=100, seed=3) as loader:
        seen = list(next(iter(loader))["id"])
        state = loader.state_dict()
    hr.write(rows_of(1000, 1000), uri, mode="overwrite")
    with hr.open(uri, version=0).select("id").loader(batch_size=100, seed=3) as loader:
        loader.load_state_dict(state)
        seen += [i for batch in loader for i in batch["id"]]
    assert sorted(seen) == list(range(1000))
    wrong = pytest.raises(hr.HeadraceError, match="table version: state 0, loader 1")
    with hr.open(uri).select("id").loader(batch_size=100, seed=3) as loader, wrong:
        loader.load_state_dict(state)


def append(uri: str, worker: int, commits: int) -> None:
    for i in range(commits):
        first = (worker * commits + i) * 3
        hr.write(
            pa.table({"id": pa.array(range(first, first + 3), pa.int64())}),
            uri,
            mode="append",
        )


def test_eight_processes_append_fifty_commits_each(tmp_path: pathlib.Path) -> None:
    uri = str(tmp_path / "t")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=append, args=(uri, w, 50)) for w in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 8
    table = hr.open(uri)
    assert table.version == 399
    assert sorted(table.to_arrow()["id"].to_pylist()) == list(range(8 * 50 * 3))
    assert oracle.by_deltalake(uri, 399).num_rows == 1200


_FIRST_WRITER = """
import sys
import headrace as hr
import pyarrow as pa

def batches():
    while True:
        yield pa.record_batch({"id": pa.array(range(20_000), pa.int64())})

hr.write(batches(), sys.argv[1], row_group_bytes=2**14, file_bytes=2**14)
"""


def test_a_first_write_that_was_killed_is_no_table(tmp_path: pathlib.Path) -> None:
    """Files that no commit names are never read, as plain Parquet neither."""
    table = tmp_path / "t"
    with subprocess.Popen([sys.executable, "-c", _FIRST_WRITER, str(table)]) as writer:
        deadline = time.monotonic() + 120
        while not list(table.glob("*.parquet")) and time.monotonic() < deadline:
            assert writer.poll() is None
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
    left = list(table.glob("*.parquet"))
    assert left
    for look in (hr.open, hr.history):
        with pytest.raises(hr.errors.NotFound, match="no write was finished"):
            look(table)
    with pytest.raises(hr.errors.Conflict, match="is a Delta table"):
        hr.write(rows_of(0, 3), table, format="parquet", mode="append")
    assert hr.write(rows_of(0, 3), table).version == 0
    assert hr.open(table).count_rows() == 3
    assert oracle.by_deltalake(str(table), 0).num_rows == 3
    hr.vacuum(table, older_than=datetime.timedelta(0), dry_run=False)
    assert not set(left) & set(table.iterdir())
    assert [path.name for path in (table / "_delta_log").iterdir()] == [
        "00000000000000000000.json"
    ]


def test_a_first_write_that_fails_leaves_nothing_to_clean(tmp_path: pathlib.Path) -> None:
    table = tmp_path / "t"

    def batches() -> Iterator[pa.RecordBatch]:
        yield from rows_of(0, 3).to_batches()
        # Meanwhile others know that what lies here is no plain Parquet.
        with pytest.raises(hr.errors.NotFound, match="no write was finished"):
            hr.open(table)
        raise LookupError("no more")

    with pytest.raises(LookupError):
        hr.write(batches(), table)
    assert not [path for path in table.rglob("*") if path.is_file()]
    hr.write(rows_of(0, 3), table)
    assert [path.name for path in (table / "_delta_log").iterdir()] == [
        "00000000000000000000.json"
    ]


def checkpoints(table: pathlib.Path) -> list[int]:
    found = (table / "_delta_log").glob("*.checkpoint.parquet")
    return sorted(int(path.name.split(".")[0]) for path in found)


@pytest.mark.parametrize(
    ("interval", "expected"),
    [("3", [3, 6, 9]), ("1", list(range(1, 12))), ("0", [10]), ("often", [10])],
)
def test_checkpoints_come_as_the_table_says(
    tmp_path: pathlib.Path, interval: str, expected: list[int]
) -> None:
    """Values that are no interval are as none."""
    table = tmp_path / "t"
    deltalake.write_deltalake(
        str(table), rows_of(0, 3), configuration={"delta.checkpointInterval": "7"}
    )
    first = table / "_delta_log/00000000000000000000.json"
    said, asked = '"delta.checkpointInterval":"7"', first.read_text()
    assert said in asked
    first.write_text(asked.replace(said, said.replace("7", interval)))
    for i in range(1, 12):
        hr.write(rows_of(i * 3, 3), table, mode="append")
    assert checkpoints(table) == expected
    # Readers that begin at one see all rows.
    (first.parent / "00000000000000000001.json").unlink()
    (first.parent / "00000000000000000002.json").unlink()
    assert hr.open(table).count_rows() == 36
    hr.write(rows_of(0, 3), table, mode="overwrite")
    assert checkpoints(table) == expected + ([12] if 12 % (expected[0]) == 0 else [])


_WRITER = """
import sys
import headrace as hr
import pyarrow as pa
uri, first = sys.argv[1], int(sys.argv[2])
ids = pa.table({"id": pa.array(range(first, first + 20), pa.int64())})
print("begin", flush=True)
while True:
    hr.write(ids, uri, mode="append")
"""


@pytest.mark.parametrize(
    "count",
    [12, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(1800)])],
)
def test_a_killed_writer_leaves_whole_versions(
    tmp_path: pathlib.Path, count: int
) -> None:
    """SIGKILL at random moments: each version that is there is whole, whichever that is."""
    uri = str(tmp_path / "t")
    hr.write(pa.table({"id": pa.array(range(20), pa.int64())}), uri)
    seed = 7
    print(f"seed {seed}")
    chance = random.Random(seed)
    points = 0
    for _ in range(count):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, uri, "0"], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(chance.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
        points += 1
        version = hr.open(uri).version
        assert version is not None
        assert hr.open(uri).count_rows() == (version + 1) * 20
        assert hr.open(uri).to_arrow().num_rows == (version + 1) * 20
    assert points == count
    hr.vacuum(uri, older_than=datetime.timedelta(0), dry_run=False)
    version = hr.write(
        pa.table({"id": pa.array(range(20), pa.int64())}), uri, mode="append"
    ).version
    assert version is not None
    assert hr.open(uri).count_rows() == (version + 1) * 20
    log = tmp_path / "t/_delta_log"
    assert not list(log.glob(".*.tmp"))
    for commit in log.glob("*.json"):
        for line in commit.read_text().splitlines():
            json.loads(line)
