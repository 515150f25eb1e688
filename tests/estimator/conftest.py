"""Environment of the tests, and the table that most of them train on."""

from pathlib import Path

import fits
import pytest


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Survivor counts do not pass from test to test, and no launcher sets the rank."""
    monkeypatch.setenv("HEADRACE_CACHE_DIR", "")
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fits.make_table(tmp_path_factory.mktemp("estimator") / "table")
