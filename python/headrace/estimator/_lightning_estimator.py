"""LightningEstimator: a LightningModule, trained in parallel."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import lightning

from .. import _validate
from ..dataset import Dataset
from ..errors import InvalidArgument
from ._columns import Columns
from ._estimator import BaseEstimator
from ._lightning_training import LightningTask, train
from ._loop import LoopTask
from ._params import param
from ._torch_model import TorchModel
from .callbacks import History
from .options import CheckpointOptions, GangOptions, LoaderOptions, StepOptions, Store

if TYPE_CHECKING:
    import os

    from pyspark.sql import DataFrame, SparkSession

__all__ = ["LightningEstimator"]

# What the estimator says, and what a gang needs to be so.
_OWN = {
    "accelerator",
    "accumulate_grad_batches",
    "callbacks",
    "devices",
    "enable_checkpointing",
    "max_epochs",
    "num_nodes",
    "num_sanity_val_steps",
    "precision",
    "strategy",
    "use_distributed_sampler",
    "default_root_dir",
}


class LightningEstimator(BaseEstimator):
    """Trains a `lightning.LightningModule` over a gang of tasks: a Trainer in each.

    Parameters
    ----------
    model : lightning.LightningModule
        Its `training_step` gets a dict of tensors: the columns of `feature_cols` (a list of
        columns as ``features[0]``, by its place), of `label_cols` and `sample_weight_col`.
        Its `forward` takes one tensor an input and returns one an output. What it logs with
        ``sync_dist=True`` is over all tasks, and becomes the history.
    callbacks : list of lightning.Callback, optional
        For each task's Trainer.
    trainer : dict, optional
        More arguments of `lightning.Trainer`, such as ``{"gradient_clip_val": 1.0}``.
    feature_cols, label_cols, input_shapes, sample_weight_col, validation, batch_size, \
validation_batch_size, epochs, store, run_id, transformation_fn, random_seed, verbose, \
tasks, engine, loader, checkpoint, steps, gang, output_cols : optional
        As of `TorchEstimator`.

    Raises
    ------
    InvalidArgument
        A parameter is wrong; the message names it.

    Notes
    -----
    Checkpoints are Lightning's, with the position in the rows, and hold for the number of
    tasks that divides the run's global batch.

    Examples
    --------
    >>> estimator = hr.estimator.LightningEstimator(  # doctest: +SKIP
    ...     model=module, feature_cols=[["distance", "hour"]], label_cols=["dep_delay"]
    ... )
    >>> model = estimator.fit_table("lake/flights")  # doctest: +SKIP
    """

    trainer = param("trainer", "more arguments of lightning.Trainer")

    _kind = "lightning"

    def __init__(  # noqa: PLR0913 (the names of Horovod's estimators, and four groups)
        self,
        *,
        model: lightning.LightningModule,
        feature_cols: Sequence["str | Sequence[str]"],
        label_cols: Sequence[str],
        input_shapes: "Sequence[Sequence[int] | None] | None" = None,
        sample_weight_col: str | None = None,
        validation: "float | str | Dataset | DataFrame | None" = None,
        batch_size: int = 32,
        validation_batch_size: int | None = None,
        epochs: int = 1,
        callbacks: Sequence[Any] = (),
        trainer: "Mapping[str, Any] | None" = None,
        store: "str | os.PathLike[str] | Store | None" = None,
        run_id: str | None = None,
        transformation_fn: "Callable[[dict[str, Any]], dict[str, Any]] | None" = None,
        random_seed: int = 0,
        verbose: int = 1,
        tasks: int = 1,
        engine: "SparkSession | None" = None,
        loader: LoaderOptions = LoaderOptions(),  # noqa: B008 (frozen)
        checkpoint: CheckpointOptions = CheckpointOptions(),  # noqa: B008
        steps: StepOptions = StepOptions(),  # noqa: B008
        gang: GangOptions = GangOptions(),  # noqa: B008
        output_cols: Sequence[str] | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name != "__class__"}
        super().__init__()
        self._given(given)

    def _check_model(self, columns: Columns) -> None:
        model = self._value("model")
        if not isinstance(model, lightning.LightningModule):
            raise _validate.rejected("model", model, "a lightning.LightningModule")
        more = _validate.mapping(
            "trainer", self._value("trainer") or {}, "a dict of arguments by name"
        )
        own = sorted(set(more) & _OWN)
        if own:
            raise InvalidArgument(
                f"trainer has {own}: expected other arguments, as the estimator and its "
                "options say these"
            )

    def _check_callbacks(self) -> None:
        for place, callback in enumerate(self._value("callbacks")):
            if not isinstance(callback, lightning.Callback):
                raise _validate.rejected(
                    f"callbacks[{place}]", callback, "a lightning.Callback"
                )

    def _train(self, task: LoopTask, timeout_s: float, launch: Any) -> Any:
        return launch(
            train,
            LightningTask(
                loop=dataclasses.replace(task, callbacks=()),
                module=self._value("model"),
                callbacks=task.callbacks,
                transformation=self._value("transformation_fn"),
                steps=self._value("steps"),
                trainer=dict(self._value("trainer") or {}),
                timeout_s=timeout_s,
            ),
        )

    def _trained(
        self, columns: Columns, weights: bytes, run_id: str, history: History
    ) -> TorchModel:
        return TorchModel._trained(self, columns, weights, run_id, history)
