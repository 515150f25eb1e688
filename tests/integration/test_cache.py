"""Cached tables: `headrace cache`, and the same on disk and on object stores."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import headrace as hr
import pyarrow as pa
import pyarrow.fs
import pytest
import servers
from headrace import _native

ROUNDS = 5


@dataclass
class Place:
    """A cache directory somewhere."""

    uri: str
    path: str
    filesystem: pyarrow.fs.FileSystem
    options: dict[str, str] = field(default_factory=dict)

    @property
    def flags(self) -> list[str]:
        return [
            f"--storage-option={name}={value}" for name, value in self.options.items()
        ]

    def cache(self) -> _native.TableCache:
        return _native.TableCache.open(self.uri, self.options)

    def files(self) -> list[str]:
        """Files below it, by path; objects that stand for directories are none."""
        found = self.filesystem.get_file_info(
            pyarrow.fs.FileSelector(self.path, recursive=True, allow_not_found=True)
        )
        return sorted(info.path for info in found if info.is_file)


@pytest.fixture(
    params=["local", "s3", "gcs", pytest.param("azure", marks=pytest.mark.long)]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "local":
        path = str(tmp_path / "lake cache")
        return Place(path, path, pyarrow.fs.LocalFileSystem())
    server: servers.Server = request.getfixturevalue(request.param)
    path = f"{servers.BUCKET}/{tmp_path.name}"
    return Place(
        f"{server.scheme}://{path}", path, server.filesystem, dict(server.options)
    )


def make(place: Place, key: str | None) -> _native.CachedTable:
    cache = place.cache()
    table = cache.begin("trainer", "local-1")
    hr.write(pa.table({"x": [1, 2, 3]}), table.uri, storage_options=place.options)
    return table if key is None else cache.publish(table, key)


def count(place: Place, table: _native.CachedTable) -> int:
    return hr.open(table.uri, storage_options=place.options).count_rows()


def test_a_table_is_made_once_used_by_many_and_gone_after_the_last(place):
    cache = place.cache()
    first, second = make(place, None), make(place, None)
    first = cache.publish(first, "plan")
    assert cache.publish(second, "plan").directory == first.directory
    users = [cache.find("plan", "user", "") for _ in range(3)]
    assert {user.directory for user in users} == {first.directory}
    cache.heartbeat(first)
    cache.release(first)
    assert [count(place, user) for user in users] == [3, 3, 3]
    (entry,) = json.loads(cache.list())
    assert (entry["rows"], entry["in_use"], len(entry["leases"])) == (3, True, 4)
    for user in users:
        cache.release(user)
    (entry,) = json.loads(cache.list())  # the second one of ours has a lease
    for lease in entry["leases"]:
        assert lease["pid"] == os.getpid()
    cache.remove(first.directory, force=True)
    assert place.files() == []
    with pytest.raises(hr.errors.Conflict):
        cache.heartbeat(first)
    assert place.files() == []


def test_a_kept_table_stays(place):
    cache = place.cache()
    table = make(place, "plan")
    cache.keep(table)
    cache.release(table)
    assert json.loads(cache.collect(dry_run=False))["directories"] == []
    found = cache.find("plan", "user", "")
    assert count(place, found) == 3
    cache.release(found)
    cache.remove(table.directory, force=False)
    assert place.files() == []


# Makes a table, and publishes it when told.
MAKER = """
import json, sys
import headrace as hr, pyarrow as pa
from headrace import _native

uri, options = sys.argv[1], json.loads(sys.argv[2])
cache = _native.TableCache.open(uri, options)
while True:
    table = cache.begin("maker", "local-1")
    hr.write(pa.table({"x": [1, 2, 3]}), table.uri, storage_options=options)
    print(flush=True)
    key = sys.stdin.readline()
    table = cache.publish(table, key)
    print(table.directory, flush=True)
    sys.stdin.readline()
    cache.release(table)
"""


def start_maker(place: Place) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKER, place.uri, json.dumps(place.options)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_makers_at_once_end_with_one_table_and_a_kill_leaves_what_is_collected(place):
    makers = [start_maker(place) for _ in range(2)]
    try:
        for n in range(ROUNDS):
            for maker in makers:
                maker.stdout.readline()
            for maker in makers:
                maker.stdin.write(f"plan {n}\n")
                maker.stdin.flush()
            names = [maker.stdout.readline() for maker in makers]
            assert names[0] == names[1] != ""
            assert len(json.loads(place.cache().list())) == 1
            if n < ROUNDS - 1:
                for maker in makers:
                    maker.stdin.write("\n")
                    maker.stdin.flush()
    finally:
        for maker in makers:
            maker.send_signal(signal.SIGKILL)
            maker.communicate()
    report = json.loads(place.cache().collect(dry_run=False))
    assert report["directories"] == [names[0].strip()]
    assert place.files() == []


def test_ls_shows_tables_and_their_users(place, run):
    assert run("cache", "ls", place.uri, *place.flags).stdout == "0 tables, 0 B\n"
    assert run("cache", "ls", place.uri, "--json", *place.flags).stdout == "[]\n"
    used, kept, begun = make(place, "a"), make(place, "b"), make(place, None)
    place.cache().keep(kept)
    place.cache().release(kept)
    lines = run("cache", "ls", place.uri, *place.flags).stdout.splitlines()
    shown = dict(zip(lines[:-1:2], lines[1:-1:2], strict=True))
    user = rf"in use by \S+ {os.getpid()} \(trainer\)"
    assert re.fullmatch(rf"  3 rows, \S+ KiB, {user}", shown[used.directory])
    assert re.fullmatch(r"  3 rows, \S+ KiB, kept", shown[kept.directory])
    assert re.fullmatch(rf"  \S+ KiB, {user}, unpublished", shown[begun.directory])
    assert lines[-1].startswith("3 tables, ")
    entries = json.loads(run("cache", "ls", place.uri, "--json", *place.flags).stdout)
    assert [entry["directory"] for entry in entries] == sorted(shown)
    by_name = {entry["directory"]: entry for entry in entries}
    entry = by_name[used.directory]
    assert (entry["application"], entry["rows"], entry["kept"]) == ("trainer", 3, False)
    assert entry["leases"][0]["pid"] == os.getpid()
    assert by_name[begun.directory]["key"] is None
    for name in shown:
        run("cache", "rm", "--force", place.uri, name, *place.flags)
    assert place.files() == []


def test_rm_refuses_what_is_in_use_without_force(place, run):
    table = make(place, "plan")
    where = [place.uri, table.directory, *place.flags]
    said = run("cache", "rm", *where, code=7).stderr
    assert said.startswith("headrace: Conflict: ")
    assert f"{os.getpid()} (trainer)" in said
    assert count(place, table) == 3
    said = run("cache", "rm", *where, "--force", "--json").stdout
    assert json.loads(said) == {"removed": [table.directory]}
    assert place.files() == []
    assert run("cache", "rm", *where, code=3).stderr.startswith("headrace: NotFound: ")
    bad = run("cache", "rm", place.uri, "..", *place.flags, code=2).stderr
    assert "headrace cache ls" in bad


def test_gc_deletes_what_a_killed_process_left(place, run):
    assert run("cache", "gc", place.uri, *place.flags).stdout == (
        "0 tables, 0 B, and 0 other files deleted\n"
    )
    maker = start_maker(place)
    maker.stdout.readline()
    maker.stdin.write("plan\n")
    maker.stdin.flush()
    name = maker.stdout.readline().strip()
    maker.send_signal(signal.SIGKILL)
    maker.communicate()
    lines = run("cache", "gc", place.uri, "--dry-run", *place.flags).stdout.splitlines()
    assert lines[0] == name
    assert lines[1].startswith("1 table, ")
    assert lines[1].endswith(", and 0 other files can be deleted")
    report = json.loads(run("cache", "gc", place.uri, "--json", *place.flags).stdout)
    assert (report["directories"], report["deleted"]) == ([name], True)
    assert place.files() == []


def test_help_has_examples(run):
    for arguments in [("cache",), ("cache", "ls"), ("cache", "rm"), ("cache", "gc")]:
        assert f"  headrace {' '.join(arguments)}" in run(*arguments, "--help").stdout


def test_a_path_that_is_no_cache_is_empty(run, tmp_path):
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake/file").write_text("x")
    assert run("cache", "ls", tmp_path / "lake").stdout.startswith("0 tables")
    run("cache", "gc", tmp_path / "lake")
    assert (tmp_path / "lake/file").read_text() == "x"
    assert run("cache", "ls", "ftp://x", code=2).stderr.startswith(
        "headrace: InvalidArgument: "
    )
