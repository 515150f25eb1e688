"""The oracles agree: a table is what its name says, whoever reads it."""

from typing import Any

import make_tables
import oracle
import pytest
from log_writer import vector_bytes, z85
from make_tables import Tables


def accounts(case: make_tables.Case, version: int) -> dict[str, list[dict[str, Any]]]:
    """The rows of a version, by all who can tell."""
    found = {}
    if case.writer is not None:
        found["writer"] = oracle.rows(case.writer.expected(version))
    if "kernel" in case.oracles:
        found["kernel"] = oracle.rows(oracle.by_kernel(case.uri, version))
    if "deltalake" in case.oracles:
        found["deltalake"] = oracle.rows(oracle.by_deltalake(case.uri, version))
    return found


@pytest.mark.parametrize("name", make_tables.names())
def test_oracles_agree_at_every_version(tables: Tables, name: str) -> None:
    case = tables[name]
    assert case.versions
    for version in case.versions:
        found = accounts(case, version)
        first = next(iter(found))
        for other, rows in found.items():
            assert rows == found[first], f"{name}@{version}: {other} against {first}"


def test_inline_vector_is_as_spark_writes_it() -> None:
    """Rows 3, 4, 7, 11, 18, 29; PROTOCOL.md's own example has an older magic number."""
    example = "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L"
    assert z85(vector_bytes([3, 4, 7, 11, 18, 29])) == example
