"""Loaders as PyTorch takes them: tensors, DataLoader, Lightning."""

import copy
import itertools
import pickle
from pathlib import Path
from typing import Any

import headrace as hr
import lightning
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils import data
from torchdata.stateful_dataloader import StatefulDataLoader

ROWS = 1050
BATCH = 100
STEPS = 11


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((ROWS, 4)).astype(np.float32)
    columns = {
        "id": pa.array(np.arange(ROWS)),
        **{f"x{i}": pa.array(x[:, i]) for i in range(4)},
        "y": pa.array(x @ np.float32([1, -2, 3, 0.5])),
        "flag": pa.array(x[:, 0] > 0),
        "half": pa.array(x[:, 0].astype(np.float16)),
        "name": pa.array([f"name {i}" for i in range(ROWS)]),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), 4),
        "tags": pa.array([[i] * (i % 3) for i in range(ROWS)], pa.list_(pa.int16())),
    }
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=200)
    return path


@pytest.fixture
def dataset(path: Path) -> hr.Dataset:
    return hr.open(path).ragged({"tags": hr.pad(-1)})


def make(dataset: hr.Dataset, **options: Any) -> hr.Loader:
    return dataset.loader(**{"batch_size": BATCH, "seed": 5, "to": "torch", **options})


def ids(batches: Any) -> list[int]:
    return [i for batch in batches for i in batch["id"].tolist()]


# Tensors


def test_batches_are_the_tensors_that_numpy_gets(dataset: hr.Dataset) -> None:
    types = {
        "id": torch.int64,
        "x0": torch.float32,
        "flag": torch.bool,
        "half": torch.float16,
        "vector": torch.float32,
        "tags": torch.int16,
    }
    with make(dataset) as loader, make(dataset, to="numpy") as arrays:
        for batch, expected in zip(loader, arrays, strict=True):
            assert list(batch) == list(expected)
            assert batch.pop("name") == expected.pop("name").tolist()
            for name, values in expected.items():
                assert batch[name].device.type == "cpu"
                assert batch[name].is_contiguous()
                assert batch[name].data_ptr() % 64 == 0
                np.testing.assert_array_equal(batch[name].numpy(), values)
            for name, dtype in types.items():
                assert batch[name].dtype == dtype


@pytest.mark.parametrize("batch_size", [1, 10, 64, 128, 1 << 20])
def test_batches_that_are_made_together_are_those_of_numpy(
    path: Path, batch_size: int
) -> None:
    fixed = (
        hr.open(path)
        .select("id", "x0", "half", "x1", "flag", "x2", "x3", "y")
        .pack("x", ["x1", "x2"])
        .nulls({"y": "mask"})
    )
    options = {"batch_size": batch_size, "drop_last": False}
    with make(fixed, **options) as loader, make(fixed, to="numpy", **options) as arrays:
        for batch, expected in zip(loader, arrays, strict=True):
            assert list(batch) == list(expected)
            for name, values in expected.items():
                assert batch[name].is_contiguous()
                assert batch[name].data_ptr() % 64 == 0
                np.testing.assert_array_equal(batch[name].numpy(), values)


def test_autograd_lets_a_batch_be_modified_in_place(path: Path) -> None:
    with make(hr.open(path).select("x0", "x1")) as loader:
        batch = next(iter(loader))
    weight = torch.full((1,), 3.0, requires_grad=True)
    before = batch["x0"].clone()
    batch["x0"].mul_(weight).sum().backward()
    torch.testing.assert_close(weight.grad, before.sum()[None])


def test_bfloat16_is_rounded_as_torch_rounds(path: Path) -> None:
    kept = hr.open(path).select("x0")
    halved = kept.cast({"x0": "bfloat16"})
    with make(halved, shuffle=False) as loader:
        rounded = torch.cat([batch["x0"] for batch in loader])
    with make(kept, shuffle=False) as loader:
        whole = torch.cat([batch["x0"] for batch in loader])
    assert rounded.dtype == torch.bfloat16
    assert torch.equal(rounded, whole.to(torch.bfloat16))


def test_tensors_are_the_callers_and_outlive_the_loader(dataset: hr.Dataset) -> None:
    with make(dataset, shuffle=False) as loader:
        batches = list(loader)
    del loader
    assert ids(batches) == list(range(ROWS))
    batches[0]["x0"].mul_(0)
    weight = torch.ones(4, requires_grad=True)
    (batches[1]["vector"] @ weight).sum().backward()
    torch.testing.assert_close(weight.grad, batches[1]["vector"].sum(0))


def test_a_pack_is_one_row_major_tensor(dataset: hr.Dataset) -> None:
    with make(dataset) as loader:
        vectors = [batch["vector"] for batch in loader]
    with make(dataset.pack("x", ["x0", "x1", "x2", "x3"])) as loader:
        for batch, vector in zip(loader, vectors, strict=True):
            assert batch["x"].is_contiguous()
            assert torch.equal(batch["x"], vector)


def test_pinning_without_cuda_is_harmless(dataset: hr.Dataset) -> None:
    with make(dataset) as plain, make(dataset, pin_memory=True) as pinning:
        for batch, pinned in zip(plain, pinning, strict=True):
            assert torch.equal(batch["vector"], pinned["vector"])
            assert pinned["vector"].is_pinned() == torch.cuda.is_available()


# DataLoader


def test_a_dataloader_hands_on_whole_batches(dataset: hr.Dataset) -> None:
    with make(dataset) as loader:
        expected = [ids(loader), ids(loader)]
    with make(dataset) as loader:
        wrapped = loader.to_torch_dataset()
        assert isinstance(wrapped, data.IterableDataset)
        feeder = data.DataLoader(wrapped, batch_size=None, num_workers=0)
        assert len(feeder) == len(wrapped) == len(loader) == STEPS
        batches = list(feeder)
        assert [len(batch["id"]) for batch in batches] == [BATCH] * 10 + [50]
        assert [ids(batches), ids(feeder)] == expected


def test_a_dataloader_with_workers_is_refused(dataset: hr.Dataset) -> None:
    with make(dataset) as loader:
        wrapped = loader.to_torch_dataset()
        feeder = data.DataLoader(wrapped, batch_size=None, num_workers=1, timeout=60)
        with pytest.raises(hr.errors.Unsupported, match="num_workers=0"):
            next(iter(feeder))
        assert len(ids(loader)) == ROWS  # the loader is not hurt


torchdata_warns = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")


def stateful(loader: hr.Loader, **options: Any) -> Any:
    dataset = loader.to_torch_dataset()
    return StatefulDataLoader(dataset, batch_size=None, **options)


@torchdata_warns
@pytest.mark.parametrize("taken", range(STEPS + 1))
def test_a_stateful_dataloader_resumes_where_the_loop_was(
    dataset: hr.Dataset, taken: int
) -> None:
    with make(dataset) as loader:
        expected = [ids(loader) for _ in range(3)]
    with make(dataset) as loader:
        feeder = stateful(loader)
        assert ids(feeder) == expected[0]
        begun = ids(itertools.islice(feeder, taken))
        state = pickle.loads(pickle.dumps(feeder.state_dict()))
    assert begun == expected[1][: taken * BATCH]
    with make(dataset) as loader:
        feeder = stateful(loader)
        feeder.load_state_dict(state)
        assert feeder.state_dict() == state  # saved anew before the first batch
        rest = [ids(feeder), ids(feeder)]
    if taken < STEPS:
        assert [begun + rest[0], rest[1]] == expected[1:]
    else:  # the position is the next epoch's start, as Loader.state_dict says
        assert rest[0] == expected[2]


@torchdata_warns
def test_a_stateful_dataloader_that_ended_goes_on_with_the_next_epoch(
    dataset: hr.Dataset,
) -> None:
    with make(dataset) as loader:
        expected = [ids(loader) for _ in range(2)]
    with make(dataset) as loader:
        feeder = stateful(loader)
        assert ids(feeder) == expected[0]
        state = feeder.state_dict()
    with make(dataset) as loader:
        feeder = stateful(loader)
        feeder.load_state_dict(state)
        assert ids(feeder) == expected[1]


@torchdata_warns
def test_a_stateful_dataloader_with_workers_is_refused(dataset: hr.Dataset) -> None:
    with make(dataset) as loader:
        feeder = stateful(loader, num_workers=1, timeout=60)
        with pytest.raises(hr.errors.Unsupported, match="num_workers=0"):
            next(iter(feeder))
        assert len(ids(loader)) == ROWS


def test_arrow_loaders_have_no_torch_dataset(dataset: hr.Dataset) -> None:
    with (
        make(dataset, to="arrow") as loader,
        pytest.raises(hr.errors.Unsupported, match='to="torch"'),
    ):
        loader.to_torch_dataset()


def test_a_torch_dataset_of_a_closed_loader_is_a_conflict(dataset: hr.Dataset) -> None:
    with make(dataset) as loader:
        wrapped = loader.to_torch_dataset()
    with pytest.raises(hr.errors.Conflict, match="closed"):
        next(iter(wrapped))


def test_a_torch_dataset_is_resumed_by_its_state(dataset: hr.Dataset) -> None:
    with make(dataset) as loader:
        whole = [batch["id"].tolist() for batch in loader]
        following = ids(loader)
    with make(dataset) as loader:
        wrapped = loader.to_torch_dataset()
        stopped = iter(data.DataLoader(wrapped, batch_size=None))
        begun = [next(stopped)["id"].tolist() for _ in range(4)]
        state = copy.deepcopy(wrapped.state_dict())
        assert state == loader.state_dict()
    with make(dataset) as loader:
        wrapped = loader.to_torch_dataset()
        wrapped.load_state_dict(state)
        assert len(loader) == STEPS - 4
        assert len(wrapped) == STEPS  # of every epoch, which is what trainers ask for
        rest = [batch["id"].tolist() for batch in wrapped]
        assert begun + rest == whole
        assert ids(wrapped) == following


def test_set_epoch_of_a_torch_dataset_moves_the_loader(dataset: hr.Dataset) -> None:
    with make(dataset) as loader:
        epochs = [ids(loader) for _ in range(3)]
    with make(dataset) as loader:
        wrapped = loader.to_torch_dataset()
        for epoch in (2, 0, 1):
            wrapped.set_epoch(epoch)
            assert loader.epoch == epoch
            assert ids(wrapped) == epochs[epoch]


def test_ranks_of_a_torch_dataset_share_the_rows(dataset: hr.Dataset) -> None:
    found = []
    for rank in range(2):
        with make(dataset, rank=rank, world_size=2, drop_last=True) as loader:
            wrapped = loader.to_torch_dataset()
            batches = list(data.DataLoader(wrapped, batch_size=None))
        assert len(batches) == len(wrapped) == ROWS // (2 * BATCH)
        found += ids(batches)
    assert len(set(found)) == len(found) == ROWS // (2 * BATCH) * 2 * BATCH


# Lightning


@pytest.fixture
def trainer(tmp_path: Path) -> Any:
    """Return a maker of quiet trainers on the CPU."""

    def trainer(**options: Any) -> Any:
        quiet = {
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": tmp_path,
        }
        return lightning.Trainer(**{**quiet, **options})

    return trainer


@pytest.fixture
def model() -> Any:
    class Regression(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(4))
            self.seen: list[list[int]] = []
            self.losses: list[float] = []

        def training_step(self, batch: dict[str, Any]) -> Any:
            self.seen.append(batch["id"].tolist())
            loss = torch.nn.functional.mse_loss(batch["x"] @ self.weight, batch["y"])
            self.losses.append(loss.item())
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.2)

    return Regression


@pytest.fixture
def train(path: Path) -> hr.Dataset:
    inputs = ["x0", "x1", "x2", "x3"]
    return hr.open(path).select("id", "y", *inputs).pack("x", inputs)


# Lightning and torch warn of workers, of their own deprecations and of much else.
lightning_warns = pytest.mark.filterwarnings("ignore")


@lightning_warns
def test_lightning_fits_an_epoch(train: hr.Dataset, trainer: Any, model: Any) -> None:
    fitted = model()
    with make(train) as loader:
        expected = [batch["id"].tolist() for batch in loader]
    with make(train) as loader:
        feeder = data.DataLoader(loader.to_torch_dataset(), batch_size=None)
        trainer(max_epochs=1).fit(fitted, feeder)
        assert loader.epoch == 1
    assert fitted.seen == expected
    assert fitted.losses[-1] < fitted.losses[0] / 10
    torch.testing.assert_close(
        fitted.weight.detach(), torch.tensor([1, -2, 3, 0.5]), atol=0.2, rtol=0
    )


@lightning_warns
@pytest.mark.parametrize("feed", [hr.Loader.to_torch_dataset, stateful])
@pytest.mark.parametrize("stop_at", [1, STEPS, STEPS + 4, 3 * STEPS - 1])
def test_lightning_resumes_within_an_epoch_to_equal_weights(
    train: hr.Dataset, trainer: Any, model: Any, tmp_path: Path, feed: Any, stop_at: int
) -> None:

    class Crash(lightning.Callback):
        def on_train_batch_end(self, trainer: Any, *_: object) -> None:
            if trainer.global_step == stop_at:
                trainer.save_checkpoint(tmp_path / "stopped.ckpt")
                raise ZeroDivisionError("the crash")

    whole = model()
    with make(train) as loader:
        trainer(max_epochs=3).fit(whole, feed(loader))
    assert len(whole.seen) == 3 * STEPS

    begun = model()
    with make(train) as loader, pytest.raises(ZeroDivisionError):
        crashing = trainer(max_epochs=3, callbacks=[Crash()])
        crashing.fit(begun, feed(loader))
    resumed = model()
    with make(train) as loader:
        trainer(max_epochs=3).fit(
            resumed,
            feed(loader),
            ckpt_path=tmp_path / "stopped.ckpt",
            weights_only=False,
        )
    assert begun.seen + resumed.seen == whole.seen
    assert torch.equal(resumed.weight, whole.weight)
