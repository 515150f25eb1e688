"""What TorchEstimator's options do, and what its model predicts, saves and loads."""

import functools
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import fits
import headrace as hr
import numpy as np
import pyarrow as pa
import pytest
import torch
import torch_groups
from headrace.estimator import CheckpointOptions, EarlyStopping, StepOptions, TorchModel
from torch import nn

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # tasks cannot import it


class StopsOnRank1:
    """Asks to stop after the first epoch, in one task alone, and watches how it ends."""

    def on_train_begin(self, training: Any) -> None:
        torch_groups.watch()

    def on_epoch_end(self, training: Any) -> None:
        if training.rank == 1:
            training.stop()


def test_one_task_that_asks_stops_all(table: Path) -> None:
    model = fits.estimator(callbacks=[StopsOnRank1()]).fit_table(table)
    assert [values["epoch"] for values in model.history] == [0]


class WorseAfter:
    """Sets the weights to nonsense after an epoch, in every task."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_begin(self, training: Any) -> None:
        if training.epoch == self.epoch:
            with torch.no_grad():
                training.model.weight.fill_(100)


def test_the_best_weights_are_returned_and_a_stopped_run_stays_stopped(
    table: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "tasks": 1,
        "epochs": 9,
        "validation": "held_out",
        "store": tmp_path,
        "run_id": "best",
        "checkpoint": CheckpointOptions(best="val_loss"),
    }
    callbacks = [WorseAfter(2), EarlyStopping()]
    model = fits.estimator(**options, callbacks=callbacks).fit_table(table)
    assert len(model.history) == 3
    assert model.history[2]["val_loss"] > 100 * model.history[1]["val_loss"]
    assert np.abs(fits.weights(model)["weight"]).max() < 10
    again = fits.estimator(**options).fit_table(table)
    assert again.history == model.history


def halved(batch: dict[str, Any]) -> dict[str, Any]:
    """Makes the model's input out of columns that are no features of it."""
    return {**batch, "a": torch.stack([batch["b"], batch["weight"]], dim=1) / 2}


class SeesShape(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 1)

    def forward(self, a: torch.Tensor) -> torch.Tensor:
        assert a.shape[1:] == (2, 1), a.shape
        assert a.dtype == torch.float32
        return self.inner(a.flatten(1))


def test_a_transformation_sees_all_columns_and_inputs_get_their_shapes(
    table: Path,
) -> None:
    model = fits.estimator(
        model=SeesShape(),
        feature_cols=["a"],
        input_shapes=[(2, 1)],
        transformation_fn=halved,
        tasks=1,
        epochs=1,
        steps=StepOptions(precision="bfloat16"),
    ).fit_table(table)
    assert model.history[0]["loss"] > 0


# -- predictions --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(table: Path) -> TorchModel:
    """Of two inputs and two outputs, one of them of three values."""
    model: TorchModel = fits.estimator(
        model=Pair(),
        feature_cols=[["a", "n"], "more"],
        label_cols=["y", "positive"],
        loss=[nn.MSELoss(), nn.CrossEntropyLoss()],
        tasks=1,
        epochs=1,
    ).fit_table(table)
    return model


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Linear(2, 1)
        self.kind = nn.Linear(3, 3)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> Any:
        return self.value(left), self.kind(right)


def expected(trained: TorchModel, rows: pa.Table) -> list[Any]:
    left = np.stack([rows["a"].to_numpy(), rows["n"].to_numpy()], axis=1)
    right = np.array(rows["more"].to_pylist())
    with torch.no_grad():
        found = trained.model(
            torch.tensor(left, dtype=torch.float32), torch.tensor(right).float()
        )
    return [one.numpy() for one in found]


def test_predictions_come_for_every_row_in_stored_order(
    table: Path, trained: TorchModel
) -> None:
    found = trained.predict(table)
    assert list(found) == ["y__output", "positive__output"]
    rows = hr.open(table).to_arrow()
    for mine, plain in zip(found.values(), expected(trained, rows), strict=True):
        np.testing.assert_allclose(mine, plain, rtol=1e-5)
    none = trained.predict(hr.open(table).where("a > 1000"))
    assert [value.shape for value in none.values()] == [(0, 1), (0, 3)]


def test_a_saved_model_predicts_the_same(
    table: Path, trained: TorchModel, tmp_path: Path
) -> None:
    place = tmp_path / "model"
    trained.save(place)
    with pytest.raises(hr.errors.Conflict, match="pass overwrite=True"):
        trained.save(place)
    trained.save(place, overwrite=True)
    for loaded in (TorchModel.load(place), TorchModel.load(place, model=Pair())):
        assert loaded.history == trained.history
        assert loaded.run_id == trained.run_id
        for mine, theirs in zip(
            loaded.predict(table).values(), trained.predict(table).values(), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(hr.errors.NotFound, match="holds no saved TorchModel"):
        TorchModel.load(tmp_path / "elsewhere")


def test_xor_is_learned(tmp_path: Path) -> None:
    """The frame of Horovod's tests: the label is whether one of the two is set."""
    bits = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 64, "float64")
    label = bits[:, 0] != bits[:, 1]
    rows = pa.table(
        {
            "features": pa.FixedSizeListArray.from_arrays(bits.reshape(-1), 2),
            "y": label.astype("float32"),
        }
    )
    hr.write(rows, tmp_path / "xor")
    torch.manual_seed(0)
    model = fits.estimator(
        model=nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)),
        optimizer=functools.partial(torch.optim.Adam, lr=0.05),
        loss=nn.BCEWithLogitsLoss(),
        feature_cols=["features"],
        tasks=2,
        epochs=15,
    ).fit_table(tmp_path / "xor")
    assert len(model.history) == 15
    found = model.predict(tmp_path / "xor")["y__output"][:, 0] > 0
    assert (found == label).all()


WITHOUT_SPARK = """
import functools, sys

sys.modules["pyspark"] = sys.modules["pyspark.ml"] = None  # as if it was not installed
import headrace as hr, torch

estimator = hr.estimator.TorchEstimator(
    model=torch.nn.Linear(2, 1), optimizer=functools.partial(torch.optim.SGD, lr=0.1),
    loss=torch.nn.MSELoss(), feature_cols=[["a", "b"]], label_cols=["y"], verbose=0,
)
for call in [lambda: estimator.fit(None), lambda: estimator.fitMultiple(None, [])]:
    try:
        call()
    except hr.errors.Unsupported as error:
        assert "pyspark is not installed" in str(error), error
    else:
        raise AssertionError("it was taken")
estimator.copy({estimator.epochs: 2}).save(sys.argv[2] + "-estimator")
estimator = hr.estimator.TorchEstimator.load(sys.argv[2] + "-estimator")
model = estimator.fit_table(sys.argv[1])
assert len(model.history) == 2
model.save(sys.argv[2])
loaded = hr.estimator.TorchModel.load(sys.argv[2])
assert (loaded.predict(sys.argv[1])["y__output"] == model.predict(sys.argv[1])["y__output"]).all()
try:
    loaded.transform(None)
except hr.errors.Unsupported as error:
    assert "use predict" in str(error), error
else:
    raise AssertionError("it was taken")
"""


def test_tables_need_no_spark(table: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SPARK, table, tmp_path / "saved"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
