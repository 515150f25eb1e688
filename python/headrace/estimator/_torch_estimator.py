"""TorchEstimator: a torch module, trained in parallel."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .. import _validate
from ..dataset import Dataset
from ._columns import Columns
from ._estimator import BaseEstimator
from ._loop import LoopTask
from ._torch_losses import losses_of, metrics_of
from ._torch_model import TorchModel
from ._torch_training import TorchTask, train
from .callbacks import Callback, EarlyStopping, History
from .options import CheckpointOptions, GangOptions, LoaderOptions, StepOptions, Store

if TYPE_CHECKING:
    import os

    from pyspark.sql import DataFrame, SparkSession

__all__ = ["TorchEstimator"]


class TorchEstimator(BaseEstimator):
    """Trains a `torch.nn.Module` over a gang of tasks, by DistributedDataParallel.

    An estimator of Spark ML: `fit(df)` takes a DataFrame, and works in a `Pipeline` and a
    `CrossValidator`. `fit_table(table)` needs no Spark.

    Parameters
    ----------
    model : torch.nn.Module
        Called with one tensor an input, in the order of `feature_cols`; returns a tensor, or
        one for each of `label_cols`: a tuple, or a dict by label. It is not changed.
    optimizer : torch.optim.Optimizer or callable
        Of the model's parameters, or a function that makes one of those, such as
        ``functools.partial(torch.optim.Adam, lr=1e-3)``.
    loss : callable, list or dict
        ``loss(output, label)``, such as ``torch.nn.MSELoss()``; one for all outputs, or a
        list, or a dict by label column.
    feature_cols : list of str or list
        A column an input; a list of columns is one input, (batch, columns), packed side by
        side.
    label_cols : list of str
        A column an output.
    loss_weights : list or dict of float, optional
        What each output's loss counts for; 1 / outputs if not given.
    metrics : list or dict, optional
        Functions ``metric(output, label)`` that return a number or one a sample, or objects
        with `update`, `compute` and `reset`, as of torchmetrics, which are for validation
        alone. A dict names them; a dict by label column has such for each output.
    input_shapes : list of tuple, optional
        The shape that each input is given, the batch left out; None: as the column has it.
    sample_weight_col : str, optional
        Weights of the samples: losses, and metrics that return one value a sample, are
        means by weight.
    validation : float, str, Dataset or DataFrame, optional
        Rows to validate on after each epoch: a share of the rows (the same rows for one
        `random_seed`), a column that is true or positive for such rows, or other rows.
    batch_size : int, optional
        Samples per step and task.
    validation_batch_size : int, optional
        The same for validation; `batch_size` if not given.
    epochs : int, optional
        Passes over the rows.
    callbacks : list, optional
        Objects with methods of `Callback`, such as `EarlyStopping`.
    store : str, PathLike or Store, optional
        The folder that keeps runs; without one, nothing is kept.
    run_id : str, optional
        A name for the run: a finished one is returned at once, a broken one goes on. A new
        name if not given.
    transformation_fn : callable, optional
        ``transformation_fn(batch)``: a dict of tensors in, another out, before the model
        sees it, in training and validation. It sees all columns of the table.
    random_seed : int, optional
        Of the order of rows, the split, and what steps draw.
    verbose : {0, 1, 2}, optional
        Nothing; a bar on a terminal; and a line an epoch in the log "headrace.estimator".
    tasks : int, optional
        Processes that train.
    engine : pyspark.sql.SparkSession, optional
        Where they run: on a Spark cluster, or, if not given, on this machine.
    loader, checkpoint, steps, gang : optional
        `LoaderOptions`, `CheckpointOptions`, `StepOptions` and `GangOptions`.
    output_cols : list of str, optional
        Names of the columns that `TorchModel.transform` adds; ``<label>__output`` if not
        given.

    Raises
    ------
    InvalidArgument
        A parameter is wrong; the message names it.

    Notes
    -----
    Every task starts from the weights given here, makes the same number of steps, and has
    its own share of each epoch: of a global batch of `batch_size` * `tasks` samples. One
    task with the same global batch computes the same weights, but for rounding. What an
    epoch has beyond whole global batches is left out of it.

    Examples
    --------
    >>> estimator = hr.estimator.TorchEstimator(  # doctest: +SKIP
    ...     model=torch.nn.Linear(2, 1),
    ...     optimizer=functools.partial(torch.optim.SGD, lr=0.1),
    ...     loss=torch.nn.MSELoss(),
    ...     feature_cols=[["distance", "hour"]],
    ...     label_cols=["dep_delay"],
    ...     tasks=2,
    ... )
    >>> model = estimator.fit_table("lake/flights")  # doctest: +SKIP
    """

    _kind = "torch"

    def __init__(  # noqa: PLR0913 (the names of Horovod's estimators, and four groups)
        self,
        *,
        model: nn.Module,
        optimizer: "torch.optim.Optimizer | Callable[[Any], torch.optim.Optimizer]",
        loss: Any,
        feature_cols: Sequence["str | Sequence[str]"],
        label_cols: Sequence[str],
        loss_weights: "Sequence[float] | Mapping[str, float] | None" = None,
        metrics: "Sequence[Any] | Mapping[str, Any] | None" = None,
        input_shapes: "Sequence[Sequence[int] | None] | None" = None,
        sample_weight_col: str | None = None,
        validation: "float | str | Dataset | DataFrame | None" = None,
        batch_size: int = 32,
        validation_batch_size: int | None = None,
        epochs: int = 1,
        callbacks: "Sequence[Callback | EarlyStopping]" = (),
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
        if not isinstance(self._value("model"), nn.Module):
            raise _validate.rejected("model", self._value("model"), "a torch.nn.Module")
        if not callable(self._value("optimizer")) and not isinstance(
            self._value("optimizer"), torch.optim.Optimizer
        ):
            raise _validate.rejected(
                "optimizer",
                self._value("optimizer"),
                "a torch.optim.Optimizer, or a function of parameters that makes one",
            )
        losses_of(self._value("loss"), self._value("loss_weights"), columns)
        metrics_of(self._value("metrics"), columns.labels)

    def _train(self, task: LoopTask, timeout_s: float, launch: Any) -> Any:
        columns = task.columns
        return launch(
            train,
            TorchTask(
                loop=task,
                model=self._value("model"),
                optimizer=self._value("optimizer"),
                losses=losses_of(
                    self._value("loss"), self._value("loss_weights"), columns
                ),
                metrics=metrics_of(self._value("metrics"), columns.labels),
                transformation=self._value("transformation_fn"),
                steps=self._value("steps"),
                timeout_s=timeout_s,
            ),
        )

    def _trained(
        self, columns: Columns, weights: bytes, run_id: str, history: History
    ) -> TorchModel:
        return TorchModel._trained(self, columns, weights, run_id, history)
