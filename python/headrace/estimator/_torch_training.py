"""Training of a torch model in one task of a gang."""

import contextlib
import copy
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from .. import gang
from ..errors import Corrupt, InvalidArgument
from ._columns import Columns
from ._loop import Loop, LoopTask
from ._torch_group import in_group
from ._torch_losses import Losses, Means, Metric, alike, outputs_of
from .callbacks import History
from .options import StepOptions

__all__ = [
    "TorchOutcome",
    "TorchTask",
    "inputs_of",
    "read_state",
    "saved",
    "train",
    "where_valid",
]

# Seeds of the steps' random numbers (dropout, say) are of this many bits.
_SEED_BITS = 63


@dataclass(frozen=True)
class TorchTask:
    """What a task trains. The optimizer, if it is one, goes by one pickle with its model."""

    loop: LoopTask
    model: nn.Module
    optimizer: Any
    losses: Losses
    metrics: Sequence[Metric]
    transformation: Callable[[dict[str, Any]], dict[str, Any]] | None
    steps: StepOptions
    timeout_s: float


@dataclass(frozen=True)
class TorchOutcome:
    """What training gave, on rank 0: weights only where no store has them.

    `outputs` has of each output the shape without the batch, and the dtype's name.
    """

    history: History
    weights: bytes | None
    outputs: list[tuple[list[int], str]] | None


def train(task: TorchTask) -> TorchOutcome:
    """Train in this task of a gang."""
    ctx = gang.context()

    def joined(device: torch.device) -> TorchOutcome:
        trainee = _TorchTrainee(task, ctx, device)
        loop = Loop(task.loop, ctx, trainee, to="torch", pin_memory=device.type == "cuda")
        history, weights = loop.run()
        if ctx.rank != 0:
            return TorchOutcome([], None, None)
        return TorchOutcome(history, weights, trainee.outputs)

    return in_group(ctx, task.timeout_s, joined)


def inputs_of(
    batch: dict[str, Any], columns: Columns, device: torch.device
) -> list[Tensor]:
    """Return a model's inputs, in their order."""
    found = []
    for place, key in enumerate(columns.keys):
        if key not in batch:
            raise InvalidArgument(
                f'the batch has {sorted(batch)} and lacks "{key}": transformation_fn must '
                "return all that the model and the loss need"
            )
        value = batch[key]
        if not isinstance(value, Tensor):
            raise InvalidArgument(
                f'feature "{key}" is text: expected numbers; give it codes '
                "(Dataset.codes) or index it (StringIndexer)"
            )
        value = value.to(device, non_blocking=True)
        shape = None if columns.shapes is None else columns.shapes[place]
        found.append(value if shape is None else value.reshape(len(value), *shape))
    return found


def read_state(content: bytes, what: str) -> Any:
    """Return what torch saved: tensors and plain values, nothing that runs code."""
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its reader does
        raise Corrupt(f"{what} cannot be read ({error}): remove it") from error


def saved(content: Any) -> bytes:
    """Return tensors and plain values as bytes, for `read_state`."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


class _TorchTrainee:
    """A model under DistributedDataParallel; see `Trainee`.

    A step's gradients are those of the sum over samples; before an update they are divided
    by the weight of all samples behind it, over all tasks and accumulated batches. So the
    update is that of the weighted mean, however samples and weights are spread.
    """

    def __init__(
        self, task: TorchTask, ctx: "gang.Context", device: torch.device
    ) -> None:
        self._task = task
        self._ctx = ctx
        self._device = device
        self._module = task.model.to(device)
        self._parallel: nn.Module = self._module
        if not any(p.requires_grad for p in self._module.parameters()):
            raise InvalidArgument(
                "model has no parameter that requires gradients: nothing can be trained"
            )
        self._optimizer = _optimizer(task.optimizer, self._module)
        if ctx.world_size > 1:
            # Broadcasts rank 0's weights and buffers.
            self._parallel = DistributedDataParallel(
                self._module, device_ids=[0] if device.type == "cuda" else None
            )
        self._trained_metrics = [m for m in task.metrics if not m.stateful]
        self._means = self._new_means()
        self._held = 0  # batches behind the gradients
        self._weight = torch.zeros((), dtype=torch.float64, device=device)
        self.outputs: list[tuple[list[int], str]] | None = None

    @property
    def model(self) -> nn.Module:
        """The model itself, without what makes it parallel."""
        return self._module

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer."""
        return self._optimizer

    def _new_means(self) -> Means:
        names = [
            "loss",
            *self._task.losses.names,
            *(metric.name for metric in self._trained_metrics),
        ]
        return Means(names, self._device)

    def step(self, batch: dict[str, Any], *, epoch: int, step: int, last: bool) -> None:
        """See `Trainee`."""
        # By the step's place: a run that goes on draws what it would have drawn.
        torch.manual_seed(_step_seed(self._task.loop.seed, epoch, step, self._ctx.rank))
        self._module.train()
        self._held += 1
        update = last or self._held == self._task.steps.accumulate
        quiet = isinstance(self._parallel, DistributedDataParallel) and not update
        with self._parallel.no_sync() if quiet else contextlib.nullcontext():  # type: ignore[operator]
            total, weight = self._forward(self._parallel, batch, self._means, None)
            torch.autograd.backward(total)
        self._weight += weight
        if update:
            self._update()

    def _update(self) -> None:
        if self._ctx.world_size > 1:
            dist.all_reduce(self._weight)
        # DistributedDataParallel averaged over the tasks.
        scale = torch.where(
            self._weight > 0, self._ctx.world_size / self._weight, 0.0
        ).to(torch.float32)
        gradients = [p.grad for p in self._module.parameters() if p.grad is not None]
        torch._foreach_mul_(gradients, scale)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._weight.zero_()
        self._held = 0

    def mid_update(self) -> bool:
        """See `Trainee`."""
        return self._held > 0

    def _forward(
        self,
        model: nn.Module,
        batch: dict[str, Any],
        means: Means,
        stateful: Sequence[Metric] | None,
    ) -> tuple[Tensor, Tensor]:
        """Return the loss summed over samples, and the sum of their weights."""
        if self._task.transformation is not None:
            batch = self._task.transformation(batch)
        columns = self._task.loop.columns
        inputs = inputs_of(batch, columns, self._device)
        labels = [self._tensor(batch, name) for name in columns.labels]
        weight = None
        if columns.weight is not None:
            weight = self._tensor(batch, columns.weight).to(torch.float32).reshape(-1)
        precision = torch.autocast(
            self._device.type,
            dtype=torch.bfloat16,
            enabled=self._task.steps.precision == "bfloat16",
        )
        with precision:
            outputs = outputs_of(model(*inputs), columns.labels)
            total, sums = self._task.losses(outputs, labels, weight)
        if self.outputs is None:
            self.outputs = [
                (list(one.shape[1:]), str(one.dtype).removeprefix("torch."))
                for one in outputs
            ]
        count = torch.tensor(len(labels[0]), dtype=torch.float64, device=self._device)
        behind = count if weight is None else weight.sum(dtype=torch.float64)
        values, weights = [total], [behind]
        if self._task.losses.names:
            values += sums
            weights += [behind] * len(sums)
        with torch.no_grad():
            for metric in self._trained_metrics:
                value, of = _measured(metric, outputs, labels, weight, behind, count)
                values.append(value)
                weights.append(of)
            for metric in stateful or ():
                output = outputs[metric.output].detach().float()
                metric.function.update(output, alike(labels[metric.output], output))
        means.add(values, weights)
        return total, behind

    def _tensor(self, batch: dict[str, Any], name: str) -> Tensor:
        value = batch.get(name)
        if not isinstance(value, Tensor):
            raise InvalidArgument(
                f'"{name}" is {type(value).__name__} in the batch, expected a tensor of '
                "numbers: give text codes (Dataset.codes), and let transformation_fn keep "
                "labels and weights"
            )
        return value.to(self._device, non_blocking=True)

    def running_loss(self) -> float:
        """See `Trainee`."""
        return self._means.mean(0)

    def results(self) -> dict[str, float]:
        """See `Trainee`."""
        means = self._means
        self._means = self._new_means()
        return means.over(self._summed(means.sums))

    def _summed(self, sums: Tensor) -> Tensor:
        total = sums.clone()
        if self._ctx.world_size > 1:
            dist.all_reduce(total)
        return total

    def evaluate(self, batches: Iterator[dict[str, Any]]) -> dict[str, float]:
        """See `Trainee`."""
        means = self._new_means()
        stateful = [
            Metric(metric.name, metric.output, copy.deepcopy(metric.function))
            for metric in self._task.metrics
            if metric.stateful
        ]
        for metric in stateful:
            metric.function.reset()
            if isinstance(metric.function, nn.Module):
                metric.function.to(self._device)
        self._module.eval()
        with torch.no_grad():
            for padded in batches:
                valid = padded.pop("valid")
                batch = padded
                if not valid.all():
                    batch = {
                        name: where_valid(name, value, valid)
                        for name, value in padded.items()
                    }
                if valid.any():
                    self._forward(self._module, batch, means, stateful)
            found = means.over(self._summed(means.sums))
            for metric in stateful:
                found[metric.name] = float(metric.function.compute())
        return found

    def state(self, loop: str) -> bytes | None:
        """See `Trainee`."""
        sums = self._summed(self._means.sums)
        if self._ctx.rank != 0:
            return None
        return saved(
            {
                "model": self._module.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "sums": sums,
                "outputs": self.outputs,
                "loop": loop,
            }
        )

    def restore(self, state: bytes) -> str:
        """See `Trainee`."""
        run = self._task.loop.run
        assert run is not None
        found = read_state(state, f"{run.place}/checkpoint")
        self._module.load_state_dict(found["model"])
        self._optimizer.load_state_dict(found["optimizer"])
        if self._ctx.rank == 0:  # they are of all tasks
            self._means.sums = found["sums"].to(self._device)
        self.outputs = found["outputs"]
        return str(found["loop"])

    def weights(self) -> bytes | None:
        """See `Trainee`."""
        if self._ctx.rank != 0:
            return None
        return saved({"model": self._module.state_dict(), "outputs": self.outputs})


def _measured(
    metric: Metric,
    outputs: Sequence[Tensor],
    labels: Sequence[Tensor],
    weight: Tensor | None,
    behind: Tensor,
    count: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return a metric's sum and the weight behind it.

    One value a sample is weighted as the loss is; one number counts for its samples.
    """
    output = outputs[metric.output].detach().float()
    found = metric.function(output, alike(labels[metric.output], output))
    found = torch.as_tensor(found, dtype=torch.float64, device=output.device)
    if found.dim() == 0:
        return found * count, count
    if len(found) != len(output):
        raise InvalidArgument(
            f'metric "{metric.name}" returned the shape {tuple(found.shape)} for '
            f"{len(output)} samples: expected a number, or a value a sample"
        )
    found = found.flatten(1).mean(1) if found.dim() > 1 else found
    if weight is None:
        return found.sum(), behind
    return found @ weight.to(torch.float64), behind


def where_valid(name: str, value: Any, valid: Tensor) -> Any:
    """Return the rows of a batch's column that count; text is a list."""
    if len(value) != len(valid):
        raise InvalidArgument(
            f'column "{name}" has {len(value)} values for {len(valid)} rows: lists of '
            "unequal length cannot be validated on as they are; pad them (Dataset.ragged)"
        )
    if isinstance(value, Tensor):
        return value[valid]
    return [one for one, counts in zip(value, valid.tolist(), strict=True) if counts]


def _optimizer(given: Any, module: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer, made of the module's parameters if it is a function of those."""
    if not isinstance(given, torch.optim.Optimizer):
        made = given([p for p in module.parameters() if p.requires_grad])
        if not isinstance(made, torch.optim.Optimizer):
            raise InvalidArgument(
                f"optimizer returned {type(made).__name__}: expected a function of "
                "parameters that returns a torch.optim.Optimizer"
            )
        return made
    own = {id(p) for p in module.parameters()}
    if any(id(p) not in own for group in given.param_groups for p in group["params"]):
        raise InvalidArgument(
            "optimizer holds parameters that are not the model's: make it of "
            "model.parameters(), or give a function such as "
            "functools.partial(torch.optim.Adam, lr=1e-3)"
        )
    return given


def _step_seed(seed: int, epoch: int, step: int, rank: int) -> int:
    """Return a seed that differs between steps and ranks (SplitMix64's mixing)."""
    state = seed
    for number in (epoch, step, rank):
        state = (state + 0x9E3779B97F4A7C15 * (number + 1)) % 2**64
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) % 2**64
        state ^= state >> 31
    return state >> (64 - _SEED_BITS)
