"""Spark ML's base classes, and what stands in for them where pyspark is not installed.

Imported when an estimator is first named, and by no task of a gang.
"""

import copy
from typing import TYPE_CHECKING, Any, Self

from ..errors import InvalidArgument, Unsupported

__all__ = [
    "EstimatorBase",
    "MLReadable",
    "MLWritable",
    "ModelBase",
    "Param",
    "has_spark",
    "param",
]

if TYPE_CHECKING:
    from pyspark.ml.base import Estimator as EstimatorBase
    from pyspark.ml.base import Model as ModelBase
    from pyspark.ml.param import Param, Params
    from pyspark.ml.util import MLReadable, MLWritable

    has_spark = True
else:
    try:
        from pyspark.ml.base import Estimator as EstimatorBase
        from pyspark.ml.base import Model as ModelBase
        from pyspark.ml.param import Param, Params
        from pyspark.ml.util import MLReadable, MLWritable

        has_spark = True
    except ImportError:
        has_spark = False

        class Param:
            """A parameter, by its name."""

            def __init__(self, parent: object, name: str, doc: str) -> None:
                self.name = name
                self.doc = doc

        class Params:
            """Values of parameters, by their names."""

            def __init__(self) -> None:
                self._values: dict[str, Any] = {}

            @staticmethod
            def _dummy() -> None:
                return None

            def _set(self, **values: Any) -> Self:
                self._values.update(values)
                return self

            def getOrDefault(self, name: str) -> Any:  # noqa: N802 (Spark's name)
                return self._values[name]

            def copy(self, extra: dict[Param, Any] | None = None) -> Self:
                other = copy.copy(self)
                changed = {param.name: value for param, value in (extra or {}).items()}
                other._values = {**self._values, **changed}
                return other

        class EstimatorBase(Params):
            """What trains."""

            def __class_getitem__(cls, of: object) -> type:
                return cls

            def fit(self, dataset: object, params: object = None) -> Any:
                raise _lacking("fit", "fit_table")

            def fitMultiple(self, dataset: object, params: object) -> Any:  # noqa: N802
                raise _lacking("fitMultiple", "fit_table")

        class ModelBase(Params):
            """What was trained."""

            def transform(self, dataset: object, params: object = None) -> Any:
                raise _lacking("transform", "predict")

        class MLReadable:
            """What can be loaded."""

            def __class_getitem__(cls, of: object) -> type:
                return cls

        class MLWritable:
            """What can be saved."""

        def _lacking(name: str, instead: str) -> Unsupported:
            return Unsupported(
                f"{name} takes a Spark DataFrame, and pyspark is not installed: pip install "
                f"'headrace[spark]', or use {instead}, which takes tables"
            )


def param(name: str, doc: str) -> "Param[Any]":
    """Return a class's parameter."""
    return Param(Params._dummy(), name, doc)


def value_of(params: Any, name: str) -> Any:
    """Return the value of a parameter."""
    try:
        return params.getOrDefault(name)
    except KeyError:
        raise InvalidArgument(f"{name} is not set: expected a value") from None
