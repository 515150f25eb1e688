"""Runs that break: killed, raised from, gone on with by as many tasks or by others."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import fits
import headrace as hr
import pytest
from headrace.estimator import CheckpointOptions, GangOptions

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # tasks cannot import it


class Killer:
    """Kills rank 1 in the first attempt, in the middle of the second epoch."""

    def on_step_end(self, training: Any) -> None:
        place = (hr.gang.context().attempt, training.rank, training.epoch, training.step)
        if place == (0, 1, 1, 5):
            os.kill(os.getpid(), signal.SIGKILL)


class Raiser:
    """Raises in the middle of the second epoch."""

    def on_step_end(self, training: Any) -> None:
        if (training.epoch, training.step) == (1, 5):
            raise RuntimeError("broken off here")


@pytest.fixture(scope="module")
def undisturbed(table: Path) -> Any:
    return fits.estimator(tasks=1, validation=0.2).fit_table(table)


def test_a_run_whose_rank_is_killed_ends_with_the_same_curve(
    table: Path, undisturbed: Any
) -> None:
    estimator = fits.estimator(
        validation=0.2,
        callbacks=[Killer()],
        checkpoint=CheckpointOptions(every_steps=2),
        gang=GangOptions(max_restarts=1),
    )
    fits.assert_same(estimator.fit_table(table), undisturbed)


@pytest.fixture
def broken(table: Path, tmp_path: Path) -> Path:
    """A store with the run "r", broken off in the middle of its second epoch."""
    estimator = fits.estimator(
        validation=0.2,
        store=tmp_path,
        run_id="r",
        callbacks=[Raiser()],
        checkpoint=CheckpointOptions(every_steps=2),
    )
    with pytest.raises(hr.errors.PeerFailed, match="broken off here"):
        estimator.fit_table(table)
    return tmp_path


class Steps:
    """Notes where each attempt begins."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def on_train_begin(self, training: Any) -> None:
        with open(self._path, "a", encoding="utf-8") as out:
            out.write(f"{training.epoch} {training.step} {len(training.history)}\n")


def test_a_broken_run_goes_on_with_another_number_of_tasks(
    table: Path, broken: Path, undisturbed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(**changed: Any) -> Any:
        options = {"validation": 0.2, "store": broken, "run_id": "r", **changed}
        return fits.estimator(**options)

    # 32 samples and 8 streams: three tasks divide neither.
    with pytest.raises(hr.errors.Conflict, match="tasks to be one of 1, 2, 4, 8"):
        again(tasks=3, batch_size=16).fit_table(table)
    with pytest.raises(hr.errors.Conflict, match=r"expected 32 \(or 16, as it began\)"):
        again(tasks=1, batch_size=10).fit_table(table)
    with pytest.raises(hr.errors.Conflict, match="begun with seed 7, now 8"):
        again(random_seed=8).fit_table(table)

    notes = broken / "notes"
    estimator = again(tasks=1, batch_size=16, callbacks=[Steps(notes)])
    model = estimator.fit_table(table)
    assert notes.read_text() == "1 4 1\n"
    fits.assert_same(model, undisturbed)

    # A finished run is there at once: no gang is started.
    def refused(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a gang was started")

    monkeypatch.setattr(hr.gang, "run", refused)
    kept = again().fit_table(table)
    fits.assert_same(kept, model)
    assert kept.run_id == "r"
    with pytest.raises(AssertionError, match="a gang was started"):
        again(epochs=4).fit_table(table)
