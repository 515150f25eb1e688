"""Row ids, rows by their ids, and splits."""

import itertools
import pickle
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import headrace as hr
import lakes
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from headrace import errors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

calm = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
ROWS = 3000
FILE_ROWS = [700, 1300, 1000]


def row_id(file: int, row: int) -> int:
    """As docs/guide/samples.md has it."""
    return file << 40 | row


def write(root: Path, cuts: list[int], rows: int = ROWS) -> Path:
    """Rows of id, a user whose rows are everywhere, and text, in files of these lengths."""
    root.mkdir(parents=True, exist_ok=True)
    ids = np.arange(rows)
    table = pa.table(
        {
            "id": ids,
            "user": pa.array(ids % 211, pa.int32()),
            "name": [None if i % 13 == 0 else f"n{i % 97}" for i in ids],
            "x": ids * 0.5,
        }
    )
    first = 0
    for number, length in enumerate(cuts):
        pq.write_table(
            table.slice(first, length),
            root / f"f{number}.parquet",
            row_group_size=400,
            data_page_size=512,
            write_batch_size=64,
            write_page_index=number != 1,
        )
        first += length
    return root


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("samples") / "lake", FILE_ROWS)


def ids_of(cuts: list[int]) -> list[int]:
    return [row_id(f, r) for f, length in enumerate(cuts) for r in range(length)]


def pairs(dataset: hr.Dataset, **options: Any) -> list[tuple[int, int]]:
    """(id, row id) of all samples of an epoch, in order."""
    found: list[tuple[int, int]] = []
    with dataset.loader(**options) as loader:
        for batch in loader:
            assert batch["row_id"].dtype == np.int64
            assert batch["row_id"].shape == batch["id"].shape
            found += zip(batch["id"].tolist(), batch["row_id"].tolist(), strict=True)
    return found


def test_row_ids_are_file_and_row_in_stored_order(lake: Path) -> None:
    table = hr.open(lake).select("id", row_id=True).to_arrow()
    assert table.column_names == ["id", "row_id"]
    assert table["row_id"].to_pylist() == ids_of(FILE_ROWS)
    # A list keeps the order that it is given in.
    backwards = hr.open([str(lake / f"f{n}.parquet") for n in (2, 1, 0)])
    assert backwards.select(row_id=True).to_arrow()["row_id"].to_pylist() == ids_of(
        FILE_ROWS[::-1]
    )


def test_no_row_ids_come_unasked(lake: Path) -> None:
    dataset = hr.open(lake)
    assert "row_id" not in dataset.schema.names
    assert "row_id" not in dataset.to_arrow().column_names
    assert dataset.select(row_id=True).schema.names == [*dataset.schema.names, "row_id"]
    with pytest.raises(errors.InvalidArgument, match="row_id is 1"):
        dataset.select("id", row_id=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("where", [None, "id % 3 = 1", "x < 600", "name is null"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_sample_keeps_its_row_id(
    lake: Path, where: str | None, shuffle: bool
) -> None:
    dataset = hr.open(lake).select("id", row_id=True)
    if where is not None:
        dataset = dataset.where(where)
    known = dict(enumerate(ids_of(FILE_ROWS)))
    expected = dataset.to_arrow()["row_id"].to_pylist()
    order: dict[str, Any] = {
        "shuffle": shuffle,
        "streams": 4,
        "shuffle_window_rows": 500,
        "seed": 3,
    }
    for world_size in (1, 2, 4):
        seen: list[int] = []
        for rank in range(world_size):
            for sample, found in pairs(
                dataset,
                batch_size=32,
                rank=rank,
                world_size=world_size,
                pad_last=world_size > 1,
                **order,
            ):
                assert found == known[sample]
                seen.append(found)
        assert sorted(set(seen)) == expected


def test_row_ids_go_on_after_resuming(lake: Path) -> None:
    dataset = hr.open(lake).select("id", row_id=True)
    whole = pairs(dataset, batch_size=50, seed=5)
    with dataset.loader(batch_size=50, seed=5) as loader:
        batches = iter(loader)
        for _ in range(7):
            next(batches)
        state = loader.state_dict()
    with dataset.loader(batch_size=50) as loader:
        loader.load_state_dict(state)
        rest = [i for batch in loader for i in batch["row_id"].tolist()]
    assert rest == [i for _, i in whole[350:]]


def test_row_ids_stay_right_around_bad_rows(lake: Path) -> None:
    dataset = hr.open(lake).select("name", "id", row_id=True).on_error("skip")
    found = pairs(dataset, batch_size=64, seed=1)  # rows without a name are bad
    known = ids_of(FILE_ROWS)
    assert len(found) == ROWS - len(range(0, ROWS, 13))
    assert all(row == known[sample] and sample % 13 for sample, row in found)


def test_row_ids_prune_and_read_nothing(lake: Path) -> None:
    dataset = hr.open(lake).select("row_id")
    one = dataset.where(f"row_id = {row_id(1, 850)}")
    summary = one.explain().to_dict()
    assert summary["after"]["row_groups"] == 1
    assert summary["columns_read"] == []
    assert one.count_rows() == 1
    assert one.to_arrow()["row_id"].to_pylist() == [row_id(1, 850)]
    first_file = dataset.where(pc.field("row_id") < row_id(1, 0))
    assert first_file.count_rows() == FILE_ROWS[0]
    assert first_file.explain().to_dict()["rows_proven"] == FILE_ROWS[0]
    with dataset.loader() as loader:
        for _ in loader:
            pass
        assert loader.stats()["values_decoded"] == 0


def test_a_stored_column_of_that_name_stays_what_it_is(tmp_path: Path) -> None:
    pq.write_table(pa.table({"row_id": ["a", "b"]}), tmp_path / "f.parquet")
    dataset = hr.open(tmp_path)
    assert dataset.select("row_id").to_arrow()["row_id"].to_pylist() == ["a", "b"]
    with pytest.raises(errors.InvalidArgument, match='stores a column "row_id"'):
        dataset.select(row_id=True)
    with pytest.raises(errors.InvalidArgument, match='stores a column "row_id"'):
        dataset.split({"a": 0.5, "b": 0.5})
    assert dataset.take([1, 0])["row_id"].to_pylist() == ["b", "a"]


def test_torch_gets_row_ids_and_take_takes_tensors(lake: Path) -> None:
    torch = pytest.importorskip("torch")
    dataset = hr.open(lake).select("id", row_id=True)
    with dataset.loader(batch_size=16, to="torch") as loader:
        batch = next(iter(loader))
    assert batch["row_id"].dtype == torch.int64
    assert dataset.take(batch["row_id"])["id"].to_pylist() == batch["id"].tolist()


@contextmanager
def drawn_lake(data: st.DataObject) -> Iterator[lakes.Lake]:
    root = Path(tempfile.mkdtemp(prefix="headrace-lake-"))
    try:
        yield data.draw(lakes.lakes(root))
    finally:
        shutil.rmtree(root)


@calm
@given(st.data())
def test_take_gives_the_rows_that_to_arrow_has(data: st.DataObject) -> None:
    with drawn_lake(data) as lake:
        dataset = hr.open(lake.root).select(row_id=True)
        whole = dataset.to_arrow()
        known = whole["row_id"].to_pylist()
        assert known == sorted(set(known))
        places = data.draw(
            st.lists(st.integers(0, len(known) - 1), max_size=20)
            if known
            else st.just([])
        )
        taken = dataset.where("id < 0").take([known[place] for place in places])
        taken.validate(full=True)
        assert taken.schema.equals(whole.schema)
        expected = whole.to_pylist()
        assert list(map(repr, taken.to_pylist())) == [repr(expected[p]) for p in places]


def test_take_reads_columns_that_some_files_lack(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([1, 2], pa.int32())}), tmp_path / "f0.parquet")
    pq.write_table(pa.table({"a": [3, 4], "b": ["x", "y"]}), tmp_path / "f1.parquet")
    taken = hr.open(tmp_path).take([row_id(1, 1), row_id(0, 0), row_id(1, 0)])
    assert taken.to_pydict() == {"a": [4, 1, 3], "b": ["y", None, "x"]}
    assert taken.schema.field("a").type == pa.int64()


def test_take_reads_few_pages(lake: Path) -> None:
    dataset = hr.open(lake).select("x").cast({"x": "float32"})
    taken = dataset.take(np.array([row_id(2, 5), row_id(0, 3)], np.uint64))
    assert taken["x"].to_pylist() == [(2000 + 5) * 0.5, 1.5]
    assert taken.schema.field("x").type == pa.float32()
    assert dataset.take([]).num_rows == 0


@pytest.mark.parametrize("bad", [[0.5], ["a"], [[1]], 7, [2**63], [True]])
def test_take_refuses_what_is_no_id(lake: Path, bad: Any) -> None:
    with pytest.raises(errors.InvalidArgument, match="row_ids"):
        hr.open(lake).take(bad)


def test_take_names_an_id_that_is_not_there(lake: Path) -> None:
    with pytest.raises(errors.NotFound, match=f"row id {row_id(0, 700)} .*has 700 rows"):
        hr.open(lake).take([row_id(0, 1), row_id(0, 700)])


def members(splits: dict[str, hr.Dataset]) -> dict[str, list[int]]:
    return {
        name: s.select("id").to_arrow()["id"].to_pylist() for name, s in splits.items()
    }


@calm
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=5),
    st.sampled_from([None, "user", "name", "id"]),
    st.integers(0, 2**64 - 1),
)
def test_splits_are_disjoint_and_cover_everything(
    lake: Path, parts: list[int], by: str | None, seed: int
) -> None:
    dataset = hr.open(lake)
    fractions = {f"s{i}": part / sum(parts) for i, part in enumerate(parts)}
    splits = dataset.split(fractions, by=by, seed=seed)
    assert list(splits) == list(fractions)
    found = members(splits)
    assert sorted(i for ids in found.values() for i in ids) == list(range(ROWS))
    assert [s.count_rows() for s in splits.values()] == list(map(len, found.values()))
    if by is not None:  # leak-free, nulls too
        keys = [set(s.to_arrow()[by].to_pylist()) for s in splits.values()]
        assert sum(map(len, keys)) == len(set().union(*keys))


@calm
@given(st.lists(st.integers(1, ROWS - 1), max_size=4, unique=True))
def test_splits_by_a_key_do_not_depend_on_the_files(lake: Path, cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), ROWS]
    root = Path(tempfile.mkdtemp(prefix="headrace-lake-"))
    try:
        write(root, [end - begin for begin, end in itertools.pairwise(ends)])
        fractions = {"train": 0.8, "val": 0.2}
        expected = members(hr.open(lake).split(fractions, by="user", seed=4))
        assert members(hr.open(root).split(fractions, by="user", seed=4)) == expected
    finally:
        shutil.rmtree(root)


@pytest.mark.parametrize(
    "types",
    [
        [pa.int16(), pa.int64(), pa.uint64()],
        [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())],
    ],
)
def test_a_key_stays_where_it_is_in_any_type_that_holds_it(
    tmp_path: Path, types: list[pa.DataType]
) -> None:
    found = []
    for number, type_ in enumerate(types):
        root = tmp_path / str(number)
        root.mkdir()
        ids = range(500)
        keys = ids if pa.types.is_integer(type_) else [str(i) for i in ids]
        table = pa.table({"id": pa.array(ids), "k": pa.array(keys, type_)})
        pq.write_table(table, root / "f.parquet")
        splits = hr.open(root).split({"a": 0.3, "b": 0.7}, by="k", seed=1)
        found.append(members(splits)["a"])
    assert found[0] and all(ids == found[0] for ids in found)


@pytest.mark.parametrize("by", [None, "id"])
def test_shares_are_about_right(tmp_path: Path, by: str | None) -> None:
    pq.write_table(pa.table({"id": np.arange(100_000)}), tmp_path / "f.parquet")
    splits = hr.open(tmp_path).split({"a": 0.8, "b": 0.15, "c": 0.05}, by=by, seed=0)
    counts = [split.count_rows() for split in splits.values()]
    assert sum(counts) == 100_000
    for count, share in zip(counts, [0.8, 0.15, 0.05], strict=True):
        assert abs(count / 100_000 - share) < 0.005  # about four deviations


def test_splits_by_a_partition_leave_whole_files_out(tmp_path: Path) -> None:
    for day in range(20):
        (tmp_path / f"day={day}").mkdir()
        pq.write_table(pa.table({"id": [day]}), tmp_path / f"day={day}" / "f.parquet")
    splits = hr.open(tmp_path).split({"a": 0.5, "b": 0.5}, by="day", seed=2)
    summaries = [split.explain().to_dict() for split in splits.values()]
    assert sum(summary["after"]["files"] for summary in summaries) == 20
    assert all(s["rows_proven"] == s["after"]["rows"] for s in summaries)


def test_a_split_works_as_any_dataset(lake: Path) -> None:
    dataset = hr.open(lake).where("x < 1000").select("id", row_id=True)
    splits = dataset.split({"train": 0.8, "val": 0.2}, by="user", seed=7)
    assert str(splits["train"].explain().to_dict()["filter"]) == (
        "x < 1000.0 and split_key(user, 7) < 0.8"
    )
    train = pickle.loads(pickle.dumps(splits["train"]))
    assert sorted(pairs(train, seed=1)) == sorted(pairs(splits["train"], seed=2))
    by_text = dataset.where("split_key(user, 7) < 0.8")
    with (
        splits["train"].loader(batch_size=10) as loader,
        by_text.loader(batch_size=10) as other,
        splits["val"].loader(batch_size=10) as wrong,
    ):
        next(iter(loader))
        state = loader.state_dict()
        other.load_state_dict(state)  # the same filter, so the same order
        with pytest.raises(errors.Conflict, match="filter"):
            wrong.load_state_dict(state)
    again = splits["train"].split({"a": 0.5, "b": 0.5}, by="user", seed=8)
    parts = members(again)
    assert parts["a"] and parts["b"]
    assert sorted(parts["a"] + parts["b"]) == members(splits)["train"]


def test_splitting_reads_nothing(tmp_path: Path) -> None:
    write(tmp_path / "lake", [10], 10)
    dataset = hr.open(tmp_path / "lake")
    (tmp_path / "lake" / "f0.parquet").unlink()
    splits = dataset.split({"a": 0.5, "b": 0.5}, by="user")
    with pytest.raises(errors.NotFound):
        splits["a"].count_rows()


@pytest.mark.parametrize(
    ("fractions", "options", "what"),
    [
        ({"a": 0.5}, {}, "sum 0.5"),
        ({}, {}, "sum 0"),
        ({"a": 1.5, "b": -0.5}, {}, '"b" is the fraction -0.5'),
        ({"a": float("nan")}, {}, '"a" is the fraction nan'),
        ({"a": "1"}, {}, "fractions"),
        ([("a", 1.0)], {}, "fractions"),
        ({"a": 1.0}, {"by": "x"}, "split_key on x .*integers"),
        ({"a": 1.0}, {"by": 5}, "by is 5"),
        ({"a": 1.0}, {"seed": -1}, "seed is -1"),
    ],
)
def test_splits_that_are_none_are_refused(
    lake: Path, fractions: Any, options: Any, what: str
) -> None:
    with pytest.raises(errors.InvalidArgument, match=what):
        hr.open(lake).split(fractions, **options)


def test_a_split_by_no_column_names_those_that_are_there(lake: Path) -> None:
    with pytest.raises(errors.NotFound, match=r"usr.*user"):
        hr.open(lake).split({"a": 1.0}, by="usr")
