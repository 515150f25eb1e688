"""The leases of a process on cached tables: renewed, released at exit, left by a kill."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import headrace as hr
import pyarrow as pa
import pytest
from headrace import _native
from headrace.spark import _cache

ROUNDS = 12

# What each child begins with: a table is made and published by a key.
PRELUDE = """
import json, os, sys, threading
import pyarrow as pa
import headrace as hr
from headrace.spark import _cache

cache = _cache.Cache(sys.argv[1])

def make(key):
    lease = cache.begin("maker", "local-1")
    hr.write(pa.table({"x": [1, 2, 3]}), lease.uri)
    lease.publish(key)
    return lease

def say(value):
    print(json.dumps(value), flush=True)

def wait():
    sys.stdin.readline()

"""


class Child:
    """A process of its own that is told and asked by lines."""

    def __init__(self, script: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hear(self) -> object:
        """The next line."""
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        return json.loads(line)

    def go(self) -> None:
        """End its wait."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self, code: int = 0) -> str:
        """Let it end; what it wrote to standard error."""
        _, said = self.process.communicate(timeout=60)
        assert self.process.returncode == code, said
        return said


@contextmanager
def started(script: str, *arguments: object) -> Iterator[Child]:
    child = Child(script, *arguments)
    try:
        yield child
    finally:
        child.process.kill()
        child.process.communicate()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def cache(place: Path) -> Iterator[_cache.Cache]:
    """A cache directory; leases of the test end with it."""
    yield _cache.Cache(str(place))
    _cache._leases.release(lambda lease: True)


def make(cache: _cache.Cache, key: str, application_id: str = "local-1") -> _cache.Lease:
    lease = cache.begin("maker", application_id)
    hr.write(pa.table({"x": [1, 2, 3]}), lease.uri)
    lease.publish(key)
    return lease


def left(place: Path) -> list[str]:
    """What there is besides the folder of keys, which is empty."""
    assert not list((place / "_keys").glob("*"))
    return [path.name for path in place.iterdir() if path.name != "_keys"]


def lease_file(place: Path, lease: _cache.Lease) -> Path:
    leases = place / lease.directory / "_headrace/leases"
    return leases / f"{lease._table.lease}.json"


@pytest.mark.parametrize(
    ("end", "code"),
    [("", 0), ("sys.exit(3)", 3), ("raise KeyboardInterrupt", -2), ("1 / 0", 1)],
)
def test_a_table_goes_with_the_process_however_it_exits(place, end, code):
    with started(f"say(make('plan').uri)\nwait()\n{end}", place) as child:
        assert hr.open(child.hear()).count_rows() == 3
        child.go()
        said = child.end(code if code >= 0 else -signal.SIGINT)
    assert ("Traceback" in said) == (end not in ("", "sys.exit(3)"))
    assert left(place) == []


def test_what_a_kill_leaves_is_removed_by_the_next_at_once(place, cache):
    script = (
        "say(make('plan').directory)\nsay(cache.begin('maker', '').directory)\nwait()"
    )
    with started(script, place) as child:
        made, begun = child.hear(), child.hear()
        assert cache.collect().directories == ()
        child.process.kill()
        child.process.wait()
    report = cache.collect(dry_run=True)
    assert report.directories == tuple(sorted([made, begun]))
    assert report.bytes > 0
    assert (place / made).exists()
    assert cache.collect().deleted
    assert left(place) == []


def test_a_published_table_outlives_its_maker_while_others_use_it(place, cache):
    with started("say(make('plan').directory)\nwait()", place) as child:
        made = child.hear()
        lease = cache.find("plan", "user", "local-2")
        child.go()
        child.end()
    assert (lease.directory, lease.rows) == (made, 3)
    assert hr.open(lease.uri).count_rows() == 3
    lease.release()
    lease.release()
    assert lease.over
    assert left(place) == []
    assert cache.find("plan", "user", "local-2") is None


def test_a_kept_table_stays_after_exit_and_is_found(place, cache):
    with started("make('plan').keep()", place) as child:
        child.end()
    assert cache.collect().directories == ()
    lease = cache.find("plan", "user", "local-2")
    assert hr.open(lease.uri).to_arrow()["x"].to_pylist() == [1, 2, 3]
    lease.release()
    (name,) = (path.name for path in place.iterdir() if path.name != "_keys")
    cache._native.remove(name, force=False)
    assert left(place) == []


def test_processes_that_publish_one_key_at_once_end_with_one_table(place):
    script = f"""
for n in range({ROUNDS}):
    lease = cache.begin("maker", "")
    hr.write(pa.table({{"x": [os.getpid()] * 3}}), lease.uri)
    say("ready")
    wait()
    lease.publish(f"plan {{n}}")
    say([lease.directory, hr.open(lease.uri).to_arrow()["x"].to_pylist()])
    wait()
    lease.release()
    say("released")
    wait()
"""
    with (
        started(script, place) as one,
        started(script, place) as two,
        started(script, place) as three,
    ):
        children = [one, two, three]
        for _ in range(ROUNDS):
            assert [child.hear() for child in children] == ["ready"] * 3
            for child in children:
                child.go()
            answers = [child.hear() for child in children]
            assert answers[0] == answers[1] == answers[2]
            tables = [path.name for path in place.iterdir() if path.name != "_keys"]
            assert tables == [answers[0][0]]
            for child in children:
                child.go()
            assert [child.hear() for child in children] == ["released"] * 3
            assert left(place) == []
            for child in children:
                child.go()
        for child in children:
            child.end()


def test_a_forked_process_releases_nothing_of_its_parent(place):
    script = """
lease = make("plan")
child = os.fork()
if child == 0:
    lease.release()
    lease.renew()
    _cache._leases.release(lambda lease: True)
    sys.exit(4)
say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
say([lease.over, hr.open(lease.uri).count_rows()])
"""
    with started(script, place) as parent:
        assert parent.hear() == 4
        assert parent.hear() == [False, 3]
        parent.end()
    assert left(place) == []


def test_a_forked_process_has_leases_of_its_own(place):
    script = """
lease = make("plan")
child = os.fork()
if child == 0:
    make("other plan")
    sys.exit(0)
say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
say([path for path in sorted(os.listdir(sys.argv[1])) if path != "_keys"] == [lease.directory])
"""
    with started(script, place) as parent:
        assert parent.hear() == 0
        assert parent.hear() is True
        parent.end()
    assert left(place) == []


def test_the_thread_renews_leases(place):
    script = """
from headrace import _native
_native.CACHE_HEARTBEAT_MS = 1
lease = make("plan")
path = f"{lease.uri}/_headrace/leases/{lease._table.lease}.json"
os.utime(path, (0, 0))
while os.stat(path).st_mtime == 0:
    pass
say([thread.daemon for thread in threading.enumerate() if thread.name == "headrace-leases"])
"""
    with started(script, place) as child:
        assert child.hear() == [True]
        assert child.end() == ""
    assert left(place) == []


def test_a_renewed_lease_is_young(place, cache):
    lease = make(cache, "plan")
    path = lease_file(place, lease)
    os.utime(path, (0, 0))
    _cache._leases.renew()
    assert path.stat().st_mtime > 0
    lease.release()
    _cache._leases.renew()
    assert left(place) == []


def test_a_lease_of_another_host_counts_until_it_expires(place, cache):
    lease = make(cache, "plan")
    path = lease_file(place, lease)
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "host": "elsewhere"}))
    assert cache.collect().directories == ()
    os.utime(path, (1, 1))
    assert cache.collect().directories == (lease.directory,)


def test_a_table_that_others_removed_is_told_once(place, cache, caplog):
    lease = make(cache, "plan")
    cache._native.remove(lease.directory, force=True)
    _cache._leases.renew()
    assert lease.over
    assert lease not in _cache._leases.held()
    assert [lease.directory in text for text in caplog.messages] == [True]
    _cache._leases.renew()
    assert len(caplog.messages) == 1
    with pytest.raises(hr.errors.Conflict):
        lease.keep()
    assert left(place) == []


def test_a_release_that_failed_is_made_again(place, cache, monkeypatch):
    lease = make(cache, "plan")
    native = lease._cache

    class Silent:
        def release(self, table: object) -> None:
            raise hr.errors.Unavailable("storage is silent")

    lease._cache = Silent()
    with pytest.raises(hr.errors.Unavailable):
        lease.release()
    assert not lease.over
    assert lease in _cache._leases.held()
    lease._cache = native
    lease.release()
    assert left(place) == []


@pytest.mark.parametrize(
    "release",
    [
        "threading.Event().wait()",
        "raise hr.errors.Unavailable('silent')",
    ],
)
def test_exit_neither_hangs_nor_fails_when_storage_does(place, cache, release):
    script = f"""
hr._leases._EXIT_WAIT_S = 0.2
lease = make("plan")

class Storage:
    def release(self, table):
        {release}

lease._cache = Storage()
"""
    with started(script, place) as child:
        assert "Traceback" not in child.end()
    assert len(cache.collect().directories) == 1
    assert left(place) == []


def test_without_a_lease_there_is_no_thread_and_nothing_is_written(place):
    script = """
cache.collect()
say([thread.name for thread in threading.enumerate()])
"""
    with started(script, place) as child:
        assert child.hear() == ["MainThread"]
        assert child.end() == ""
    assert not place.exists()


def test_leases_are_used_by_threads_at_once(place, cache):
    made = make(cache, "plan")
    errors: list[BaseException] = []

    def use() -> None:
        try:
            for _ in range(20):
                lease = cache.find("plan", "user", "local-1")
                lease.renew()
                lease.release()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        _cache._leases.renew()
        cache.collect()
    for thread in threads:
        thread.join()
    assert errors == []
    assert hr.open(made.uri).count_rows() == 3
    made.release()
    assert left(place) == []


def test_the_heartbeat_is_once_a_minute():
    assert _native.CACHE_HEARTBEAT_MS == 60_000
