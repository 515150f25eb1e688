"""Estimators: a model trained in parallel on a table or a DataFrame, by a gang of tasks.

>>> import functools, torch
>>> import headrace as hr
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

import importlib

from .. import _validate
from .callbacks import Callback, EarlyStopping, Training
from .options import CheckpointOptions, GangOptions, LoaderOptions, StepOptions, Store

# Each is imported when it is first named: its module, and the framework that it needs.
_LAZY = {
    "KerasEstimator": ("._keras_estimator", "keras"),
    "KerasModel": ("._keras_model", "keras"),
    "LightningEstimator": ("._lightning_estimator", "lightning"),
    "TorchEstimator": ("._torch_estimator", "torch"),
    "TorchModel": ("._torch_model", "torch"),
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        module, framework = _LAZY[name]
        _validate.installed(name, framework)
        return getattr(importlib.import_module(module, __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Callback",
    "CheckpointOptions",
    "EarlyStopping",
    "GangOptions",
    "KerasEstimator",
    "KerasModel",
    "LightningEstimator",
    "LoaderOptions",
    "StepOptions",
    "Store",
    "TorchEstimator",
    "TorchModel",
    "Training",
]
