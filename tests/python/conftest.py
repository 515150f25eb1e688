"""What all tests of the package share."""

import ordering
import pytest


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Survivor counts do not pass from test to test, and no launcher sets the rank."""
    monkeypatch.setenv("HEADRACE_CACHE_DIR", "")
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> ordering.Lake:
    return ordering.make_plain(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="session")
def hive(tmp_path_factory: pytest.TempPathFactory) -> ordering.Lake:
    return ordering.make_hive(tmp_path_factory.mktemp("hive"))
