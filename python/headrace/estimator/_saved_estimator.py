"""Estimators as files: what JSON holds of their parameters, and what is pickled."""

import inspect
import os
import pickle
from collections.abc import Callable, Mapping
from typing import Any, Self, cast

import cloudpickle

from ..dataset import Dataset
from ..errors import InvalidArgument
from ._params import EstimatorBase, value_of
from ._saving import Saved

__all__ = ["SavedEstimator"]

#: What JSON does not hold of the parameters.
_CODE = "params.pkl"


class SavedEstimator(EstimatorBase[Any], Saved):
    """An estimator that is made again of what its constructor takes."""

    def _value(self, name: str) -> Any:
        return value_of(self, name)

    def _given_values(self) -> dict[str, Any]:
        """Return what the constructor takes to make it again, of values that pickle."""
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        values = {name: self._value(name) for name in names}
        validation = values["validation"]
        if not isinstance(validation, float | str | Dataset | None):
            raise InvalidArgument(
                f"validation is a {type(validation).__name__}, which is of its session "
                "alone: save with a fraction, a column's name, a Dataset or None, and set "
                "a DataFrame when it is loaded, by copy({estimator.validation: df})"
            )
        return values

    def _record(self) -> dict[str, Any]:
        values = self._given_values()
        engine = values.pop("engine")
        plain = {name: value for name, value in values.items() if _is_plain(value)}
        return {"params": plain, "spark": engine is not None}

    def _files(self) -> dict[str, bytes]:
        values = self._given_values()
        del values["engine"]
        code = {name: value for name, value in values.items() if not _is_plain(value)}
        try:
            return {_CODE: cloudpickle.dumps(code)}
        except Exception as error:  # whatever a user's object raises
            raise InvalidArgument(
                f"among {', '.join(code)} is what does not pickle: {error}"
            ) from error

    @classmethod
    def _values_of(
        cls, values: dict[str, Any], read: Callable[[str], bytes]
    ) -> dict[str, Any]:
        """Return what the constructor takes, of values that were pickled."""
        return values

    @classmethod
    def load(
        cls,
        path: "str | os.PathLike[str]",
        *,
        storage_options: Mapping[str, str] | None = None,
    ) -> Self:
        """Load what `save` saved, which runs code of whoever wrote it: load what you trust.

        Parameters
        ----------
        path : str or PathLike
            The folder.
        storage_options : dict of str to str, optional
            How storage is reached.

        Returns
        -------
        TorchEstimator, KerasEstimator, LightningEstimator
            As it was saved. One with an `engine` has the active Spark session.

        Raises
        ------
        NotFound
            No estimator is there.
        InvalidArgument
            It has an `engine`, and no Spark session is active.
        """
        record, read = cls._saved(path, storage_options)
        values = {**record["params"], **pickle.loads(read(_CODE))}
        if record["spark"]:
            from ._spark_saving import active_session

            values["engine"] = active_session()
        made: Self = cast(Any, cls)(**cls._values_of(values, read))
        made._take_uid(record)
        return made


def _is_plain(value: Any) -> bool:
    """Return whether JSON holds a value."""
    if isinstance(value, list | tuple):
        return all(_is_plain(one) for one in value)
    if type(value) is dict:
        return all(type(name) is str and _is_plain(one) for name, one in value.items())
    return value is None or type(value) in (bool, int, float, str)
