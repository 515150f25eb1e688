"""Losses, weights and metrics of torch outputs, and their means over batches and tasks."""

import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .. import _validate
from ..errors import InvalidArgument
from ._columns import Columns

__all__ = ["Losses", "Means", "Metric", "losses_of", "metrics_of", "outputs_of"]

Function = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Losses:
    """What is minimised: the sum over outputs of weight * loss(output, label).

    Attributes
    ----------
    functions : tuple
        One an output; with sample weights they return a value a sample.
    weights : tuple of float
        One an output.
    names : tuple of str
        In the history: of each output, where there are several.
    per_sample : bool
        Samples have weights.
    """

    functions: tuple[Function, ...]
    weights: tuple[float, ...]
    names: tuple[str, ...]
    per_sample: bool

    def __call__(
        self, outputs: Sequence[Tensor], labels: Sequence[Tensor], weight: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the sum over the batch's samples, and that of each output.

        Without weights a loss is a mean over samples, and counts as often as there are any.
        """
        sums = []
        for place, function in enumerate(self.functions):
            output, label = outputs[place], alike(labels[place], outputs[place])
            loss = function(output, label)
            if weight is None:
                sums.append(loss.mean() * len(output))
                continue
            if loss.dim() == 0 or len(loss) != len(output):
                raise InvalidArgument(
                    f"loss {_name(function)} returned the shape {tuple(loss.shape)} for "
                    f"{len(output)} samples: expected a value a sample, as "
                    "sample_weight_col is given; a function may take reduction='none'"
                )
            sums.append(
                (loss.flatten(1).mean(1) if loss.dim() > 1 else loss)
                @ weight.to(loss.dtype)
            )
        total = sum(
            (share * of for share, of in zip(self.weights, sums, strict=True)),
            start=torch.zeros((), device=sums[0].device),
        )
        return total, sums


@dataclass(frozen=True)
class Metric:
    """A named value of one output. Of objects with update, compute and reset: `stateful`."""

    name: str
    output: int
    function: Any

    @property
    def stateful(self) -> bool:
        """It has a state of its own, as torchmetrics' have."""
        return all(
            callable(getattr(self.function, name, None))
            for name in ("update", "compute", "reset")
        )


class Means:
    """Sums of values and of their weights, kept on the device."""

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self.names = list(names)
        self.sums = torch.zeros(len(self.names), 2, dtype=torch.float64, device=device)

    def add(self, values: Sequence[Tensor], weights: Sequence[Any]) -> None:
        """Add a batch's sums, and the sums of weights behind each."""
        rows = [
            torch.stack(
                [
                    value.detach().to(torch.float64),
                    torch.as_tensor(weight, dtype=torch.float64, device=value.device),
                ]
            )
            for value, weight in zip(values, weights, strict=True)
        ]
        self.sums += torch.stack(rows)

    def mean(self, place: int) -> float:
        """Return the mean of one, by what this task has seen."""
        value, weight = self.sums[place].tolist()
        return value / weight if weight else float("nan")

    def over(self, sums: Tensor) -> dict[str, float]:
        """Return means by name, of such sums."""
        return {
            name: value / weight if weight else float("nan")
            for name, (value, weight) in zip(self.names, sums.tolist(), strict=True)
        }


def alike(label: Tensor, output: Tensor) -> Tensor:
    """Return a label in its output's shape, where it has as many values.

    (batch,) beside (batch, 1) would become (batch, batch) in many a loss.
    """
    if label.shape != output.shape and label.numel() == output.numel():
        return label.reshape(output.shape)
    return label


def outputs_of(found: Any, labels: Sequence[str]) -> list[Tensor]:
    """Return a model's outputs as one tensor a label."""
    if isinstance(found, Mapping):
        missing = [name for name in labels if name not in found]
        if missing:
            raise InvalidArgument(
                f"the model returned a dict of {sorted(found)} and lacks {missing}: "
                "expected a tensor for each of label_cols"
            )
        outputs = [found[name] for name in labels]
    elif isinstance(found, Tensor):
        outputs = [found]
    else:
        outputs = list(found)
    if len(outputs) != len(labels):
        raise InvalidArgument(
            f"the model returned {len(outputs)} outputs and label_cols has {len(labels)} "
            f"({', '.join(labels)}): expected one output for each"
        )
    return outputs


def losses_of(loss: Any, loss_weights: Any, columns: Columns) -> Losses:
    """Return losses by output, checked.

    `loss` is a function for all outputs, a list, or a dict by label column; likewise
    `loss_weights`, whose numbers are 1 / outputs if not given.
    """
    labels = columns.labels
    functions = _by_label("loss", loss, labels)
    for function in functions:
        if not callable(function):
            raise _validate.rejected("loss", function, "a function (outputs, labels)")
    if columns.weight is not None:
        functions = [_per_sample(function) for function in functions]
    if loss_weights is None:
        weights = [1 / len(labels)] * len(labels)
    else:
        weights = [
            _validate.real("loss_weights", weight)
            for weight in _by_label("loss_weights", loss_weights, labels)
        ]
    several = len(labels) > 1
    return Losses(
        tuple(functions),
        tuple(weights),
        tuple(f"{name}_loss" for name in labels) if several else (),
        columns.weight is not None,
    )


def metrics_of(metrics: Any, labels: Sequence[str]) -> list[Metric]:
    """Return metrics by output.

    A list of functions, or a dict of them by name, for all outputs; or a dict of such by
    label column.
    """
    if metrics is None:
        return []
    by_label = isinstance(metrics, Mapping) and any(
        isinstance(value, list | tuple | Mapping) for value in metrics.values()
    )
    if by_label:
        unknown = sorted(set(metrics) - set(labels))
        if unknown:
            raise InvalidArgument(
                f"metrics are given for {unknown}: expected label_cols, {list(labels)}"
            )
    found = []
    for place, label in enumerate(labels):
        own = metrics.get(label, []) if by_label else metrics
        for name, function in _named(own):
            full = f"{label}_{name}" if len(labels) > 1 else name
            metric = Metric(full, place, function)
            if not callable(function) and not metric.stateful:
                raise _validate.rejected(
                    f"metrics[{name!r}]",
                    function,
                    "a function (output, label), or an object with update, compute and reset",
                )
            found.append(metric)
    names = [metric.name for metric in found]
    twice = sorted({name for name in names if names.count(name) > 1 or name == "loss"})
    if twice:
        raise InvalidArgument(
            f"metrics are named {twice} more than once, or as the loss: name them by a dict"
        )
    return found


def _named(metrics: Any) -> list[tuple[str, Any]]:
    if isinstance(metrics, Mapping):
        return list(metrics.items())
    if isinstance(metrics, str | bytes) or not isinstance(metrics, Sequence):
        raise _validate.rejected(
            "metrics", metrics, "a list of functions or a dict of them"
        )
    return [(_name(function), function) for function in metrics]


def _name(function: Any) -> str:
    if isinstance(function, functools.partial):
        return _name(function.func)
    return str(getattr(function, "__name__", type(function).__name__))


def _by_label(parameter: str, given: Any, labels: Sequence[str]) -> list[Any]:
    """Return one value a label, of a dict by label, of a list, or of one for all."""
    if isinstance(given, Mapping):
        if set(given) != set(labels):
            raise InvalidArgument(
                f"{parameter} is given for {sorted(given)}: expected exactly label_cols, "
                f"{list(labels)}"
            )
        return [given[label] for label in labels]
    if isinstance(given, list | tuple):
        if len(given) != len(labels):
            raise InvalidArgument(
                f"{parameter} has {len(given)} entries and label_cols {len(labels)}: "
                "expected one for each label column"
            )
        return list(given)
    return [given] * len(labels)


def _per_sample(loss: Any) -> Function:
    """Return the loss as one that gives a value a sample."""
    if isinstance(loss, nn.Module):
        alone: Any = copy.copy(loss)
        if hasattr(alone, "reduction"):
            alone.reduction = "none"
        return alone  # type: ignore[no-any-return]
    try:
        takes = "reduction" in inspect.signature(loss).parameters
    except (TypeError, ValueError):
        takes = False
    return functools.partial(loss, reduction="none") if takes else loss
