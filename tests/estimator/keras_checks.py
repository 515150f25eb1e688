"""KerasEstimator against the same training in NumPy; a program, for each backend of Keras.

Arguments: the backend, how many tasks, whether a task is killed on the way, a folder.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

BACKEND, TASKS, KILLED = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "killed"
os.environ["KERAS_BACKEND"] = BACKEND
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import headrace as hr  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
from headrace.estimator import CheckpointOptions, GangOptions, KerasModel  # noqa: E402

EPOCHS, RATE, MOMENTUM = 3, 0.05, 0.5


def numbers(table: Path) -> tuple[Any, Any, list[dict[str, float]]]:
    """SGD with momentum on the weighted mean of squares."""
    columns = dict.fromkeys(["a", "b", "y", "weight"], "float32")
    dataset = hr.open(table).cast(columns).pack("x", ["a", "b"])
    w, bias, velocity = np.full((2, 1), 0.5), 0.0, [np.zeros((2, 1)), 0.0]

    def sums(batch: Any) -> tuple[Any, Any, float, float, float]:
        error = batch["x"] @ w[:, 0] + bias - batch["y"]
        by = batch["weight"]
        return error, by, float(by @ error**2), float(by @ np.abs(error)), float(by.sum())

    history = []
    train, held_out = dataset.where("not held_out"), dataset.where("held_out")
    loader = train.loader(
        batch_size=32, seed=7, streams=8, drop_last=True, rank=0, world_size=1
    )
    for _ in range(EPOCHS):
        found = []
        for batch in loader:
            error, by, squares, absolute, total = sums(batch)
            found.append((squares, absolute, total))
            gradients = [
                (2 * (by * error) @ batch["x"] / total)[:, None],
                2 * float(by @ error) / total,
            ]
            velocity = [
                MOMENTUM * v - RATE * g for v, g in zip(velocity, gradients, strict=True)
            ]
            w, bias = w + velocity[0], bias + velocity[1]
        with held_out.loader(batch_size=1000, rank=0, world_size=1) as rows:
            [tested] = [sums(batch)[2:] for batch in rows]
        squares, absolute, total = np.sum(found, axis=0)
        history.append(
            {
                "loss": squares / total,
                "mean_absolute_error": absolute / total,
                "val_loss": tested[0] / tested[2],
                "val_mean_absolute_error": tested[1] / tested[2],
            }
        )
    loader.close()
    return w, bias, history


class Watcher(keras.callbacks.Callback):
    """Checks how torch's group ends."""

    def on_train_begin(self, logs: Any = None) -> None:
        import torch_groups

        torch_groups.watch()


class Killer(keras.callbacks.Callback):
    """Kills rank 1 in the first attempt, in the middle of the second epoch."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        ctx = hr.gang.context()
        if (ctx.attempt, ctx.rank, self.epoch, batch) == (0, 1, 1, 4):
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path) -> None:
    table = folder / "table"
    callbacks = [Killer()] if KILLED else [keras.callbacks.EarlyStopping(patience=9)]
    if BACKEND == "torch":
        callbacks.append(Watcher())
    given = keras.Input((2,))
    start = keras.initializers.Constant(0.5)
    model = keras.Model(given, keras.layers.Dense(1, kernel_initializer=start)(given))
    trained = hr.estimator.KerasEstimator(
        model=model,
        optimizer=keras.optimizers.SGD(RATE, momentum=MOMENTUM),
        loss=keras.losses.MeanSquaredError(),
        metrics=[keras.metrics.MeanAbsoluteError()],
        feature_cols=[["a", "b"]],
        label_cols=["y"],
        sample_weight_col="weight",
        validation="held_out",
        batch_size=32 // TASKS,
        epochs=EPOCHS,
        tasks=TASKS,
        random_seed=7,
        verbose=0,
        callbacks=callbacks,
        checkpoint=CheckpointOptions(every_steps=2),
        gang=GangOptions(max_restarts=int(KILLED)),
    ).fit_table(table)

    w, bias, history = numbers(table)
    found = trained.model.get_weights()
    np.testing.assert_allclose(found[0], w, rtol=1e-3)
    np.testing.assert_allclose(found[1], [bias], rtol=1e-3)
    assert len(trained.history) == EPOCHS
    for mine, plain in zip(trained.history, history, strict=True):
        assert set(mine) == {"epoch", *plain, "seconds", "data_wait"}, mine
        for name, value in plain.items():
            np.testing.assert_allclose(mine[name], value, rtol=1e-3, err_msg=name)

    rows = hr.open(table).to_arrow()
    x = np.stack([rows["a"].to_numpy(), rows["b"].to_numpy()], axis=1)
    predicted = trained.predict(table)["y__output"]
    np.testing.assert_allclose(predicted, x @ found[0] + found[1], rtol=1e-4, atol=1e-5)
    trained.save(folder / "saved")
    for loaded in (
        KerasModel.load(folder / "saved"),
        KerasModel.load(folder / "saved", model=model),
    ):
        np.testing.assert_array_equal(loaded.predict(table)["y__output"], predicted)


if __name__ == "__main__":
    main(Path(sys.argv[4]))
