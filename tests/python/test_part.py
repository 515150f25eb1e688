"""Parts of tables: what `where` and `between` of `open` rule out is not even listed."""

import datetime
import pickle
import threading
from pathlib import Path

import headrace as hr
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem


class Counting(LocalFileSystem):
    """Local files; which directories are listed and which files opened, in any order."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[str] = []
        self.opened: set[str] = set()
        self.lock = threading.Lock()

    def ls(self, path, detail=False, **kwargs):
        with self.lock:
            self.listed.append(str(path))
        return super().ls(path, detail=detail, **kwargs)

    def cat_file(self, path, start=None, end=None, **kwargs):
        with self.lock:
            self.opened.add(str(path))
        return super().cat_file(path, start=start, end=end, **kwargs)

    def open(self, path, *args, **kwargs):
        with self.lock:
            self.opened.add(str(path))
        return super().open(path, *args, **kwargs)


def make_lake(root: Path, folders: list[str]) -> Path:
    """One file of two rows in each folder; `x` numbers them."""
    for i, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        pq.write_table(pa.table({"x": [2 * i, 2 * i + 1]}), root / folder / "f.parquet")
    (root / "_SUCCESS").touch()
    return root


DEFAULT = "__HIVE_DEFAULT_PARTITION__"
EPOCHS = ["ts=1342428418", "ts=1342432018", "ts=1342435618"]
DATES = ["date=2026-10-31", "date=2026-11-01", "date=2026-11-02", f"date={DEFAULT}"]
PARTS = [
    "year=2025/month=12/day=31",
    "year=2026/month=10/day=31",
    "year=2026/month=11/day=1",
    "year=2026/month=11/day=2",
    f"year=2026/month={DEFAULT}/day=1",
]
MIXED = [
    "a/region=de/date=2026-11-01",
    "a/region=fr/date=2026-11-02",
    "b/region=de/date=2026-11-01",
    "b/region=de/date=2026-11-03",
]

CASES = [
    (EPOCHS, "ts >= 1342428418 and ts < 1342432018", ["ts=1342428418"]),
    (EPOCHS, "ts = timestamp '2012-07-16 09:46:58Z'", ["ts=1342432018"]),
    (EPOCHS, "not ts > 1342428418", ["ts=1342428418"]),
    (DATES, "date = '2026-11-01'", ["date=2026-11-01"]),
    (
        DATES,
        "date in ('2026-10-31', '2026-11-02')",
        ["date=2026-10-31", "date=2026-11-02"],
    ),
    (DATES, "date is null", [f"date={DEFAULT}"]),
    (DATES, "not (date >= '2026-11-01' or x = 1)", ["date=2026-10-31"]),
    (
        DATES,
        "date < '2026-11-01' or date is null",
        ["date=2026-10-31", f"date={DEFAULT}"],
    ),
    (DATES, "date > '2030-01-01'", []),
    (DATES, "x = 3", DATES),
    (DATES, "date = '2026-11-01' or x = 6", DATES),
    (PARTS, "year = 2026 and month = 11 and day > 1 and x >= 0", [PARTS[3]]),
    (PARTS, "month = 11 or year = 2025", [PARTS[0], PARTS[2], PARTS[3]]),
    (PARTS, "year = 2026 and month is null", [PARTS[4]]),
    (MIXED, "region = 'de' and date < '2026-11-03'", [MIXED[0], MIXED[2]]),
    (MIXED, "date in ('2026-11-02')", [MIXED[1]]),
]


@pytest.mark.parametrize(("folders", "where", "left"), CASES)
def test_what_a_filter_rules_out_is_neither_listed_nor_opened(
    tmp_path, folders, where, left
):
    lake = make_lake(tmp_path / "lake", folders)
    counting = Counting()
    part = hr.open(str(lake), where=where, filesystem=counting)
    whole = hr.open(lake).where(where)
    assert part.schema == whole.schema
    assert part.to_arrow().equals(whole.to_arrow())
    assert part.count_rows() == whole.count_rows()
    again = pickle.loads(pickle.dumps(part))
    assert again.fingerprint == part.fingerprint
    assert again.to_arrow().equals(whole.to_arrow())
    # If nothing is left, some file is opened for its schema.
    if left:
        ruled_out = set(folders) - set(left)
        touched = {*counting.listed, *counting.opened}
        for folder in ruled_out:
            assert not any(f"/{folder}" in path for path in touched), folder
        assert part.explain().to_dict()["before"]["files"] == len(left)


RANGES = [
    (EPOCHS, (1342432018, 1342435618), ["ts=1342432018"]),
    (EPOCHS, ("2012-07-16T09:46:58Z", "2012-07-16T10:00:00Z"), ["ts=1342432018"]),
    (DATES, ("2026-11-01", "2026-12-01"), DATES[1:3]),
    (DATES, (datetime.date(2026, 10, 1), "2026-11-01", "date"), DATES[:1]),
    (PARTS, ("2026-11-01", "2026-11-02"), [PARTS[2]]),
    (PARTS, ("2025-12-31", "2026-11-01"), PARTS[:2]),
    (PARTS, ("2025-01-01", "2026-01-01", "year"), PARTS[:1]),
    (MIXED, ("2026-11-02", "2026-11-04"), [MIXED[1], MIXED[3]]),
]


@pytest.mark.parametrize(("folders", "between", "left"), RANGES)
def test_days_outside_of_a_range_are_neither_listed_nor_opened(
    tmp_path, folders, between, left
):
    lake = make_lake(tmp_path / "lake", folders)
    counting = Counting()
    part = hr.open(str(lake), between=between, filesystem=counting)
    start, end, *column = between
    whole = hr.open(lake).between(start, end, column=column[0] if column else None)
    assert part.to_arrow().equals(whole.to_arrow())
    assert pickle.loads(pickle.dumps(part)).to_arrow().equals(whole.to_arrow())
    touched = {*counting.listed, *counting.opened}
    for folder in set(folders) - set(left):
        assert not any(f"/{folder}" in path for path in touched), folder
    assert part.explain().to_dict()["before"]["files"] == len(left)


def test_batches_and_states_are_those_of_the_part_alone(tmp_path):
    lake = make_lake(tmp_path / "lake", DATES)
    options = {"batch_size": 1, "seed": 3, "shuffle_window_rows": 4}
    where = "date >= '2026-11-01'"
    whole = hr.open(lake).where(where)
    part = hr.open(lake, where=where)
    with whole.loader(**options) as of_whole, part.loader(**options) as of_part:
        batches = [batch["x"].item() for batch in of_part]
        assert batches == [batch["x"].item() for batch in of_whole]
    with part.loader(**options) as begun:
        next(iter(begun))
        state = begun.state_dict()
    with (
        whole.loader(**options) as other,
        pytest.raises(hr.HeadraceError, match="fingerprint"),
    ):
        other.load_state_dict(state)
    with part.loader(**options) as again:
        again.load_state_dict(state)
        assert [batch["x"].item() for batch in again] == batches[1:]


def test_where_and_between_both_narrow(tmp_path):
    lake = make_lake(tmp_path / "lake", PARTS)
    both = hr.open(lake, where="day = 1", between=("2026-11-01", "2026-12-01"))
    assert both.to_arrow()["x"].to_pylist() == [4, 5]
    assert both.where("x = 5").count_rows() == 1
    assert "part of" in str(both)


def test_a_catalogs_table_is_opened_in_part(tmp_path):
    lake = make_lake(tmp_path / "lake", DATES)
    catalog = hr.catalog(tmp_path / "catalog.db")
    catalog.add("days", lake)
    (lake / "date=2026-10-31/f.parquet").write_bytes(b"no Parquet")
    opened = catalog.open("days", where="date = '2026-11-02'")
    assert opened.to_arrow()["x"].to_pylist() == [4, 5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"where": ""}, "where is ''"),
        ({"where": 7}, "where is 7"),
        ({"between": "2026-11-01"}, "between is '2026-11-01'"),
        ({"between": ("2026-11-01",)}, r"expected a tuple \(start, end\)"),
        ({"between": ("2026-11-01", None)}, "between's end is None"),
        ({"between": ("2026-11-01", "2026-11-02", 3)}, "between's column is 3"),
        ({"between": ("2026-11-02", "2026-11-01")}, "is after end"),
        ({"where": "date = 7"}, "date"),
    ],
)
def test_what_is_no_filter_or_range_is_refused(tmp_path, options, message):
    lake = make_lake(tmp_path / "lake", DATES)
    with pytest.raises(hr.errors.InvalidArgument, match=message):
        hr.open(lake, **options)
