"""Tables on filesystems that the user gives: fsspec's and pyarrow's."""

import pickle
import subprocess
import sys
from pathlib import Path

import fsspec
import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

ROWS = 600


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lake")
    for year in (2013, 2014):
        folder = root / f"year={year}"
        folder.mkdir()
        first = (year - 2013) * ROWS // 2
        ids = np.arange(first, first + ROWS // 2)
        table = pa.table({"id": ids, "name": [f"row {i}" for i in ids]})
        pq.write_table(table, folder / "part-0.parquet", row_group_size=100)
    (root / "_SUCCESS").touch()
    return root


@pytest.fixture
def memory(lake: Path) -> MemoryFileSystem:
    filesystem = MemoryFileSystem()
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    filesystem.put(str(lake), "/lake", recursive=True)
    return filesystem


def ids(dataset: hr.Dataset, **options) -> list[int]:
    with dataset.select("id").loader(batch_size=64, seed=3, **options) as loader:
        return np.concatenate([batch["id"] for batch in loader]).tolist()


@pytest.mark.parametrize("kind", ["memory", "fsspec local", "pyarrow local", "subtree"])
def test_rows_and_order_are_those_on_disk(memory, lake, kind):
    filesystem, path = {
        "memory": (memory, "lake"),
        "fsspec local": (LocalFileSystem(), str(lake)),
        "pyarrow local": (pyarrow.fs.LocalFileSystem(), str(lake)),
        "subtree": (
            pyarrow.fs.SubTreeFileSystem(str(lake.parent), pyarrow.fs.LocalFileSystem()),
            lake.name,
        ),
    }[kind]
    there, here = hr.open(path, filesystem=filesystem), hr.open(lake)
    assert there.schema == here.schema
    assert there.fingerprint == here.fingerprint
    assert there.to_arrow().equals(here.to_arrow())
    assert ids(there) == ids(here)
    filtered = "year = 2014 and id < 400"
    assert there.where(filtered).count_rows() == here.where(filtered).count_rows() == 100


FAR_ROWS = 120_000


def seen_from_far(path):
    """Open a table on the disk as one that is not on a disk."""
    there = pyarrow.fs.SubTreeFileSystem(str(path.parent), pyarrow.fs.LocalFileSystem())
    return hr.open(path.name, filesystem=there)


def numbers_far(folder, values, **writing):
    """Write a column `id`; return the file, and the dataset that is seen from far."""
    path = folder / "table.parquet"
    pq.write_table(pa.table({"id": values}), path, use_dictionary=False, **writing)
    return path, seen_from_far(path)


@pytest.fixture(scope="module", params=[False, True], ids=["no index", "page index"])
def indexed(request) -> bool:
    return request.param


@pytest.fixture(scope="module")
def far(indexed, tmp_path_factory):
    """A file of four row groups, and where it is not on a disk, as the loader sees it."""
    path = tmp_path_factory.mktemp("far") / "table.parquet"
    random = np.random.default_rng(1)
    columns = {f"x{i}": random.random(FAR_ROWS) for i in range(6)}
    pq.write_table(
        pa.table({"id": np.arange(FAR_ROWS), **columns}),
        path,
        row_group_size=FAR_ROWS // 4,
        use_dictionary=False,
        data_page_size=16 << 10,
        write_page_index=indexed,
    )
    return path, seen_from_far(path)


def read_all(dataset, **options):
    """Return what a pass delivers of the column `id`, and the loader's statistics."""
    with dataset.loader(
        batch_size=512, shuffle_window_rows=8000, seed=3, **options
    ) as loader:
        read = np.concatenate([batch["id"] for batch in loader]).tolist()
        return read, loader.stats()


def stored_bytes(path):
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(g) for g in range(metadata.num_row_groups)]
    return sum(g.column(c).total_compressed_size for g in groups for c in range(7))


@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_far_is_read_once_in_long_ranges(far, threads):
    """Streams that share a row group share its bytes."""
    path, there = far
    read, stats = read_all(there, num_threads=threads)
    assert read == read_all(hr.open(path))[0]
    assert stats["bytes_read"] <= stored_bytes(path) + (1 << 18)
    assert stats["read_calls"] <= 4 * 3  # the columns, and the index
    assert stats["memory_peak"] <= 2 << 30


def test_resuming_far_away_reads_what_is_left(far, indexed):
    """An index leads past the pages of a row group that were read before."""
    path, there = far
    order = {
        "shuffle": False,
        "streams": 1,
        "shuffle_window_rows": 512,
        "batch_size": 512,
    }
    with there.loader(**order) as loader:
        batches = iter(loader)
        for _ in range(50):
            next(batches)
        state = loader.state_dict()
    with there.loader(**order) as loader:
        loader.load_state_dict(state)
        rows = sum(len(batch["id"]) for batch in loader)
        read = loader.stats()["bytes_read"]
    assert rows == FAR_ROWS - 50 * 512
    part = rows / FAR_ROWS if indexed else 1
    assert read <= part * stored_bytes(path) + (1 << 18)


def test_where_streams_begin_far_away_is_not_read_again_where_others_end(tmp_path):
    """Without an index a row group is read whole, and needed at both ends of a pass."""
    rows = 24 * 10_000
    values = np.random.default_rng(4).integers(0, 2**40, rows)
    path, dataset = numbers_far(tmp_path, values, row_group_size=10_000)
    with dataset.loader(streams=2, batch_size=1000, shuffle_window_rows=4000) as loader:
        total = sum(int(batch["id"].sum()) for batch in loader)
        stats = loader.stats()
    assert total == values.sum()
    assert stats["row_groups_opened"] == 24 + 2
    assert stats["bytes_read"] <= path.stat().st_size


def test_half_of_what_is_above_the_floor_holds_what_streams_share_far_away(tmp_path):
    """Row groups that two streams share stay beside those that all have open."""
    rows = 40 * 60_000
    values = np.random.default_rng(5).integers(0, 2**40, rows)
    path, dataset = numbers_far(tmp_path, values, row_group_size=60_000)
    order = {"batch_size": 1000, "shuffle_window_rows": 8000, "streams": 7}
    with dataset.loader(**order) as loader:
        floor = loader.stats()["memory_floor"]
    # What streams have open, will have open next, and began in.
    needed = 3 * 7 * 60_000 * 8
    with dataset.loader(**order, memory_budget=floor + 2 * needed + 4096) as loader:
        total = sum(int(batch["id"].sum()) for batch in loader)
        stats = loader.stats()
    assert total == values.sum()
    assert stats["bytes_read"] <= path.stat().st_size


def test_of_large_row_groups_far_away_a_block_reads_its_own_pages(tmp_path):
    """Blocks of one row group are far apart in the order."""
    rows = 8 << 20
    values = np.random.default_rng(2).integers(0, 2**31, rows, dtype=np.int32)
    path, dataset = numbers_far(
        tmp_path, values, row_group_size=2 << 20, write_page_index=True
    )
    order = {"streams": 1, "shuffle_window_rows": 8192, "batch_size": 8192}
    with dataset.loader(**order) as loader:
        floor = loader.stats()["memory_floor"]
    with dataset.loader(**order, memory_budget=floor + (40 << 20)) as loader:
        total = sum(int(batch["id"].sum(dtype=np.int64)) for batch in loader)
        read = loader.stats()["bytes_read"]
    assert total == values.sum(dtype=np.int64)
    # The first block is read at the end again, and a buffer reaches past each.
    assert read <= path.stat().st_size + (4 << 20) + 8 * (256 << 10)


@pytest.mark.parametrize("part", [0, 0.02, 0.3])
def test_what_is_far_is_read_within_any_budget(far, part):
    path, there = far
    expected, stats = read_all(hr.open(path))
    floor = stats["memory_floor"]
    budget = floor + int(part * (64 << 20))
    read, stats = read_all(there, memory_budget=budget)
    assert read == expected
    assert stats["memory_peak"] <= budget


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("memory://lake", ROWS),
        ("/lake/", ROWS),
        ("/lake/year=2013/part-0.parquet", ROWS // 2),
        ("/lake/*/*.parquet", ROWS),
        (["/lake/year=2014", "/lake/year=2013/part-0.parquet"], ROWS),
    ],
)
def test_directories_files_globs_and_lists_are_opened(memory, path, rows):
    assert hr.open(path, filesystem=memory).count_rows() == rows


def test_what_is_not_there_is_not_found_by_its_name(memory):
    for path in ("/absent", "/lake/*.csv"):
        with pytest.raises(hr.errors.NotFound, match="memory://"):
            hr.open(path, filesystem=memory)


def test_a_changed_file_is_a_conflict(memory):
    dataset = hr.open("/lake", filesystem=memory)
    memory.pipe_file("/lake/year=2014/part-0.parquet", b"something else")
    with pytest.raises(hr.errors.Conflict, match=r"memory:///lake/year=2014/part-0"):
        dataset.to_arrow()


def test_a_dataset_is_pickled_for_this_process_alone(memory):
    dataset = hr.open("/lake", filesystem=memory).select("id")
    stored = pickle.dumps(dataset)
    assert pickle.loads(stored).to_arrow().equals(dataset.to_arrow())
    code = """
import pickle, sys
try:
    pickle.loads(sys.stdin.buffer.read())
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], input=stored, capture_output=True, timeout=120
    )
    said = done.stdout.decode()
    assert said.startswith("InvalidArgument"), done
    assert "another process" in said


class Broken(MemoryFileSystem):
    """One whose reads fail in the way that it is told."""

    cachable = False
    error: Exception | None = None
    times = 0

    def cat_file(self, path, start=None, end=None, **kwargs):
        if self.times > 0 and self.error is not None:
            self.times -= 1
            raise self.error
        return super().cat_file(path, start=start, end=end, **kwargs)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PermissionError("no"), hr.errors.Denied),
        (FileNotFoundError("gone"), hr.errors.NotFound),
        (OSError("reset"), hr.errors.Unavailable),
        (RuntimeError("odd"), hr.errors.Unavailable),
    ],
)
def test_errors_of_the_filesystem_have_our_kinds(memory, error, kind):
    broken = Broken()
    dataset = hr.open("/lake", filesystem=broken)
    broken.error, broken.times = error, 1000
    with pytest.raises(kind, match=f"part-0.parquet.*{type(error).__name__}: {error}"):
        dataset.to_arrow()


def test_one_error_in_passing_is_not_seen(memory):
    broken = Broken()
    dataset = hr.open("/lake", filesystem=broken)
    broken.error, broken.times = OSError("reset"), 1
    assert dataset.count_rows() == dataset.to_arrow().num_rows == ROWS
    assert broken.times == 0


@pytest.mark.parametrize("given", [1, "memory", MemoryFileSystem, object()])
def test_what_is_no_filesystem_is_refused(given):
    with pytest.raises(hr.errors.InvalidArgument, match="filesystem"):
        hr.open("/lake", filesystem=given)


def test_storage_options_beside_it_are_refused_and_not_shown(memory):
    with pytest.raises(hr.errors.InvalidArgument, match="storage_options") as caught:
        hr.open("/lake", filesystem=memory, storage_options={"secret_key": "hush"})
    assert "hush" not in str(caught.value)


def test_the_same_filesystem_is_added_once(memory):
    first = hr.open("/lake", filesystem=memory)
    again = hr.open("/lake", filesystem=memory)
    other = hr.open(
        "/lake", filesystem=fsspec.filesystem("memory", skip_instance_cache=True)
    )
    assert first.to_arrow().equals(other.to_arrow())
    assert str(first) == str(again)


# A loader that is still in the middle of its pass when the process ends.
LEAVES = """
import sys, time
import headrace as hr
from fsspec.implementations.local import LocalFileSystem

class Slow(LocalFileSystem):
    cachable = False
    def cat_file(self, path, start=None, end=None, **kwargs):
        time.sleep(pause)
        return super().cat_file(path, start=start, end=end, **kwargs)

pause = 0
dataset = hr.open(sys.argv[1], filesystem=Slow())
pause = 0.3  # so that reads are under way when the process ends
loader = dataset.select("id").loader(batch_size=16, num_threads=4, shuffle_window_rows=32)
batches = iter(loader)
print(len(next(batches)["id"]))
if sys.argv[2] == "closed":
    loader.close()
if sys.argv[2] == "raises":
    raise SystemExit(7)
"""


@pytest.mark.parametrize(("how", "code"), [("closed", 0), ("open", 0), ("raises", 7)])
def test_a_process_that_has_read_ends_in_order(tmp_path, how, code):
    for part in range(40):  # more than is read ahead at once
        table = pa.table({"id": np.arange(300)})
        pq.write_table(table, tmp_path / f"{part}.parquet", row_group_size=100)
    done = subprocess.run(
        [sys.executable, "-c", LEAVES, str(tmp_path), how],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (code, "16\n"), done.stderr
    assert done.stderr == ""
