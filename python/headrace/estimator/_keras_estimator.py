"""KerasEstimator: a Keras 3 model, trained in parallel."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras

from .. import _validate
from ..dataset import Dataset
from ..errors import InvalidArgument, Unsupported
from ._columns import Columns
from ._estimator import BaseEstimator
from ._keras_files import from_bytes, loaded_arrays, packed, to_bytes, unpacked
from ._keras_model import FILE, KerasModel
from ._keras_training import KerasTask, train
from ._loop import LoopTask
from ._params import param
from .callbacks import History
from .options import CheckpointOptions, GangOptions, LoaderOptions, StepOptions, Store

if TYPE_CHECKING:
    import os

    from pyspark.sql import DataFrame, SparkSession

__all__ = ["KerasEstimator"]

_BACKENDS = ("tensorflow", "torch")


class KerasEstimator(BaseEstimator):
    """Trains a Keras 3 model over a gang of tasks, on TensorFlow or on torch.

    On TensorFlow by a loop of its own under MultiWorkerMirroredStrategy, on torch by
    DistributedDataParallel; which of them is what Keras runs on where the estimator is made
    (KERAS_BACKEND).

    Parameters
    ----------
    model : keras.Model
        Built, with one input for each of `feature_cols` and one output for each of
        `label_cols`, in their order. It is not changed.
    optimizer : str or keras.Optimizer, optional
        As `Model.compile` takes it; the model's own, if it is compiled and none is given.
    loss : str, keras.Loss, callable, list or dict, optional
        As `Model.compile` takes it, by output; the model's own, likewise.
    loss_weights : list or dict of float, optional
        As `Model.compile` takes it.
    metrics : list or dict, optional
        As `Model.compile` takes it, of metrics whose state is a sum over samples, as all of
        Keras's are. With `sample_weight_col` they are weighted.
    callbacks : list of keras.callbacks.Callback, optional
        Called in every task, with the epoch's values over all of them. They are made anew
        after a restart.
    custom_objects : dict, optional
        Classes and functions that the model is made of, by name.
    feature_cols, label_cols, input_shapes, sample_weight_col, validation, batch_size, \
validation_batch_size, epochs, store, run_id, transformation_fn, random_seed, verbose, \
tasks, engine, loader, checkpoint, steps, gang, output_cols : optional
        As of `TorchEstimator`. `StepOptions.accumulate` is Keras's own
        `gradient_accumulation_steps`; its precision is the model's (build it under
        ``keras.config.set_dtype_policy("mixed_bfloat16")``).

    Raises
    ------
    InvalidArgument
        A parameter is wrong; the message names it.
    Unsupported
        Keras runs on another backend.

    Notes
    -----
    With sample weights, a loss is the sum of weight * loss over the sum of weights, over all
    tasks; Keras's own `fit` divides by the number of samples.

    Examples
    --------
    >>> estimator = hr.estimator.KerasEstimator(  # doctest: +SKIP
    ...     model=keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]),
    ...     optimizer="adam",
    ...     loss="mse",
    ...     feature_cols=[["distance", "hour"]],
    ...     label_cols=["dep_delay"],
    ...     tasks=2,
    ... )
    >>> model = estimator.fit_table("lake/flights")  # doctest: +SKIP
    """

    custom_objects = param("custom_objects", "what the model is made of, by name")

    _kind = "keras"

    def __init__(  # noqa: PLR0913 (the names of Horovod's estimators, and four groups)
        self,
        *,
        model: keras.Model,
        feature_cols: Sequence["str | Sequence[str]"],
        label_cols: Sequence[str],
        optimizer: Any = None,
        loss: Any = None,
        loss_weights: "Sequence[float] | Mapping[str, float] | None" = None,
        metrics: "Sequence[Any] | Mapping[str, Any] | None" = None,
        custom_objects: "Mapping[str, Any] | None" = None,
        input_shapes: "Sequence[Sequence[int] | None] | None" = None,
        sample_weight_col: str | None = None,
        validation: "float | str | Dataset | DataFrame | None" = None,
        batch_size: int = 32,
        validation_batch_size: int | None = None,
        epochs: int = 1,
        callbacks: Sequence[Any] = (),
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
        backend = keras.backend.backend()
        if backend not in _BACKENDS:
            raise Unsupported(
                f"Keras runs on {backend} here: expected one of {', '.join(_BACKENDS)}; set "
                "KERAS_BACKEND before keras is imported"
            )
        model = self._value("model")
        if not isinstance(model, keras.Model):
            raise _validate.rejected("model", model, "a keras.Model")
        if not model.built or not getattr(model, "outputs", None):
            raise InvalidArgument(
                "model has no known inputs and outputs: expected a functional or Sequential "
                "one that begins with keras.Input"
            )
        if not model.trainable_variables:
            raise InvalidArgument(
                "model has no trainable variables: nothing can be trained"
            )
        if self._value("steps").precision != "float32":
            raise InvalidArgument(
                "StepOptions.precision is of torch: a Keras model has its own; build it "
                'under keras.config.set_dtype_policy("mixed_bfloat16")'
            )
        for name in ("optimizer", "loss"):
            if self._compiled_value(name) is None:
                raise InvalidArgument(
                    f"{name} is None and the model is not compiled: expected one, as "
                    "keras.Model.compile takes it"
                )
        for what, found, names in [
            ("outputs", model.outputs, columns.labels),
            ("inputs", model.inputs, columns.inputs),
        ]:
            if len(found) != len(names):
                parameter = "label_cols" if what == "outputs" else "feature_cols"
                raise InvalidArgument(
                    f"the model has {len(found)} {what} and {parameter} {len(names)}: "
                    'expected one for each; columns of one input go in a list, [["a", "b"]]'
                )

    def _compiled_value(self, name: str) -> Any:
        """Return what is given, or what the model is compiled with."""
        given = self._value(name)
        model = self._value("model")
        if given is not None or not model.compiled:
            return given
        return getattr(model, name, None)

    def _compile_arguments(self, columns: Columns) -> dict[str, Any]:
        optimizer = keras.optimizers.get(self._compiled_value("optimizer"))
        accumulate = self._value("steps").accumulate
        if accumulate > 1:
            configuration = optimizer.get_config()
            configuration["gradient_accumulation_steps"] = accumulate
            optimizer = type(optimizer).from_config(configuration)
        measured = "metrics" if columns.weight is None else "weighted_metrics"
        return {
            "optimizer": packed(optimizer),
            "loss": packed(self._compiled_value("loss")),
            "loss_weights": self._value("loss_weights"),
            measured: packed(self._value("metrics")),
        }

    def _given_values(self) -> dict[str, Any]:
        values = super()._given_values()
        # What the model is compiled with, by its configuration: its file leaves that out.
        for name in ("optimizer", "loss"):
            values[name] = packed(self._compiled_value(name))
        return {**values, "metrics": packed(values["metrics"]), "model": FILE}

    def _files(self) -> dict[str, bytes]:
        return {**super()._files(), FILE: to_bytes(self._value("model"))}

    @classmethod
    def _values_of(
        cls, values: dict[str, Any], read: Callable[[str], bytes]
    ) -> dict[str, Any]:
        objects = values["custom_objects"]
        for name in ("optimizer", "loss", "metrics"):
            values[name] = unpacked(values[name], objects)
        return {**values, "model": from_bytes(read(FILE), objects, safe=False)}

    def _check_callbacks(self) -> None:
        for place, callback in enumerate(self._value("callbacks")):
            if not isinstance(callback, keras.callbacks.Callback):
                raise _validate.rejected(
                    f"callbacks[{place}]", callback, "a keras.callbacks.Callback"
                )

    def _train(self, task: LoopTask, timeout_s: float, launch: Any) -> Any:
        return launch(
            train,
            KerasTask(
                loop=dataclasses.replace(task, callbacks=()),
                backend=keras.backend.backend(),
                model=to_bytes(self._value("model")),
                compiled=self._compile_arguments(task.columns),
                callbacks=task.callbacks,
                custom_objects=dict(self._value("custom_objects") or {}),
                transformation=self._value("transformation_fn"),
                timeout_s=timeout_s,
            ),
        )

    def _task_environment(self) -> dict[str, str]:
        return {"KERAS_BACKEND": keras.backend.backend(), "TF_CPP_MIN_LOG_LEVEL": "2"}

    def _trained(
        self, columns: Columns, weights: bytes, run_id: str, history: History
    ) -> KerasModel:
        _, groups = loaded_arrays(weights, f'the weights of run "{run_id}"')
        objects = dict(self._value("custom_objects") or {})
        model = from_bytes(to_bytes(self._value("model")), objects, safe=False)
        for variable, value in zip(model.variables, groups["model"], strict=True):
            variable.assign(value)
        made = KerasModel._of(
            model,
            columns,
            outputs=_outputs_of(model),
            output_cols=self._output_names(columns),
            dtype=self._value("loader").dtype,
            run_id=run_id,
            history=history,
        )
        made._custom_objects = objects
        return made


def _outputs_of(model: keras.Model) -> list[tuple[tuple[int, ...], str]]:
    """Return shape and dtype of each output, the batch left out."""
    return [
        (tuple(-1 if size is None else size for size in one.shape[1:]), str(one.dtype))
        for one in model.outputs
    ]
