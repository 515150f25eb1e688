"""Keras models and what they are compiled with, as bytes between processes."""

import io
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from ..errors import Corrupt

__all__ = [
    "from_bytes",
    "loaded_arrays",
    "packed",
    "saved_arrays",
    "to_bytes",
    "unpacked",
    "weights_of",
]

#: Where the text lies among arrays that are saved together.
_TEXT = "text"


def to_bytes(model: keras.Model) -> bytes:
    """Return a model as a `.keras` file has it."""
    with tempfile.TemporaryDirectory(prefix="headrace-keras-") as folder:
        path = os.path.join(folder, "model.keras")
        model.save(path)
        with open(path, "rb") as file:
            return file.read()


def from_bytes(
    content: bytes, custom_objects: Mapping[str, Any] | None, *, safe: bool
) -> keras.Model:
    """Return the model of a `.keras` file, not compiled; `safe`: none that holds code."""
    with tempfile.TemporaryDirectory(prefix="headrace-keras-") as folder:
        path = os.path.join(folder, "model.keras")
        with open(path, "wb") as file:
            file.write(content)
        return keras.saving.load_model(
            path,
            custom_objects=None if custom_objects is None else dict(custom_objects),
            compile=False,
            safe_mode=safe,
        )


def packed(value: Any) -> Any:
    """Return losses, metrics and optimizers as their configurations, which pickle."""
    if isinstance(value, keras.Loss | keras.Metric | keras.Optimizer):
        return _Packed(keras.saving.serialize_keras_object(value))
    if isinstance(value, Mapping):
        return {name: packed(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [packed(one) for one in value]
    return value


class _Packed:
    """The configuration of an object of Keras."""

    def __init__(self, configuration: Any) -> None:
        self.configuration = configuration


def unpacked(value: Any, custom_objects: Mapping[str, Any] | None) -> Any:
    """Return what `packed` was given, made anew."""
    if isinstance(value, _Packed):
        return keras.saving.deserialize_keras_object(
            value.configuration, custom_objects=dict(custom_objects or {})
        )
    if isinstance(value, Mapping):
        return {name: unpacked(one, custom_objects) for name, one in value.items()}
    if isinstance(value, list):
        return [unpacked(one, custom_objects) for one in value]
    return value


def saved_arrays(text: str, groups: Mapping[str, Sequence[Any]]) -> bytes:
    """Return a text and lists of arrays as bytes; no pickle is among them."""
    arrays: dict[str, npt.NDArray[Any]] = {
        _TEXT: np.frombuffer(text.encode(), "uint8"),
        "names": np.frombuffer(
            json.dumps({name: len(group) for name, group in groups.items()}).encode(),
            "uint8",
        ),
    }
    for name, group in groups.items():
        for place, value in enumerate(group):
            array = np.asarray(value)
            if array.dtype.kind == "V" or array.dtype.name == "bfloat16":
                array = array.astype("float32")  # .npy has no bfloat16
            arrays[f"{name}/{place}"] = array
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def loaded_arrays(
    content: bytes, what: str
) -> tuple[str, dict[str, list[npt.NDArray[Any]]]]:
    """Return what `saved_arrays` was given."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            counts = json.loads(arrays["names"].tobytes())
            groups = {
                name: [arrays[f"{name}/{place}"] for place in range(count)]
                for name, count in counts.items()
            }
            return arrays[_TEXT].tobytes().decode(), groups
    except Exception as error:  # zipfile, numpy and json raise their own
        raise Corrupt(f"{what} cannot be read ({error}): remove it") from error


def weights_of(content: bytes, model: keras.Model) -> None:
    """Give a model the weights of a `.keras` file."""
    with tempfile.TemporaryDirectory(prefix="headrace-keras-") as folder:
        path = os.path.join(folder, "model.keras")
        with open(path, "wb") as file:
            file.write(content)
        model.load_weights(path)
