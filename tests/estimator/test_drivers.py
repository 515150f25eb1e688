"""One driver at a time has a run: others are told who, and go on with it once he is gone."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fits
import headrace as hr
import pytest
from headrace.estimator import Store, _store
from headrace.estimator._store import RunStore

# Seconds on both sides of what a lease holds.
YOUNG, OLD = 60, 240


def leases(store: Path) -> list[Path]:
    return sorted((store / "runs/r/leases").iterdir())


def of_another_host(store: Path, age: float) -> Path:
    """A lease as another host's driver leaves it, that old by the clock of the store."""
    with RunStore(Store(store), "r").held():
        (own,) = leases(store)
        record = {**json.loads(own.read_text()), "host": "elsewhere", "pid": 17}
    path = own.with_name("0.json")
    path.write_text(json.dumps(record))
    now = path.stat().st_mtime
    os.utime(path, (now - age, now - age))
    return path


def without_a_gang(monkeypatch: pytest.MonkeyPatch, act: Callable[..., Any]) -> None:
    monkeypatch.setattr(hr.gang, "run", lambda *args, **options: act(**options))


DRIVER = """
    import sys, time
    sys.path.insert(0, {helpers!r})
    import cloudpickle, fits
    from headrace.estimator import CheckpointOptions

    class Sleeper:
        def on_step_end(self, training):
            if (training.epoch, training.step) == (1, 5):
                print("asleep", flush=True)
                time.sleep(1000)

    cloudpickle.register_pickle_by_value(sys.modules["__main__"])
    fits.estimator(
        validation=0.2, store={store!r}, run_id="r", callbacks=[Sleeper()],
        checkpoint=CheckpointOptions(every_steps=2), tasks=1,
    ).fit_table({table!r})
"""


def test_a_killed_drivers_run_is_gone_on_with(table: Path, tmp_path: Path) -> None:
    text = DRIVER.format(
        helpers=str(Path(__file__).parent), store=str(tmp_path), table=str(table)
    )
    options: dict[str, Any] = {"validation": 0.2, "tasks": 1}
    mine = fits.estimator(**options, store=tmp_path, run_id="r")
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)], stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        assert "asleep" in driver.stdout.readline()
        with pytest.raises(hr.errors.Conflict) as refused:
            mine.fit_table(table)
        # Stopped, it lives.
        driver.send_signal(signal.SIGSTOP)
        with pytest.raises(hr.errors.Conflict):
            mine.fit_table(table)
        driver.kill()
    (host,) = {json.loads(path.read_text())["host"] for path in leases(tmp_path)}
    for part in (
        f"{tmp_path}/runs/r is in use by process {driver.pid} of host {host} since 20",
        "wait until that has ended",
        "Or take another run_id",
    ):
        assert part in str(refused.value)
    model = mine.fit_table(table)
    assert leases(tmp_path) == []
    fits.assert_same(model, fits.estimator(**options).fit_table(table))
    # It went on in the second epoch: the first one's entry is the killed driver's.
    assert [one["epoch"] for one in model.history] == [0, 1, 2]


def test_another_hosts_run_is_free_when_its_lease_has_lapsed(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(**options: Any) -> Any:
        raise NotImplementedError("begun")

    without_a_gang(monkeypatch, act)
    mine = fits.estimator(store=tmp_path, run_id="r")
    path = of_another_host(tmp_path, YOUNG)
    with pytest.raises(
        hr.errors.Conflict, match="in use by process 17 of host elsewhere"
    ):
        mine.fit_table(table)
    assert leases(tmp_path) == [path]
    path.unlink()
    of_another_host(tmp_path, OLD)
    with pytest.raises(NotImplementedError):
        mine.fit_table(table)
    assert leases(tmp_path) == []


def test_a_finished_run_is_everyones(table: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"tasks": 1, "epochs": 1, "store": tmp_path, "run_id": "r"}
    model = fits.estimator(**options).fit_table(table)
    with RunStore(Store(tmp_path), "r").held():
        fits.assert_same(fits.estimator(**options).fit_table(table), model)
        longer = fits.estimator(**{**options, "epochs": 2})
        with pytest.raises(hr.errors.Conflict, match=f"process {os.getpid()} of"):
            longer.fit_table(table)


def test_who_lost_a_run_stops_and_writes_nothing_more(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def act(on_report: Callable[[int, Any], None], **options: Any) -> Any:
        on_report(0, "still mine")
        told.append("mine")
        for path in leases(tmp_path):  # as by one who took it for dead
            path.unlink()
        _store._leases.renew()
        on_report(0, "theirs")
        raise AssertionError("it went on")

    without_a_gang(monkeypatch, act)
    with pytest.raises(hr.errors.Conflict, match="is this process' no more"):
        fits.estimator(store=tmp_path, run_id="r").fit_table(table)
    assert told == ["mine"]
    assert json.loads((tmp_path / "runs/r/run.json").read_text())["state"] == "training"
    assert leases(tmp_path) == []


def test_a_lease_is_renewed_while_it_is_held_and_leaves_nothing(tmp_path: Path) -> None:
    def threads() -> list[threading.Thread]:
        return [one for one in threading.enumerate() if one.name == "headrace-runs"]

    def join_all() -> None:
        # A thread is told to end with the last lease, and does so by itself.
        for thread in threads():
            thread.join()

    run = RunStore(Store(tmp_path), "r")
    join_all()  # those of other tests
    with run.held():
        assert len(threads()) == 1
        (path,) = leases(tmp_path)
        os.utime(path, (1, 1))
        _store._leases.renew()
        assert path.stat().st_mtime > 1
        run.check_held()
        # A process that is forked off has nothing of it.
        child = os.fork()
        if child == 0:
            try:
                assert _store._leases.held() == []
                assert run._lease is not None
                run._lease.renew()
                run._lease.release()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert leases(tmp_path) == [path]
    assert leases(tmp_path) == []
    join_all()
    assert threads() == []


def test_a_storage_that_fails_at_the_end_is_no_failure_of_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunStore(Store(tmp_path), "r")
    with run.held():
        assert run._lease is not None
        native = run._lease._native

        class Silent:
            def release(self) -> None:
                raise hr.errors.Unavailable("storage is silent")

        run._lease._native = Silent()  # type: ignore[assignment]
    assert "storage is silent" in caplog.text
    assert _store._leases.held() == []
    native.release()
