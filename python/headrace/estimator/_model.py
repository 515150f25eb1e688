"""What all trained models share: predictions, a transformer's columns, saving and loading."""

import abc
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from .. import opening
from ..dataset import Dataset
from ._columns import Columns
from ._params import ModelBase, param, value_of
from ._predictor import Output, Predictor
from ._saving import Saved
from .callbacks import History

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["BaseModel"]


class BaseModel(ModelBase, Saved):
    """A trained model: a transformer of Spark ML that also works without Spark."""

    output_cols = param("output_cols", "columns that transform adds, one an output")
    batch_size = param("batch_size", "rows that the model sees at once")
    vectors = param(
        "vectors", 'what outputs of one dimension become: "vector" or "array"'
    )

    _columns: Columns
    _outputs: list[Output]
    _dtype: str | None
    _history: History
    _run_id: str

    @classmethod
    def _of(
        cls,
        model: Any,
        columns: Columns,
        *,
        outputs: Sequence[Output],
        output_cols: Sequence[str],
        dtype: str | None,
        run_id: str,
        history: History,
    ) -> Self:
        made = cls()
        made._model = model
        made._columns = columns
        made._outputs = [(tuple(shape), of) for shape, of in outputs]
        made._dtype = dtype
        made._run_id = run_id
        made._history = history
        made._set(output_cols=list(output_cols), batch_size=1024, vectors="vector")
        return made

    def __init__(self) -> None:
        super().__init__()
        self._model: Any = None

    # -- what it is -----------------------------------------------------------------------

    @property
    def model(self) -> Any:
        """The framework's model, on the CPU."""
        return self._model

    @property
    def history(self) -> History:
        """An epoch an entry: losses, metrics, "val_..." of the validation, seconds."""
        return self._history

    @property
    def run_id(self) -> str:
        """The run that trained it."""
        return self._run_id

    # -- what it does ---------------------------------------------------------------------

    @abc.abstractmethod
    def _predictor(self) -> Predictor:
        """Return what predicts, for another process as well."""

    def predict(
        self, table: "str | os.PathLike[str] | Dataset"
    ) -> dict[str, npt.NDArray[Any]]:
        """Return the outputs for all rows of a table, in stored order.

        Parameters
        ----------
        table : str, PathLike or Dataset
            A path, URI or Dataset with the columns of the features.

        Returns
        -------
        dict of str to numpy.ndarray
            By the names of `output_cols`; shape (rows, ...).

        Raises
        ------
        NotFound
            A column is not there.
        """
        dataset = table if isinstance(table, Dataset) else opening.open(table)
        features = self._columns.of_features()
        chosen = features.prepared(dataset, self._dtype, whole=False)
        predictor = self._predictor()
        names = value_of(self, "output_cols")
        found: list[list[npt.NDArray[Any]]] = [[] for _ in names]
        loader = chosen.loader(
            batch_size=value_of(self, "batch_size"),
            shuffle=False,
            rank=0,
            world_size=1,
            to="numpy",
        )
        with loader:
            for batch in loader:
                inputs = [batch[key] for key in features.keys]
                for kept, output in zip(found, predictor(inputs), strict=True):
                    kept.append(output)
        return {
            name: np.concatenate(kept) if kept else np.zeros((0, *shape), dtype)
            for name, kept, (shape, dtype) in zip(
                names, found, self._outputs, strict=True
            )
        }

    def _transform(self, dataset: "DataFrame") -> "DataFrame":
        from ._spark_predictions import transform

        return transform(
            dataset,
            self._predictor(),
            self._outputs,
            value_of(self, "output_cols"),
            value_of(self, "batch_size"),
            value_of(self, "vectors"),
        )

    # -- saved and loaded -----------------------------------------------------------------

    @abc.abstractmethod
    def _load(self, read: Any, model: Any) -> None:
        """Take the model out of what `read(name)` gives, or weights for a given one."""

    def _record(self) -> dict[str, Any]:
        return {
            "inputs": self._columns.inputs,
            "groups": self._columns.groups,
            "labels": self._columns.labels,
            "shapes": self._columns.shapes,
            "outputs": self._outputs,
            "dtype": self._dtype,
            "run_id": self._run_id,
            "history": self._history,
            "params": {
                name: value_of(self, name)
                for name in ("output_cols", "batch_size", "vectors")
            },
        }

    @classmethod
    def load(
        cls,
        path: "str | os.PathLike[str]",
        *,
        model: Any = None,
        storage_options: Mapping[str, str] | None = None,
    ) -> Self:
        """Load what `save` saved.

        Parameters
        ----------
        path : str or PathLike
            The folder.
        model : optional
            A model of the framework that takes the saved weights.
        storage_options : dict of str to str, optional
            How storage is reached.

        Returns
        -------
        TorchModel, KerasModel
            As it was saved.

        Raises
        ------
        NotFound
            No model is there.
        """
        saved, read = cls._saved(path, storage_options)
        shapes = saved["shapes"]
        columns = Columns(
            tuple(tuple(names) for names in saved["inputs"]),
            tuple(saved["groups"]),
            tuple(saved["labels"]),
            None,
            shapes and tuple(shape and tuple(shape) for shape in shapes),
        )
        made = cls._of(
            None,
            columns,
            outputs=saved["outputs"],
            output_cols=saved["params"]["output_cols"],
            dtype=saved["dtype"],
            run_id=saved["run_id"],
            history=saved["history"],
        )
        made._set(**saved["params"])
        made._take_uid(saved)
        made._load(read, model)
        return made
