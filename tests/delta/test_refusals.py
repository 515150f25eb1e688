"""What is broken or unknown is refused, by kind, and says where."""

from pathlib import Path
from typing import Any

import headrace as hr
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from broken_tables import BROKEN, feature_that_came_with_an_upgrade
from headrace import errors
from make_tables import Tables


def read(uri: Any, **options: Any) -> int:
    return hr.open(uri, **options).to_arrow().num_rows


@pytest.mark.parametrize("name", list(BROKEN))
def test_refuses(tmp_path: Path, name: str) -> None:
    broken = BROKEN[name]
    broken.make(tmp_path / name)
    with pytest.raises(hr.HeadraceError) as caught:
        read(tmp_path / name)
    assert caught.value.kind in broken.kinds, str(caught.value)
    message = str(caught.value)
    assert [word for word in broken.words if word not in message] == [], message


def test_versions_before_an_unknown_feature_are_read(tmp_path: Path) -> None:
    feature_that_came_with_an_upgrade(tmp_path / "t")
    assert read(tmp_path / "t", version=3) == 30


@pytest.mark.parametrize("name", ["rs_history", "rs_cleaned", "commit_timestamps"])
def test_versions_that_are_not_there(tables: Tables, name: str) -> None:
    case = tables[name]
    for version in (*case.gone, case.versions[-1] + 1, 10**18):
        with pytest.raises(errors.NotFound, match=str(version)):
            hr.open(case.uri, version=version)


def test_a_negative_version_is_an_argument(tables: Tables) -> None:
    with pytest.raises(errors.InvalidArgument, match="version"):
        hr.open(tables["rs_history"].uri, version=-1)


@pytest.mark.parametrize("version", [1.0, "1", True])
def test_a_version_is_an_integer(tables: Tables, version: Any) -> None:
    with pytest.raises(errors.InvalidArgument, match="version"):
        hr.open(tables["rs_history"].uri, version=version)


def test_version_and_as_of_together(tables: Tables) -> None:
    with pytest.raises(errors.InvalidArgument, match="as_of"):
        hr.open(tables["rs_history"].uri, version=1, as_of="2026-11-01T00:00Z")


@pytest.mark.parametrize("as_of", ["yesterday", "2026-13-01", "", 5.5])
def test_a_time_that_is_none(tables: Tables, as_of: Any) -> None:
    with pytest.raises(errors.InvalidArgument, match="time"):
        hr.open(tables["rs_history"].uri, as_of=as_of)


def test_plain_parquet_has_no_versions(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1]}), tmp_path / "f.parquet")
    for options in ({"version": 0}, {"as_of": "2026-11-01T00:00Z"}):
        with pytest.raises((errors.InvalidArgument, errors.NotFound, errors.Unsupported)):
            hr.open(tmp_path, **options)
