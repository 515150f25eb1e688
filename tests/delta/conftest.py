"""Tables of Delta Lake, made once a session."""

import pytest
from make_tables import Tables


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return Tables(tmp_path_factory.mktemp("delta"))
