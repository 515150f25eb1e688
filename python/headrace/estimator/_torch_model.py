"""TorchModel: what TorchEstimator returns."""

import copy
import io
import pickle
from collections.abc import Sequence
from typing import Any, Self

import cloudpickle
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ._columns import Columns
from ._model import BaseModel
from ._params import value_of
from ._predictor import Predictor
from ._torch_losses import outputs_of
from ._torch_training import read_state
from .callbacks import History

__all__ = ["TorchModel"]


class TorchPredictor(Predictor):
    """A torch module on batches of numpy arrays, on the CPU."""

    def __init__(self, module: nn.Module, columns: Columns, dtype: str | None) -> None:
        self.module = module
        self.columns = columns
        self.dtype = dtype

    def __call__(self, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        tensors = []
        for place, array in enumerate(inputs):
            tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
            if self.dtype is not None and tensor.is_floating_point():
                tensor = tensor.to(getattr(torch, self.dtype))
            shape = None if self.columns.shapes is None else self.columns.shapes[place]
            tensors.append(
                tensor if shape is None else tensor.reshape(len(tensor), *shape)
            )
        self.module.eval()
        with torch.no_grad():
            found = self.module(*tensors)
        return [_array(one) for one in outputs_of(found, self.columns.labels)]


def _array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()  # numpy lacks it
    return tensor.cpu().numpy()


class TorchModel(BaseModel):
    """A trained torch module: `predict(table)`, and `transform(df)` as of Spark ML.

    Made by `TorchEstimator`. `model` is the module, `history` has the epochs.

    Notes
    -----
    `save` writes the weights, and the module as a pickle. `load` unpickles it, which runs
    code of whoever wrote it: load what you trust, or give `load` a module of your own for
    the weights, which run nothing.

    Examples
    --------
    >>> model.predict("lake/flights")["dep_delay__output"]  # doctest: +SKIP
    >>> model.transform(df).select("dep_delay__output")  # doctest: +SKIP
    """

    @classmethod
    def _trained(
        cls,
        estimator: Any,
        columns: Columns,
        weights: bytes,
        run_id: str,
        history: History,
    ) -> Self:
        """Return the model of an estimator's module with such weights."""
        found = read_state(weights, f'the weights of run "{run_id}"')
        module = copy.deepcopy(value_of(estimator, "model")).to("cpu")
        module.load_state_dict(found["model"])
        return cls._of(
            module,
            columns,
            outputs=[(tuple(shape), dtype) for shape, dtype in found["outputs"]],
            output_cols=estimator._output_names(columns),
            dtype=value_of(estimator, "loader").dtype,
            run_id=run_id,
            history=history,
        )

    def _predictor(self) -> TorchPredictor:
        return TorchPredictor(self._model, self._columns, self._dtype)

    def _files(self) -> dict[str, bytes]:
        stream = io.BytesIO()
        torch.save(self._model.state_dict(), stream)
        return {
            "weights.pt": stream.getvalue(),
            "module.pkl": cloudpickle.dumps(self._model),
        }

    def _load(self, read: Any, model: Any) -> None:
        if model is None:
            self._model = pickle.loads(read("module.pkl"))
            return
        model.load_state_dict(read_state(read("weights.pt"), "the saved weights"))
        self._model = model
