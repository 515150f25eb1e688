"""Estimators that are not fitted yet, saved and loaded without Spark."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import fits
import headrace as hr
import pytest
import torch
from headrace.estimator import (
    CheckpointOptions,
    EarlyStopping,
    GangOptions,
    LightningEstimator,
    LoaderOptions,
    StepOptions,
    Store,
    TorchEstimator,
)
from torch import nn

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # what loads cannot import it


def absolute(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return (output - label).abs()


def doubled(batch: dict[str, Any]) -> dict[str, Any]:
    return {**batch, "y": batch["y"] * 2}


# None of the defaults, and as JSON would have them or equal when unpickled.
OPTIONS: dict[str, Any] = {
    "feature_cols": [["a", "b"], "more"],
    "label_cols": ["y", "n"],
    "loss_weights": {"y": 0.5, "n": 2.0},
    "input_shapes": [[2], None],
    "sample_weight_col": "weight",
    "validation": 0.25,
    "batch_size": 7,
    "validation_batch_size": 9,
    "epochs": 4,
    "callbacks": [EarlyStopping(monitor="loss", patience=3)],
    "store": Store("somewhere", {"region": "here"}),
    "run_id": "r",
    "random_seed": 11,
    "verbose": 2,
    "tasks": 3,
    "loader": LoaderOptions(shuffle=False, streams=24),
    "checkpoint": CheckpointOptions(every_steps=5),
    "steps": StepOptions(accumulate=2),
    "gang": GangOptions(max_restarts=1, env={"NAME": "value"}),
    "output_cols": ["p", "q"],
}


def test_an_estimator_of_torch_is_as_it_was_saved(tmp_path: Path) -> None:
    model = fits.linear()
    estimator = TorchEstimator(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.3),
        loss=[nn.MSELoss(), nn.L1Loss()],
        metrics={"y": [absolute], "n": []},
        transformation_fn=doubled,
        **OPTIONS,
    )
    estimator.save(tmp_path / "saved")
    loaded = TorchEstimator.load(tmp_path / "saved")
    assert loaded.uid == estimator.uid
    assert {name: loaded._value(name) for name in OPTIONS} == OPTIONS
    assert loaded._value("engine") is None
    assert [type(one) for one in loaded._value("loss")] == [nn.MSELoss, nn.L1Loss]
    one, two = torch.tensor([1.0, 5.0])
    assert loaded._value("metrics")["y"][0](one, two) == 4
    assert loaded._value("transformation_fn")({"y": 3, "a": 1}) == {"y": 6, "a": 1}
    weights = dict(loaded._value("model").named_parameters())
    assert all(
        torch.equal(value, weights[name]) for name, value in model.named_parameters()
    )
    # The optimizer is of this very model.
    (group,) = loaded._value("optimizer").param_groups
    assert group["lr"] == 0.3
    assert {id(value) for value in group["params"]} == set(map(id, weights.values()))

    with pytest.raises(hr.errors.Conflict, match="pass overwrite=True"):
        loaded.save(tmp_path / "saved")
    loaded.copy({loaded.epochs: 6}).save(tmp_path / "saved", overwrite=True)
    assert TorchEstimator.load(tmp_path / "saved")._value("epochs") == 6
    with pytest.raises(hr.errors.InvalidArgument, match="holds a TorchEstimator of"):
        LightningEstimator.load(tmp_path / "saved")
    with pytest.raises(hr.errors.NotFound, match="holds no saved TorchEstimator"):
        TorchEstimator.load(tmp_path)


def test_a_dataset_to_validate_on_and_numbers_of_numpy_are_saved(
    table: Path, tmp_path: Path
) -> None:
    import numpy as np

    rows = hr.open(table).where("held_out")
    estimator = fits.estimator(validation=rows, batch_size=np.int64(8))
    estimator.save(tmp_path / "saved")
    loaded = TorchEstimator.load(tmp_path / "saved")
    assert loaded._value("validation").count_rows() == rows.count_rows()
    assert loaded._value("batch_size") == 8


def test_what_does_not_pickle_is_refused(tmp_path: Path) -> None:
    lock = __import__("threading").Lock()
    estimator = fits.estimator(transformation_fn=lambda batch: (lock, batch)[1])
    with pytest.raises(hr.errors.InvalidArgument, match=r"transformation_fn.*not pickle"):
        estimator.save(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_an_estimator_of_lightning_is_as_it_was_saved(tmp_path: Path) -> None:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.linear = fits.linear()

        def training_step(self, batch: dict[str, Any]) -> torch.Tensor:
            return self.linear(batch["features[0]"]).sum()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.05)

    options = {name: value for name, value in OPTIONS.items() if name != "loss_weights"}
    options["callbacks"] = [lightning.pytorch.callbacks.Timer()]
    module = Module()
    trainer = {"gradient_clip_val": 1.0}
    LightningEstimator(model=module, trainer=trainer, **options).save(tmp_path / "saved")
    loaded = LightningEstimator.load(tmp_path / "saved")
    del options["callbacks"]
    assert {name: loaded._value(name) for name in options} == options
    assert [type(one).__name__ for one in loaded._value("callbacks")] == ["Timer"]
    assert loaded._value("trainer") == trainer
    features = torch.ones(3, 2)
    assert torch.equal(
        loaded._value("model").training_step({"features[0]": features}),
        module.training_step({"features[0]": features}),
    )


KERAS = """
import os, sys
os.environ["KERAS_BACKEND"] = "torch"
sys.path.insert(0, sys.argv[2])
import keras, headrace as hr, numpy as np
from headrace.estimator import KerasEstimator
from headrace.estimator._columns import Columns
from headrace.estimator._keras_files import _Packed
from test_saving import OPTIONS

class Doubled(keras.layers.Layer):
    def call(self, x):
        return x * 2

def loss_of_mine(label, output):
    return keras.ops.mean(keras.ops.abs(label - output))

model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1), Doubled()])
model.compile(keras.optimizers.SGD(0.3, momentum=0.5), loss_of_mine)
options = {**OPTIONS, "feature_cols": [["a", "b"]], "label_cols": ["y"],
           "input_shapes": None, "output_cols": None, "loss_weights": None,
           "callbacks": [keras.callbacks.EarlyStopping(patience=3)]}
estimator = KerasEstimator(
    model=model, metrics=[keras.metrics.MeanAbsoluteError(name="error")],
    custom_objects={"Doubled": Doubled, "loss_of_mine": loss_of_mine}, **options)
estimator.save(sys.argv[1])
loaded = KerasEstimator.load(sys.argv[1])
del options["callbacks"]
assert {name: loaded._value(name) for name in options} == options
assert loaded._value("callbacks")[0].patience == 3
rows = np.ones((3, 2), "float32")
assert (loaded._value("model").predict(rows) == model.predict(rows)).all()

def plain(value):
    if isinstance(value, _Packed):
        return value.configuration
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value

columns = Columns.of([["a", "b"]], ["y"], "weight")
before, after = (one._compile_arguments(columns) for one in (estimator, loaded))
before["loss"], after["loss"] = (one["loss"](1.0, 4.0).item() for one in (before, after))
before, after = ({name: plain(value) for name, value in one.items()} for one in (before, after))
assert before == after, (before, after)
assert before["loss"] == 3 and before["optimizer"]["config"]["momentum"] == 0.5
"""


def test_an_estimator_of_keras_is_as_it_was_saved(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KERAS, tmp_path / "saved", Path(__file__).parent],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "saved/headrace.json").read_text())
    assert record["params"]["model"] == "model.keras"
