"""Random operations are keyed by (seed, epoch, row id) and by nothing else."""

import json
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pictures
import pytest
from headrace.image import color_jitter, flip, random_crop, random_resized_crop

ROWS = 48
OPS = random_resized_crop(24) | flip(0.5, 0.5) | color_jitter(0.4, 0.4, 0.4, 0.1)
ORDER: dict[str, Any] = {"batch_size": 4, "seed": 7, "streams": 4}

Pictures = dict[int, bytes]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> hr.Dataset:
    """The same picture in every row: what differs is drawn."""
    cell = pictures.encode(pictures.photo(60, 80), "PNG")
    folder = tmp_path_factory.mktemp("augmented")
    return pictures.write(folder, [cell] * ROWS, row_group_size=7).map(image=OPS)


def gather(loader: hr.Loader, into: Pictures) -> None:
    for batch in loader:
        for row, image in zip(batch["id"], batch["image"], strict=True):
            assert int(row) not in into
            into[int(row)] = image.tobytes()


def epoch(dataset: hr.Dataset, world_size: int = 1, **options: Any) -> Pictures:
    """Every row's picture in an epoch, by row."""
    found: Pictures = {}
    for rank in range(world_size):
        with dataset.loader(
            **{**ORDER, **options}, rank=rank, world_size=world_size
        ) as loader:
            gather(loader, found)
    assert len(found) == ROWS
    return found


def test_rows_have_pictures_of_their_own(lake: hr.Dataset) -> None:
    assert len(set(epoch(lake).values())) == ROWS


@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize("num_threads", [1, 4])
def test_pictures_are_the_same_on_any_world_size_and_threads(
    lake: hr.Dataset, world_size: int, num_threads: int
) -> None:
    assert epoch(lake, world_size, num_threads=num_threads) == epoch(lake)


def test_pictures_are_the_same_in_any_order_and_batch_size(lake: hr.Dataset) -> None:
    assert epoch(lake, shuffle=False, batch_size=5) == epoch(lake)


def test_pictures_are_the_same_in_any_selection_of_rows(lake: hr.Dataset) -> None:
    whole = epoch(lake)
    with lake.where("id >= 20").loader(**ORDER) as loader:
        found: Pictures = {}
        gather(loader, found)
    assert found == {row: whole[row] for row in range(20, ROWS)}


def test_pictures_differ_from_epoch_to_epoch_and_by_seed(lake: hr.Dataset) -> None:
    first, second = epoch(lake), epoch(lake, epoch=1)
    assert all(first[row] != second[row] for row in range(ROWS))
    other = epoch(lake, seed=8)
    assert all(first[row] != other[row] for row in range(ROWS))
    with lake.loader(**ORDER) as loader:  # a loader that goes on to its next epoch
        gather(loader, {})
        found: Pictures = {}
        gather(loader, found)
    assert found == second


def test_pictures_are_the_same_after_resuming(lake: hr.Dataset) -> None:
    found: Pictures = {}
    with lake.loader(**ORDER) as loader:
        for step, batch in enumerate(loader, start=1):
            for row, image in zip(batch["id"], batch["image"], strict=True):
                found[int(row)] = image.tobytes()
            if step == 5:
                break
        state = json.loads(json.dumps(loader.state_dict()))
    with lake.loader(batch_size=3, world_size=1, rank=0, num_threads=1) as loader:
        loader.load_state_dict(state)
        gather(loader, found)
    assert found == epoch(lake)


def test_two_columns_of_a_row_are_cropped_alike(tmp_path: Path) -> None:
    cell = pictures.encode(pictures.photo(60, 80), "PNG")
    written = pictures.write(tmp_path, [cell] * 8).to_arrow()
    both = written.append_column("mask", written["image"])
    folder = tmp_path / "both"
    folder.mkdir()
    import pyarrow.parquet as pq

    pq.write_table(both, folder / "both.parquet")
    ops = random_crop(20) | flip()
    with hr.open(folder).map(image=ops, mask=ops).loader(batch_size=8) as loader:
        batch = next(iter(loader))
    assert np.array_equal(batch["image"], batch["mask"])
    assert len({image.tobytes() for image in batch["image"]}) > 1
