"""A table, models and estimators that tests share. Models train in milliseconds."""

import functools
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

ROWS = 300


def make_table(path: Path) -> Path:
    """Numbers, a list, two labels, weights, and which rows to validate on."""
    random = np.random.default_rng(5)
    x = random.normal(size=(ROWS, 3))
    hr.write(
        pa.table(
            {
                "a": x[:, 0],
                "b": x[:, 1].astype("float32"),
                "n": pa.array(random.integers(0, 5, ROWS), pa.int32()),
                "more": pa.FixedSizeListArray.from_arrays(x.reshape(-1), 3),
                "y": x[:, 0] * 2 - x[:, 1] + 1,
                "positive": (x.sum(axis=1) > 0).astype("int64"),
                "weight": random.uniform(0.1, 3, ROWS),
                "held_out": random.uniform(size=ROWS) < 0.25,
            }
        ),
        path,
        row_group_bytes=4096,
    )
    return path


def linear() -> nn.Module:
    """Weights that are the same whenever it is made."""
    torch.manual_seed(0)
    return nn.Linear(2, 1)


def estimator(**changed: Any) -> Any:
    """One of a linear model of a and b, over two tasks with a global batch of 32."""
    options: dict[str, Any] = {
        "model": linear(),
        "optimizer": functools.partial(torch.optim.SGD, lr=0.05, momentum=0.5),
        "loss": nn.MSELoss(),
        "feature_cols": [["a", "b"]],
        "label_cols": ["y"],
        "batch_size": 32 // max(changed.get("tasks", 2), 1),
        "epochs": 3,
        "tasks": 2,
        "random_seed": 7,
        "verbose": 0,
        **changed,
    }
    return hr.estimator.TorchEstimator(**options)


def weights(model: Any) -> dict[str, Any]:
    return {name: value.numpy() for name, value in model.model.state_dict().items()}


def assert_same(one: Any, other: Any) -> None:
    """Two models have the same weights and the same curve, but for rounding."""
    for name, value in weights(one).items():
        np.testing.assert_allclose(value, weights(other)[name], rtol=1e-4, atol=1e-6)
    assert len(one.history) == len(other.history)
    for mine, yours in zip(one.history, other.history, strict=True):
        timed = {"seconds", "data_wait"}
        assert set(mine) - timed == set(yours) - timed
        for name in set(mine) - timed:
            assert mine[name] == pytest.approx(yours[name], rel=1e-4, abs=1e-7), name
