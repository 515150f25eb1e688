"""What Spark ML asks for to save and load a stage of a pipeline."""

from typing import Any

from pyspark.ml.util import MLReader, MLWriter
from pyspark.sql import SparkSession

from ..errors import InvalidArgument

__all__ = ["Reader", "Writer", "active_session", "resolved"]


class Writer(MLWriter):
    """Saves a stage of a pipeline."""

    def __init__(self, stage: Any) -> None:
        super().__init__()
        self._stage = stage

    def save(self, path: str) -> None:
        """Save to a path, as Hadoop would take it."""
        self._stage.save(path, overwrite=self.shouldOverwrite)


class Reader(MLReader[Any]):
    """Loads a stage of a pipeline."""

    def __init__(self, of: Any) -> None:
        super().__init__()
        self._of = of

    def load(self, path: str) -> Any:
        """Load from a path, as Hadoop would take it."""
        return self._of.load(path)


def active_session() -> SparkSession:
    """Return the session in which a stage is loaded."""
    session = SparkSession.getActiveSession()
    if session is None:
        raise InvalidArgument(
            "the estimator was saved with an engine, and no Spark session is active: start "
            "one, and load again"
        )
    return session


def resolved(path: str) -> str:
    """Return a path without a scheme as Hadoop has it: on its default filesystem."""
    if path.startswith("file:/"):
        return "/" + path.removeprefix("file:").lstrip("/")
    session = SparkSession.getActiveSession()
    if "://" in path or not hasattr(session, "_jsc"):
        return path
    assert session is not None
    default = str(session._jsc.hadoopConfiguration().get("fs.defaultFS") or "file:///")
    if default.startswith("file:"):
        return path
    if not path.startswith("/"):
        raise InvalidArgument(
            f'path is "{path}" and the default filesystem {default}: expected an absolute '
            "path, or a URI"
        )
    return default.rstrip("/") + path
