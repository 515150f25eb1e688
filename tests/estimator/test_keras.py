"""KerasEstimator on both of its backends, each in a process of its own."""

import subprocess
import sys
from pathlib import Path

import fits
import pytest

PROGRAM = Path(__file__).parent / "keras_checks.py"


@pytest.mark.parametrize(
    ("backend", "tasks", "fate"),
    [
        ("torch", 2, "killed"),
        ("tensorflow", 2, "undisturbed"),
        pytest.param("torch", 1, "undisturbed", marks=pytest.mark.long),
        pytest.param("tensorflow", 1, "undisturbed", marks=pytest.mark.long),
        pytest.param("tensorflow", 2, "killed", marks=pytest.mark.long),
    ],
)
def test_training_is_that_of_numpy(
    tmp_path: Path, backend: str, tasks: int, fate: str
) -> None:
    fits.make_table(tmp_path / "table")
    done = subprocess.run(
        [sys.executable, PROGRAM, backend, str(tasks), fate, tmp_path],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr


REFUSED = """
import os, sys
os.environ["KERAS_BACKEND"] = sys.argv[1]
import keras, headrace as hr
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
for changed in [
    {}, {"loss": None}, {"model": keras.Sequential([keras.layers.Dense(1)])},
    {"feature_cols": ["a", "b"]}, {"label_cols": ["y", "z"]},
    {"steps": hr.estimator.StepOptions(precision="bfloat16")},
]:
    options = dict(model=model, loss="mse", optimizer="sgd", feature_cols=[["a", "b"]],
                   label_cols=["y"])
    try:
        hr.estimator.KerasEstimator(**{**options, **changed})
        print("taken")
    except hr.HeadraceError as error:
        print(error.kind, error)
"""


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_what_cannot_be_trained_is_refused_at_once(backend: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, backend],
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = done.stdout.splitlines()
    if backend == "jax":
        assert all(line.startswith("Unsupported Keras runs on jax") for line in said)
        return
    expected = [
        "taken",
        "loss is None and the model is not compiled",
        "model has no known inputs and outputs",
        "the model has 1 inputs and feature_cols 2",
        "the model has 1 outputs and label_cols 2",
        "StepOptions.precision is of torch",
    ]
    assert len(said) == len(expected), done.stderr
    for line, part in zip(said, expected, strict=True):
        assert part in line
