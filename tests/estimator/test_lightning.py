"""LightningEstimator computes what TorchEstimator computes for the same module."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import fits
import headrace as hr
import lightning
import numpy as np
import pytest
import torch
import torch_groups
from headrace.estimator import CheckpointOptions, GangOptions
from torch import nn

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # tasks cannot import it


class Regression(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.linear = fits.linear()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.linear(features)

    def _loss(self, batch: dict[str, Any]) -> torch.Tensor:
        return nn.functional.mse_loss(self(batch["features[0]"])[:, 0], batch["y"])

    def training_step(self, batch: dict[str, Any]) -> torch.Tensor:
        loss = self._loss(batch)
        size = len(batch["y"])
        self.log(
            "loss", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=size
        )
        return loss

    def validation_step(self, batch: dict[str, Any]) -> None:
        size = len(batch["y"])
        self.log("val_loss", self._loss(batch), sync_dist=True, batch_size=size)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.5)


class Killer(lightning.Callback):
    """Kills rank 1 in the first attempt, in the middle of the second epoch."""

    def on_train_start(self, trainer: Any, module: Any) -> None:
        torch_groups.watch()

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        place = (hr.gang.context().attempt, trainer.global_rank, trainer.global_step)
        if place == (0, 1, 14):
            os.kill(os.getpid(), signal.SIGKILL)


def lightning_estimator(**changed: Any) -> Any:
    options: dict[str, Any] = {
        "model": Regression(),
        "feature_cols": [["a", "b"]],
        "label_cols": ["y"],
        "batch_size": 16,
        "epochs": 3,
        "tasks": 2,
        "random_seed": 7,
        "verbose": 0,
        **changed,
    }
    return hr.estimator.LightningEstimator(**options)


def test_a_killed_run_ends_as_a_plain_one_of_torch(table: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"validation": "held_out"}
    plain = fits.estimator(tasks=1, **options).fit_table(table)
    assert (plain.history[0]["epoch"], plain.history[-1]["epoch"]) == (0, 2)
    options |= {"store": tmp_path, "run_id": "r"}
    found = lightning_estimator(
        **options,
        callbacks=[Killer()],
        checkpoint=CheckpointOptions(every_steps=2),
        gang=GangOptions(max_restarts=1),
    ).fit_table(table)
    for mine, theirs in zip(
        found.model.state_dict().values(), plain.model.state_dict().values(), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)
    assert len(found.history) == 3
    for mine, theirs in zip(found.history, plain.history, strict=True):
        assert set(mine) == {"epoch", "loss", "val_loss"}
        assert mine["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-4)
    # Of epochs that nothing interrupted; Lightning begins its means anew where it goes on.
    for epoch in (0, 2):
        assert found.history[epoch]["loss"] == pytest.approx(
            plain.history[epoch]["loss"], rel=1e-4
        )
    outputs = found.predict(table)["y__output"]
    np.testing.assert_allclose(
        outputs, plain.predict(table)["y__output"], rtol=1e-3, atol=1e-5
    )
    assert lightning_estimator(**options).fit_table(table).history == found.history


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": nn.Linear(1, 1)}, "expected a lightning.LightningModule"),
        ({"trainer": {"devices": 2}}, r"trainer has \['devices'\]"),
        ({"callbacks": [3]}, r"callbacks\[0\] is 3"),
    ],
)
def test_wrong_parameters_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(hr.errors.InvalidArgument, match=message):
        lightning_estimator(**changed)
