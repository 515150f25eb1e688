"""Time in the path, and ranges of time."""

import datetime
import itertools
import pickle
from pathlib import Path
from typing import Any

import headrace as hr
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from headrace import errors

UTC = datetime.UTC
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)


def write(path: Path, columns: "dict[str, Any] | pa.Table") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path)


def ids(dataset: hr.Dataset) -> list[int]:
    return sorted(dataset.to_arrow()["id"].to_pylist())


def files(dataset: hr.Dataset) -> int:
    found: int = dataset.explain().to_dict()["after"]["files"]
    return found


def hours(count: int) -> list[datetime.datetime]:
    first = datetime.datetime(2025, 12, 30, 22)
    return [first + 7 * HOUR * n for n in range(count)]


def lake(root: Path, folder: str, count: int = 60) -> hr.Dataset:
    """A row, and a file, for each of some hours; `folder` is filled in by strftime."""
    for number, at in enumerate(hours(count)):
        write(root / at.strftime(folder) / f"{number}.parquet", {"id": [number]})
    return hr.open(root)


LAYOUTS = {
    "year=%Y/month=%m/day=%d/hour=%H": HOUR,
    "year=%Y/month=%-m/day=%-d/hour=%-H": HOUR,
    "Year=%Y/Month=%m/Day=%d": DAY,
    "day=%Y-%m-%d": DAY,
    "dt=%Y-%m-%d/hour=%H": HOUR,
    "region=eu/date=%Y-%m-%d": DAY,
    "ts=%s": datetime.timedelta(seconds=1),
    "event_time=%s000": datetime.timedelta(seconds=1),
    "hour=%-H/year=%Y/minute=%-M/month=%-m/day=%-d": HOUR,  # in any order
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_time_and_every_range(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    dataset = lake(tmp_path, layout)
    step = LAYOUTS[layout]
    times = hours(60)
    cuts = sorted({_floored(at, step) for at in times[::11]} | {_floored(times[-1], DAY)})
    for start, end in itertools.combinations_with_replacement(cuts, 2):
        want = [n for n, at in enumerate(times) if start <= _floored(at, step) < end]
        found = dataset.between(start, end)
        assert ids(found) == want, (start, end)
        assert files(found) == found.count_rows() == len(want)


def _floored(at: datetime.datetime, step: datetime.timedelta) -> datetime.datetime:
    return datetime.datetime.min + (at - datetime.datetime.min) // step * step


def test_bounds_of_every_kind(tmp_path: Path) -> None:
    dataset = lake(tmp_path, "day=%Y-%m-%d")
    want = ids(dataset.where("day >= date '2026-01-01' and day < date '2026-01-03'"))
    assert want
    berlin = datetime.timezone(HOUR)
    for start, end in (
        ("2026-01-01", "2026-01-03"),
        ("2026-01-01T00:00", "2026-01-03 00:00:00Z"),
        (datetime.date(2026, 1, 1), datetime.date(2026, 1, 3)),
        (datetime.datetime(2026, 1, 1), datetime.datetime(2026, 1, 3, tzinfo=UTC)),
        (1767225600, 1767398400),
        (1767225600000, 1767398400000000),
        (datetime.datetime(2026, 1, 1, 1, tzinfo=berlin), "2026-01-03T01:00+01:00"),
    ):
        assert ids(dataset.between(start, end)) == want


def test_a_time_column_in_the_files(tmp_path: Path) -> None:
    times = [datetime.datetime(2026, 1, 1, tzinfo=UTC) + HOUR * n for n in range(48)]
    zoned = pa.table({"id": range(48), "ts": pa.array(times, pa.timestamp("us", "UTC"))})
    write(tmp_path / "a/f.parquet", zoned)
    found = hr.open(tmp_path / "a").between(
        "2026-01-01T05:00", "2026-01-01T05:00:00.000001"
    )
    assert ids(found) == [5]
    naive = zoned.set_column(1, "ts", zoned["ts"].cast(pa.timestamp("ms")))
    write(tmp_path / "b/f.parquet", naive)
    plain = hr.open(tmp_path / "b")
    assert ids(plain.between("2026-01-01T05:00", "2026-01-01T07:00")) == [5, 6]
    assert ids(plain.between(1767243600, 1767250800)) == [5, 6]
    with pytest.raises(errors.InvalidArgument, match="zone"):
        plain.between("2026-01-01T05:00Z", "2026-01-01T07:00Z")


def test_a_column_that_is_named(tmp_path: Path) -> None:
    """A partition column of days, and a finer time in the files."""
    for day in (1, 2):
        at = [datetime.datetime(2026, 1, day, h) for h in range(24)]
        columns = {"id": range(24 * day - 24, 24 * day), "at": at, "due": at}
        write(tmp_path / f"day=2026-01-0{day}/f.parquet", columns)
    dataset = hr.open(tmp_path)
    assert ids(dataset.between("2026-01-02", "2026-01-03")) == list(range(24, 48))
    finer = dataset.between("2026-01-01T20:00", "2026-01-02T02:00", column="at")
    assert ids(finer) == list(range(20, 26))
    with pytest.raises(errors.InvalidArgument, match=r"finer than \"day\""):
        dataset.between("2026-01-01T20:00", "2026-01-02T02:00")
    with pytest.raises(errors.NotFound, match="when"):
        dataset.between("2026-01-01", "2026-01-02", column="when")
    with pytest.raises(errors.InvalidArgument, match=r"\"at\", \"due\""):
        hr.open(tmp_path / "day=2026-01-01/f.parquet").between("2026-01-01", "2026-01-02")
    with pytest.raises(errors.InvalidArgument, match="compare them by where"):
        dataset.between(1, 2, column="id")


def test_epochs_beside_timestamp_literals(tmp_path: Path) -> None:
    for number, ts in enumerate((1342428418, 1342432018, 1342435618)):
        write(tmp_path / f"ts={ts}/f.parquet", {"id": [number]})
    dataset = hr.open(tmp_path)
    for text, want in (
        ("ts = timestamp '2012-07-16 08:46:58Z'", [0]),
        ("timestamp '2012-07-16 08:46:58.5Z' < ts", [1, 2]),
        ("ts <= timestamp '2012-07-16 08:46:58.5Z' or ts = 1342435618", [0, 2]),
        ("not ts < timestamp '2012-07-16T09:46:58'", [1, 2]),
        ("ts between timestamp '2012-07-16 09:00:00Z' and date '2012-07-17'", [1, 2]),
        ("ts > date '2012-07-17'", []),
        ("ts = timestamp '2012-07-16 08:46:58.5Z'", []),
    ):
        found = dataset.where(text)
        assert ids(found) == want, text
        assert files(found) == len(want)
    moment = datetime.datetime(2012, 7, 16, 9, 46, 58, tzinfo=UTC)
    assert ids(dataset.where(pc.field("ts") == moment)) == [1]
    # Integers in files count what only their owner knows.
    with pytest.raises(errors.InvalidArgument):
        dataset.where("id > timestamp '2012-07-16 08:46:58Z'")


def test_a_range_narrows_and_is_kept_by_states_and_pickles(tmp_path: Path) -> None:
    dataset = lake(tmp_path, "ts=%s")
    some = dataset.where("id % 2 = 0").between("2026-01-01", "2026-01-05")
    assert ids(some) == ids(pickle.loads(pickle.dumps(some))) != []
    with some.loader(batch_size=2, to="numpy") as loader:
        dealt = [int(i) for batch in loader for i in batch["id"]]
    assert sorted(dealt) == ids(some)


def test_files_that_a_range_leaves_out_are_not_read(tmp_path: Path) -> None:
    lake(tmp_path, "day=%Y-%m-%d")
    some = hr.open(tmp_path).between("2026-01-01", "2026-01-03")
    want = ids(some)
    for path in tmp_path.rglob("*.parquet"):
        if "day=2026-01-01" not in str(path) and "day=2026-01-02" not in str(path):
            path.unlink()
    assert ids(some) == want


@pytest.mark.parametrize("bad", [None, True, 1.5, b"2026-01-01", [2026]])
def test_bounds_that_are_no_time(tmp_path: Path, bad: Any) -> None:
    dataset = lake(tmp_path, "day=%Y-%m-%d", 2)
    with pytest.raises(errors.InvalidArgument, match="start"):
        dataset.between(bad, "2026-01-01")
    with pytest.raises(errors.InvalidArgument, match="end"):
        dataset.between("2025-01-01", bad)
    with pytest.raises(errors.InvalidArgument, match="column"):
        dataset.between("2025-01-01", "2026-01-01", column=bad or 5)
