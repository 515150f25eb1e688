"""One, two and four tasks with one global batch compute what one plain loop computes."""

import functools
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import fits
import headrace as hr
import numpy as np
import pytest
import torch
from torch import nn

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # tasks cannot import it


class Two(nn.Module):
    """Two inputs and two outputs, and nothing that draws."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(3, 4)
        self.value = nn.Linear(4, 1)
        self.kind = nn.Linear(4, 2)

    def forward(self, numbers: torch.Tensor, more: torch.Tensor) -> Any:
        hidden = torch.tanh(self.first(numbers) + self.second(more))
        return {"positive": self.kind(hidden), "y": self.value(hidden)}


def rich_model() -> nn.Module:
    torch.manual_seed(3)
    return Two()


def accuracy(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return (output.argmax(dim=1) == label).float()


class MeanAbsoluteError:
    """A metric with a state, as torchmetrics' are."""

    def reset(self) -> None:
        self.sum, self.count = 0.0, 0

    def update(self, output: torch.Tensor, label: torch.Tensor) -> None:
        self.sum += float((output - label).abs().sum())
        self.count += len(output)

    def compute(self) -> float:
        sums = hr.gang.context().all_gather((self.sum, self.count))
        return sum(one for one, _ in sums) / sum(count for _, count in sums)


OPTIONS: dict[str, Any] = {
    "optimizer": functools.partial(torch.optim.Adam, lr=0.01),
    "loss": {"y": nn.MSELoss(), "positive": nn.functional.cross_entropy},
    "loss_weights": {"y": 0.5, "positive": 2.0},
    "feature_cols": [["a", "b", "n"], "more"],
    "label_cols": ["y", "positive"],
    "sample_weight_col": "weight",
    "validation": "held_out",
    "epochs": 2,
    "steps": hr.estimator.StepOptions(accumulate=2),
}


def by_hand(table: Path) -> tuple[nn.Module, list[dict[str, float]]]:
    """The same training as a plain loop over one loader, in sums and divisions."""
    model = rich_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    dataset = hr.open(table)
    chosen = dataset.cast(
        dict.fromkeys(["a", "b", "n", "more", "y", "weight"], "float32")
    ).pack("x", ["a", "b", "n"])
    train, held_out = chosen.where("not held_out"), chosen.where("held_out")

    def forward(batch: Any) -> tuple[torch.Tensor, dict[str, float]]:
        weight = batch["weight"]
        out = model(batch["x"], batch["more"])
        y = weight @ (out["y"][:, 0] - batch["y"]).square()
        kind = weight @ nn.functional.cross_entropy(
            out["positive"], batch["positive"], reduction="none"
        )
        right = weight @ accuracy(out["positive"], batch["positive"])
        total = 0.5 * y + 2.0 * kind
        sums = {
            "loss": total,
            "y_loss": y,
            "positive_loss": kind,
            "positive_accuracy": right,
        }
        error = (out["y"][:, 0] - batch["y"]).abs().sum()
        return total, {
            **{name: value.item() for name, value in sums.items()},
            "weight": weight.sum().item(),
            "error": error.item(),
            "rows": len(weight),
        }

    def means(sums: list[dict[str, float]], prefix: str) -> dict[str, float]:
        names = ["loss", "y_loss", "positive_loss", "positive_accuracy"]
        weight = sum(one["weight"] for one in sums)
        return {prefix + name: sum(one[name] for one in sums) / weight for name in names}

    history = []
    loader = train.loader(
        batch_size=32, seed=7, streams=8, drop_last=True, to="torch", rank=0, world_size=1
    )
    for epoch in range(2):
        sums, held, steps = [], 0.0, len(loader)
        for step, batch in enumerate(loader, start=1):
            total, found = forward(batch)
            total.backward()
            sums.append(found)
            held += found["weight"]
            if step % 2 == 0 or step == steps:
                for parameter in model.parameters():
                    parameter.grad /= held
                optimizer.step()
                optimizer.zero_grad()
                held = 0.0
        values = {"epoch": float(epoch), **means(sums, "")}
        with torch.no_grad(), held_out.loader(batch_size=1000, to="torch") as rows:
            sums = [forward(batch)[1] for batch in rows]
        values |= means(sums, "val_")
        values["val_y_mae"] = sums[0]["error"] / sums[0]["rows"]
        history.append(values)
    loader.close()
    return model, history


@pytest.fixture(scope="module")
def expected(table: Path) -> tuple[nn.Module, list[dict[str, float]]]:
    return by_hand(table)


@pytest.mark.parametrize("tasks", [1, 2, 4])
def test_weights_and_history_are_those_of_a_plain_loop(
    table: Path, expected: tuple[nn.Module, list[dict[str, float]]], tasks: int
) -> None:
    estimator = fits.estimator(
        **OPTIONS,
        model=rich_model(),
        metrics={"positive": {"accuracy": accuracy}, "y": {"mae": MeanAbsoluteError()}},
        tasks=tasks,
    )
    trained = estimator.fit_table(table)
    module, history = expected
    for name, value in module.state_dict().items():
        found = trained.model.state_dict()[name].numpy()
        np.testing.assert_allclose(found, value.numpy(), rtol=1e-3, atol=1e-5)
    assert len(trained.history) == len(history)
    for mine, plain in zip(trained.history, history, strict=True):
        assert set(mine) == {*plain, "seconds", "data_wait"}
        for name, value in plain.items():
            assert mine[name] == pytest.approx(value, rel=1e-4), name


def test_the_estimators_model_is_left_as_it_was(table: Path) -> None:
    model = fits.linear()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    estimator = fits.estimator(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5),
        tasks=1,
        epochs=1,
    )
    trained = estimator.fit_table(table)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
        assert not torch.equal(trained.model.state_dict()[name], before[name])
