"""Training of a Keras model in one task of a gang, on TensorFlow or on torch."""

import abc
import contextlib
import dataclasses
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import keras
import numpy as np
import numpy.typing as npt

from .. import gang
from ..errors import InvalidArgument
from ._columns import Columns
from ._keras_files import from_bytes, loaded_arrays, saved_arrays, unpacked
from ._loop import Loop, LoopTask
from .callbacks import History, Training

__all__ = ["KerasTask", "train"]

T = TypeVar("T")


@dataclass(frozen=True)
class KerasTask:
    """What a task trains: the model as bytes, what it is compiled with, packed."""

    loop: LoopTask
    backend: str
    model: bytes
    compiled: Mapping[str, Any]
    callbacks: Sequence[Any]
    custom_objects: Mapping[str, Any]
    transformation: Callable[[dict[str, Any]], dict[str, Any]] | None
    timeout_s: float


@dataclass(frozen=True)
class KerasOutcome:
    """What training gave, on rank 0: weights only where no store has them."""

    history: History
    weights: bytes | None


def train(task: KerasTask) -> KerasOutcome:
    """Train in this task of a gang."""
    if keras.backend.backend() != task.backend:
        raise InvalidArgument(
            f"Keras runs on {keras.backend.backend()} in the tasks and on {task.backend} "
            "where the estimator is: set KERAS_BACKEND alike in both"
        )
    ctx = gang.context()
    # Initial weights are the model's; this is for what steps draw.
    keras.utils.set_random_seed((task.loop.seed + ctx.rank) % 2**31)
    kind = _OnTensorFlow if task.backend == "tensorflow" else _OnTorch

    def joined(backend: _Backend) -> KerasOutcome:
        trainee = _KerasTrainee(task, ctx, backend)
        callbacks = _Callbacks(trainee.model, task.callbacks, task.loop.epochs)
        loop = dataclasses.replace(task.loop, callbacks=(callbacks,))
        history, weights = Loop(loop, ctx, trainee, to=backend.to).run()
        return KerasOutcome(history, weights) if ctx.rank == 0 else KerasOutcome([], None)

    return kind.join(ctx, task.timeout_s, joined)


class _Callbacks:
    """Keras's callbacks, called by the loop."""

    def __init__(self, model: Any, callbacks: Sequence[Any], epochs: int) -> None:
        self._model = model
        self._list = keras.callbacks.CallbackList(
            list(callbacks), model=model, add_history=False, add_progbar=False
        )
        self._epochs = epochs

    def on_train_begin(self, training: Training) -> None:
        self._model.stop_training = False
        self._list.set_params({"epochs": self._epochs, "steps": training.steps})
        self._list.on_train_begin()

    def on_epoch_begin(self, training: Training) -> None:
        self._list.on_epoch_begin(training.epoch)

    def on_step_begin(self, training: Training) -> None:
        self._list.on_train_batch_begin(training.step)

    def on_step_end(self, training: Training) -> None:
        self._list.on_train_batch_end(training.step - 1)

    def on_epoch_end(self, training: Training) -> None:
        values = training.history[-1]
        logs = {name: value for name, value in values.items() if name != "epoch"}
        self._list.on_epoch_end(training.epoch, logs)
        if self._model.stop_training:
            training.stop()

    def on_train_end(self, training: Training) -> None:
        self._list.on_train_end()


class _Backend(abc.ABC):
    """What differs between the frameworks below Keras."""

    #: The form of the loader's batches.
    to: str

    @classmethod
    @abc.abstractmethod
    def join(
        cls, ctx: "gang.Context", timeout_s: float, train: Callable[["_Backend"], T]
    ) -> T:
        """Call a function while the tasks are joined."""

    def __init__(self, world_size: int) -> None:
        self.world_size = world_size
        self.model: Any = None

    def scope(self) -> Any:
        """Return the context to make the model and the optimizer in."""
        return contextlib.nullcontext()

    @abc.abstractmethod
    def take(self, model: Any) -> None:
        """Train this model, which is built and compiled; all start from rank 0's weights."""

    @abc.abstractmethod
    def step(self, inputs: Any, labels: Any, weight: Any) -> tuple[float, float]:
        """Update the weights by the mean loss over all tasks; return it, weight behind it."""

    @abc.abstractmethod
    def evaluate(self, inputs: Any, labels: Any, weight: Any) -> tuple[float, float]:
        """Return the mean loss of this task's rows, and the weight behind it."""

    @abc.abstractmethod
    def rows(self, value: Any, valid: npt.NDArray[Any]) -> Any:
        """Return some rows of a tensor."""

    @abc.abstractmethod
    def total(self, values: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Return the sums of arrays over all tasks."""


class _OnTensorFlow(_Backend):
    """A loop of our own under MultiWorkerMirroredStrategy: Keras 3's `fit` fails there.

    The strategy's ring sums gradients, inside of Keras's optimizer.
    """

    to = "tensorflow"

    @classmethod
    def join(
        cls, ctx: "gang.Context", timeout_s: float, train: Callable[[_Backend], T]
    ) -> T:
        import tensorflow as tf

        if ctx.world_size == 1:
            return train(cls(1, tf.distribute.get_strategy()))
        options = tf.distribute.experimental.CommunicationOptions(
            timeout_seconds=timeout_s,
            implementation=tf.distribute.experimental.CommunicationImplementation.RING,
        )
        strategy = tf.distribute.MultiWorkerMirroredStrategy(
            communication_options=options
        )
        return train(cls(ctx.world_size, strategy))

    def __init__(self, world_size: int, strategy: Any) -> None:
        import tensorflow as tf

        super().__init__(world_size)
        self._tf = tf
        self._strategy = strategy

    def scope(self) -> Any:
        return self._strategy.scope()

    def take(self, model: Any) -> None:
        tf = self._tf
        self.model = model
        training = _takes_training(model)

        def replica(inputs: Any, labels: Any, weight: Any) -> tuple[Any, Any, Any]:
            scaled, behind = weight, tf.cast(tf.shape(labels[0])[0], tf.float32)
            if weight is not None:
                behind = tf.reduce_sum(weight)
                if self.world_size > 1:
                    context = tf.distribute.get_replica_context()
                    behind = context.all_reduce(tf.distribute.ReduceOp.SUM, behind)
                rows = tf.cast(tf.shape(weight)[0] * self.world_size, tf.float32)
                scaled = weight * tf.math.divide_no_nan(rows, behind)
                behind /= self.world_size
            with tf.GradientTape() as tape:
                found = model(_one(inputs), **training(True))
                loss = model.compute_loss(
                    x=_one(inputs),
                    y=_like(found, labels),
                    y_pred=found,
                    sample_weight=scaled,
                )
            # The optimizer sums over tasks: Keras has divided the loss by their number.
            gradients = tape.gradient(loss, model.trainable_variables)
            model.optimizer.apply(gradients, model.trainable_variables)
            return loss * self.world_size, behind, found

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def step(inputs: Any, labels: Any, weight: Any) -> Any:
            return self._strategy.run(replica, args=(inputs, labels, weight))

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def evaluate(inputs: Any, labels: Any, weight: Any) -> Any:
            found = model(_one(inputs), **training(False))
            behind = tf.cast(tf.shape(labels[0])[0], tf.float32)
            scaled = weight
            if weight is not None:
                scaled = weight * tf.math.divide_no_nan(behind, tf.reduce_sum(weight))
                behind = tf.reduce_sum(weight)
            loss = model.compute_loss(
                x=_one(inputs), y=_like(found, labels), y_pred=found, sample_weight=scaled
            )
            return loss, behind, found

        self._step, self._evaluate = step, evaluate
        self._measure: Any = None

    def _measured(self, inputs: Any, labels: Any, weight: Any, found: Any) -> None:
        if self._measure is None:

            def measure(inputs: Any, labels: Any, weight: Any, found: Any) -> None:
                self.model.compute_metrics(
                    _one(inputs), _like(found, labels), found, weight
                )

            # Outside of the strategy: metrics are this task's, and summed at the end.
            measure(inputs, labels, weight, found)
            self.model.reset_metrics()
            self._measure = self._tf.function(measure, reduce_retracing=True)
        self._measure(inputs, labels, weight, found)

    def step(self, inputs: Any, labels: Any, weight: Any) -> tuple[float, float]:
        loss, behind, found = self._step(inputs, labels, weight)
        self._measured(inputs, labels, weight, found)
        return float(loss), float(behind)

    def evaluate(self, inputs: Any, labels: Any, weight: Any) -> tuple[float, float]:
        loss, behind, found = self._evaluate(inputs, labels, weight)
        self._measured(inputs, labels, weight, found)
        return float(loss), float(behind)

    def rows(self, value: Any, valid: npt.NDArray[Any]) -> Any:
        return self._tf.boolean_mask(value, valid)

    def total(self, values: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        if self.world_size == 1 or not values:
            return list(values)
        tf = self._tf
        tensors = [tf.constant(np.asarray(value, "float64")) for value in values]

        @tf.function  # type: ignore[untyped-decorator]
        def summed() -> Any:
            def replica() -> Any:
                context = tf.distribute.get_replica_context()
                return context.all_reduce(tf.distribute.ReduceOp.SUM, tensors)

            return self._strategy.run(replica)

        return [value.numpy() for value in summed()]


class _OnTorch(_Backend):
    """DistributedDataParallel around Keras's model, which is a torch module."""

    to = "torch"

    @classmethod
    def join(
        cls, ctx: "gang.Context", timeout_s: float, train: Callable[[_Backend], T]
    ) -> T:
        from ._torch_group import in_group

        return in_group(ctx, timeout_s, lambda device: train(cls(ctx.world_size)))

    def take(self, model: Any) -> None:
        import torch

        self.model = model
        self._training = _takes_training(model)
        self._parallel = model
        if self.world_size > 1:
            self._parallel = torch.nn.parallel.DistributedDataParallel(model)

    def _sum(self, value: Any) -> Any:
        import torch.distributed as dist

        if self.world_size > 1:
            dist.all_reduce(value)
        return value

    def step(self, inputs: Any, labels: Any, weight: Any) -> tuple[float, float]:
        import torch

        scaled, behind = weight, float(len(labels[0]))
        if weight is not None:
            total = float(self._sum(weight.sum(dtype=torch.float64)))
            scaled = weight * (len(weight) * self.world_size / total if total else 0.0)
            behind = total / self.world_size
        self.model.zero_grad()
        found = self._parallel(_one(inputs), **self._training(True))
        loss = self.model.compute_loss(
            x=_one(inputs), y=_like(found, labels), y_pred=found, sample_weight=scaled
        )
        loss.backward()
        variables = self.model.trainable_weights
        with torch.no_grad():
            self.model.optimizer.apply([v.value.grad for v in variables], variables)
            self.model.compute_metrics(_one(inputs), _like(found, labels), found, weight)
        return float(loss.detach()), behind

    def evaluate(self, inputs: Any, labels: Any, weight: Any) -> tuple[float, float]:
        import torch

        scaled, behind = weight, float(len(labels[0]))
        if weight is not None:
            total = float(weight.sum(dtype=torch.float64))
            scaled = weight * (len(weight) / total if total else 0.0)
            behind = total
        with torch.no_grad():
            found = self.model(_one(inputs), **self._training(False))
            loss = self.model.compute_loss(
                x=_one(inputs), y=_like(found, labels), y_pred=found, sample_weight=scaled
            )
            self.model.compute_metrics(_one(inputs), _like(found, labels), found, weight)
        return float(loss), behind

    def rows(self, value: Any, valid: npt.NDArray[Any]) -> Any:
        import torch

        return value[torch.from_numpy(np.ascontiguousarray(valid))]

    def total(self, values: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        import torch

        device = next(iter(self.model.parameters())).device
        tensors = [
            torch.tensor(np.asarray(value, "float64"), device=device) for value in values
        ]
        return [self._sum(one).cpu().numpy() for one in tensors]


def _one(values: Sequence[Any]) -> Any:
    """Return the only one, or all of several."""
    return values[0] if len(values) == 1 else list(values)


def _like(found: Any, labels: Sequence[Any]) -> Any:
    """Return labels in the structure of a model's outputs."""
    if isinstance(found, dict):
        return dict(zip(found, labels, strict=True))
    return _one(labels)


def _takes_training(model: Any) -> Callable[[bool], dict[str, bool]]:
    takes = "training" in inspect.signature(model.call).parameters
    return lambda training: {"training": training} if takes else {}


class _KerasTrainee:
    """A compiled Keras model; see `Trainee`."""

    def __init__(self, task: KerasTask, ctx: "gang.Context", backend: _Backend) -> None:
        self._task = task
        self._ctx = ctx
        self._backend = backend
        with backend.scope():
            self._model = from_bytes(task.model, task.custom_objects, safe=False)
            compiled = unpacked(dict(task.compiled), task.custom_objects)
            self._optimizer = keras.optimizers.get(compiled.pop("optimizer"))
            self._optimizer.build(self._model.trainable_variables)
        self._model.compile(optimizer=self._optimizer, **compiled)
        backend.take(self._model)
        self._loss = np.zeros(2)
        # What earlier attempts measured in this epoch, over all tasks; on rank 0.
        self._earlier: list[npt.NDArray[Any]] = []

    @property
    def model(self) -> Any:
        """The Keras model."""
        return self._model

    @property
    def optimizer(self) -> Any:
        """Keras's optimizer."""
        return self._optimizer

    def _given(self, given: dict[str, Any]) -> tuple[list[Any], list[Any], Any]:
        """Return inputs, labels and weights of a batch."""
        batch = (
            given
            if self._task.transformation is None
            else self._task.transformation(given)
        )
        columns = self._task.loop.columns
        wanted = [*columns.keys, *columns.labels]
        missing = [name for name in wanted if name not in batch]
        if missing:
            raise InvalidArgument(
                f"the batch has {sorted(batch)} and lacks {missing}: transformation_fn must "
                "return all that the model and the loss need"
            )
        weight = None if columns.weight is None else batch[columns.weight]
        return (
            _inputs(batch, columns),
            [batch[name] for name in columns.labels],
            weight,
        )

    def step(self, batch: dict[str, Any], *, epoch: int, step: int, last: bool) -> None:
        """See `Trainee`."""
        loss, behind = self._backend.step(*self._given(batch))
        self._loss += (loss * behind, behind)

    def mid_update(self) -> bool:
        """See `Trainee`. What an optimizer accumulates is among its variables."""
        return False

    def running_loss(self) -> float:
        """See `Trainee`."""
        return float(self._loss[0] / self._loss[1]) if self._loss[1] else float("nan")

    def results(self) -> dict[str, float]:
        """See `Trainee`."""
        loss, *states = self._sums()
        self._earlier = []
        for variable, state in zip(self._model.metrics_variables, states, strict=True):
            variable.assign(state.astype(variable.dtype))
        found = self._model.get_metrics_result()
        self._model.reset_metrics()
        self._loss = np.zeros(2)
        # Keras's own means of losses know nothing of the weights behind a batch.
        losses = getattr(self._model, "_compile_loss", None)
        left_out = {"loss", *(one.name for one in getattr(losses, "metrics", ()))}
        values = {
            name: float(value) for name, value in found.items() if name not in left_out
        }
        mean = float(loss[0] / loss[1]) if loss[1] else float("nan")
        return {"loss": mean, **values}

    def _sums(self) -> list[npt.NDArray[Any]]:
        """Return sums of the loss and of metrics over tasks and attempts."""
        own = [self._loss, *(_array(v) for v in self._model.metrics_variables)]
        if self._earlier:
            own = [one + other for one, other in zip(own, self._earlier, strict=True)]
        return self._backend.total(own)

    def evaluate(self, batches: Iterator[dict[str, Any]]) -> dict[str, float]:
        """See `Trainee`. It comes after `results`, so that metrics begin anew."""
        for padded in batches:
            valid = np.asarray(padded.pop("valid"))
            batch = padded
            if not valid.all():
                batch = {
                    name: self._backend.rows(value, valid)
                    for name, value in padded.items()
                }
            if valid.any():
                loss, behind = self._backend.evaluate(*self._given(batch))
                self._loss += (loss * behind, behind)
        return self.results()

    def _variables(self) -> dict[str, list[Any]]:
        return {
            "model": list(self._model.variables),
            "optimizer": list(self._optimizer.variables),
        }

    def state(self, loop: str) -> bytes | None:
        """See `Trainee`."""
        sums = self._sums()
        if self._ctx.rank != 0:
            return None
        groups = {
            name: [_array(v) for v in group] for name, group in self._variables().items()
        }
        return saved_arrays(loop, {**groups, "sums": sums})

    def restore(self, state: bytes) -> str:
        """See `Trainee`."""
        run = self._task.loop.run
        assert run is not None
        loop, groups = loaded_arrays(state, f"{run.place}/checkpoint")
        for name, group in self._variables().items():
            for variable, value in zip(group, groups[name], strict=True):
                variable.assign(value)
        if self._ctx.rank == 0 and json.loads(loop)["step"]:
            self._earlier = groups["sums"]
        return loop

    def weights(self) -> bytes | None:
        """See `Trainee`."""
        if self._ctx.rank != 0:
            return None
        values = [_array(v) for v in self._model.variables]
        return saved_arrays(json.dumps({}), {"model": values})


def _array(variable: Any) -> npt.NDArray[Any]:
    return np.asarray(keras.ops.convert_to_numpy(variable))


def _inputs(batch: Mapping[str, Any], columns: Columns) -> list[Any]:
    found = []
    for place, key in enumerate(columns.keys):
        shape = None if columns.shapes is None else columns.shapes[place]
        value = batch[key]
        found.append(value if shape is None else keras.ops.reshape(value, (-1, *shape)))
    return found
