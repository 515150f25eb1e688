"""KerasModel: what KerasEstimator returns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._columns import Columns
from ._model import BaseModel
from ._predictor import Predictor

__all__ = ["FILE", "KerasModel"]

#: Of what is saved.
FILE = "model.keras"


class KerasPredictor(Predictor):
    """A Keras model on batches of numpy arrays. Unpickled, it is loaded by the first one."""

    def __init__(
        self, model: Any, columns: Columns, dtype: str | None, objects: Mapping[str, Any]
    ) -> None:
        self.columns = columns
        self.dtype = dtype
        self._objects = dict(objects)
        self._model = model
        self._content: bytes | None = None
        self._backend = ""

    def __call__(self, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        model = self._loaded()
        given = []
        for place, array in enumerate(inputs):
            floating = self.dtype is not None and array.dtype.kind == "f"
            of = "float32" if self.dtype == "bfloat16" else self.dtype
            cast = array.astype(of) if floating else array
            shape = None if self.columns.shapes is None else self.columns.shapes[place]
            given.append(cast if shape is None else cast.reshape(-1, *shape))
        found = model.predict_on_batch(given[0] if len(given) == 1 else given)
        if isinstance(found, Mapping):
            found = list(found.values())
        outputs = found if isinstance(found, list | tuple) else [found]
        return [np.asarray(one) for one in outputs]

    def _loaded(self) -> Any:
        if self._model is None:
            import os

            # An executor of Spark need not know on what the driver's Keras runs.
            os.environ.setdefault("KERAS_BACKEND", self._backend)
            from ._keras_files import from_bytes

            assert self._content is not None
            self._model = from_bytes(self._content, self._objects, safe=False)
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        import keras

        from ._keras_files import to_bytes

        content = self._content if self._model is None else to_bytes(self._model)
        backend = self._backend or keras.backend.backend()
        return {**vars(self), "_model": None, "_content": content, "_backend": backend}


class KerasModel(BaseModel):
    """A trained Keras model: `predict(table)`, and `transform(df)` as of Spark ML.

    Made by `KerasEstimator`. `model` is the Keras model, `history` has the epochs.

    Notes
    -----
    It is saved as Keras saves models. `load` runs no code of the file: a model of classes
    of your own needs them registered (`keras.saving.register_keras_serializable`), or a
    model given for the weights.

    Examples
    --------
    >>> model.predict("lake/flights")["dep_delay__output"]  # doctest: +SKIP
    """

    _custom_objects: Mapping[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self._custom_objects = {}

    def _predictor(self) -> KerasPredictor:
        return KerasPredictor(
            self._model, self._columns, self._dtype, self._custom_objects
        )

    def _files(self) -> dict[str, bytes]:
        from ._keras_files import to_bytes

        return {FILE: to_bytes(self._model)}

    def _load(self, read: Any, model: Any) -> None:
        from ._keras_files import from_bytes, weights_of

        if model is None:
            self._model = from_bytes(read(FILE), None, safe=True)
            return
        weights_of(read(FILE), model)
        self._model = model
