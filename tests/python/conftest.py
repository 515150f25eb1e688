"""What all tests of the package share."""

import pytest


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Survivor counts do not pass from test to test."""
    monkeypatch.setenv("HEADRACE_CACHE_DIR", "")
