"""Bad rows: raised, skipped or nulled, without moving any other row."""

from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = 3000
ROW_GROUP = 1000
BATCH = 64
TOO_BIG = 500  # the row whose `big` does not fit in int32
NULL = 1234  # the row whose `x` is null


def table() -> pa.Table:
    noise = np.random.default_rng(3).standard_normal(ROWS)
    values: list[float | None] = list(noise)
    values[NULL] = None
    big = np.arange(ROWS)
    big[TOO_BIG] = 10**12
    names = [f"v{i % 5}" for i in range(ROWS)]
    return pa.table({"id": range(ROWS), "x": values, "big": big, "name": names})


@pytest.fixture(params=[False, True], ids=["no page index", "page index"])
def sound(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "sound.parquet"
    pq.write_table(
        table(),
        path,
        row_group_size=ROW_GROUP,
        data_page_size=800,
        write_batch_size=50,
        use_dictionary=False,
        write_page_checksum=True,
        write_page_index=request.param,
    )
    return path


@pytest.fixture
def damaged(sound: Path) -> Path:
    """Damage amid the pages of `x` in row group 1."""
    chunk = pq.read_metadata(sound).row_group(1).column(1)
    at = chunk.data_page_offset + chunk.total_compressed_size // 2
    content = bytearray(sound.read_bytes())
    content[at : at + 8] = bytes(byte ^ 0xFF for byte in content[at : at + 8])
    path = sound.with_name("damaged.parquet")
    path.write_bytes(content)
    return path


def chosen(path: Path) -> hr.Dataset:
    return hr.open(path).cast({"big": "int32"})


def run(dataset: hr.Dataset, **options: Any) -> tuple[list[dict[str, Any]], dict]:
    order = {"batch_size": BATCH, "seed": 5, "shuffle_window_rows": 400}
    with dataset.loader(**order, **options) as loader:
        batches = list(loader)
        stats = loader.stats()
    assert stats["memory_peak"] <= stats["memory_budget"]
    return batches, stats


def ids(batches: list[dict[str, Any]]) -> list[int]:
    return [i for batch in batches for i in batch["id"].tolist()]


def test_the_first_bad_row_raises_by_default(sound: Path) -> None:
    with pytest.raises(hr.errors.InvalidArgument):
        run(chosen(sound))
    with pytest.raises(hr.errors.InvalidArgument):
        run(chosen(sound).on_error("skip").on_error("raise"))


@pytest.mark.parametrize("shuffle", [True, False])
def test_skip_shortens_batches_and_moves_no_other_row(sound: Path, shuffle: bool) -> None:
    whole, _ = run(hr.open(sound).select("id"), shuffle=shuffle)
    batches, stats = run(chosen(sound).on_error("skip"), shuffle=shuffle)
    bad = {TOO_BIG, NULL}
    expected = [[i for i in batch["id"].tolist() if i not in bad] for batch in whole]
    assert [batch["id"].tolist() for batch in batches] == expected
    assert all(
        len(column) == len(batch["id"]) for batch in batches for column in batch.values()
    )
    assert stats["rows_skipped"] == 2
    assert stats["rows"] == ROWS - 2


def test_skipped_rows_are_listed_with_place_and_reason(sound: Path) -> None:
    _, stats = run(chosen(sound).on_error("skip"), shuffle=False)
    big, null = stats["skipped"]
    assert big == (
        f'column "big": the value 1000000000000 ({sound}, row {TOO_BIG}) is no int32: '
        "cast to a wider dtype"
    )
    assert null.startswith(f'column "x" is null ({sound}, row {NULL}), expected a value')


def test_null_makes_bad_values_what_nulls_become(sound: Path) -> None:
    dataset = chosen(sound).nulls({"x": hr.fill(-7), "big": "mask"}).on_error("null")
    batches, stats = run(dataset, shuffle=False)
    assert ids(batches) == list(range(ROWS))
    big = np.concatenate([batch["big"] for batch in batches])
    mask = np.concatenate([batch["big_mask"] for batch in batches])
    assert big[TOO_BIG] == 0
    assert np.flatnonzero(~mask).tolist() == [TOO_BIG]
    x = np.concatenate([batch["x"] for batch in batches])
    assert np.flatnonzero(x == -7).tolist() == [NULL]
    assert stats["rows_skipped"] == 0


def test_null_without_a_null_policy_raises_and_names_the_row(sound: Path) -> None:
    with pytest.raises(
        hr.errors.InvalidArgument, match=rf'"big" is null .*row {TOO_BIG}'
    ):
        run(chosen(sound).nulls({"x": hr.fill(0)}).on_error("null"), shuffle=False)


def test_other_policies_have_bad_rows_too(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    lists = [[1, 2], [1, 2, 3], [], [4]]
    pq.write_table(pa.table({"l": lists, "s": ["a", "b", "c", "a"]}), path)
    dataset = hr.open(path).ragged({"l": hr.pad(0, length=2)}).codes({"s": ["a", "b"]})
    (batch,), stats = run(dataset.on_error("skip"), shuffle=False)
    assert batch["l"].tolist() == [[1, 2], [4, 0]]
    assert batch["s"].tolist() == [0, 0]
    assert "longer than the pad length 2" in stats["skipped"][0]
    assert "'c'" in stats["skipped"][1]
    (batch,), _ = run(
        dataset.nulls({"l": "mask", "s": hr.fill(1)}).on_error("null"), shuffle=False
    )
    assert batch["l"].tolist() == [[1, 2], [0, 0], [0, 0], [4, 0]]
    assert batch["l_mask"].tolist() == [True, False, True, True]
    assert batch["s"].tolist() == [0, 1, 1, 0]


def test_what_no_single_row_causes_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"l": [[1], [1, 2]]}), path)
    with pytest.raises(hr.errors.InvalidArgument, match="lists differ in length"):
        run(hr.open(path).on_error("skip"), shuffle=False)


def test_a_batch_may_end_up_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    values = pa.table(
        {"x": [None] * 4 + [1.0] * 4, "s": [None] * 4 + ["a"] * 4, "l": [[1]] * 8}
    )
    pq.write_table(values, path)
    with hr.open(path).on_error("skip").loader(batch_size=4, shuffle=False) as loader:
        empty, full = loader
        assert len(loader) == 2
    assert [len(column) for column in empty.values()] == [0, 0, 0]
    assert [column.dtype for column in empty.values()] == [
        column.dtype for column in full.values()
    ]
    assert full["x"].tolist() == [1.0] * 4


def damaged_rows(batches: list[dict[str, Any]]) -> list[int]:
    return sorted(set(range(ROWS)) - set(ids(batches)) - {TOO_BIG, NULL})


@pytest.mark.parametrize("shuffle", [True, False])
def test_rows_of_a_damaged_page_are_skipped_and_others_are_not(
    damaged: Path, shuffle: bool
) -> None:
    with pytest.raises(hr.errors.Corrupt, match='row group 1, column "x"'):
        run(hr.open(damaged).select("id", "x").nulls({"x": hr.fill(0)}), shuffle=shuffle)
    batches, stats = run(chosen(damaged).on_error("skip"), shuffle=shuffle)
    missing = damaged_rows(batches)
    # A page or two of about a hundred values, in one run.
    assert 10 <= len(missing) <= 400
    assert missing == list(range(missing[0], missing[-1] + 1))
    assert ROW_GROUP <= missing[0] <= missing[-1] < 2 * ROW_GROUP
    assert len(batches) == -(-ROWS // BATCH)
    assert stats["rows_skipped"] == len(missing) + len({TOO_BIG, NULL} - set(missing))


def test_damage_does_not_depend_on_threads_ranks_filters_or_resuming(
    damaged: Path,
) -> None:
    dataset = chosen(damaged).on_error("skip")
    whole, _ = run(dataset)
    assert [b["id"].tolist() for b in run(dataset, num_threads=8)[0]] == [
        b["id"].tolist() for b in whole
    ]
    ranks = [run(dataset, world_size=2, rank=rank)[0] for rank in range(2)]
    dealt = {i for batches in ranks for i in ids(batches)}
    assert dealt | set(range(ROWS - ROWS % 8, ROWS)) >= set(ids(whole))
    kept, _ = run(dataset.where("name != 'v3'"))
    assert sorted(ids(kept)) == sorted(i for i in ids(whole) if i % 5 != 3)
    options = {"batch_size": BATCH, "seed": 5, "shuffle_window_rows": 400}
    for stop in (7, 20, 33):
        with dataset.loader(**options) as first:
            taken = [batch for _, batch in zip(range(stop), first, strict=False)]
            state = first.state_dict()
        with dataset.loader(**options) as second:
            second.load_state_dict(state)
            assert ids(taken + list(second)) == ids(whole)


def test_null_fills_the_rows_of_a_damaged_page(damaged: Path) -> None:
    skipped = damaged_rows(run(chosen(damaged).on_error("skip"))[0])
    dataset = hr.open(damaged).nulls({"x": "mask"}).on_error("null")
    batches, _ = run(dataset, shuffle=False)
    mask = np.concatenate([batch["x_mask"] for batch in batches])
    assert sorted(set(np.flatnonzero(~mask)) - {NULL}) == sorted(set(skipped) - {NULL})


def test_a_damaged_column_of_the_filter_always_raises(damaged: Path) -> None:
    with pytest.raises(hr.errors.Corrupt):
        run(chosen(damaged).where("x > -100").on_error("skip"))


def test_pad_last_marks_what_is_left(sound: Path) -> None:
    batches, _ = run(chosen(sound).on_error("skip"), pad_last=True)
    for batch in batches:
        assert len(batch["valid"]) == len(batch["id"])
    valid = [i for b in batches for i in b["id"][b["valid"]].tolist()]
    assert sorted(valid) == sorted(set(range(ROWS)) - {TOO_BIG, NULL})


def test_the_policy_is_shown_pickled_and_checked(sound: Path) -> None:
    import pickle

    dataset = hr.open(sound).on_error("skip")
    assert "on_error: skip" in repr(dataset)
    assert repr(pickle.loads(pickle.dumps(dataset))) == repr(dataset)
    with pytest.raises(
        hr.errors.InvalidArgument,
        match='on_error is "no": expected "raise", "skip" or "null"',
    ):
        dataset.on_error("no")  # type: ignore[arg-type]
