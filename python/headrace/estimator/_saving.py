"""What is saved to a folder and loaded from it, of Spark ML or without: models, estimators."""

import abc
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from .. import _native, _validate
from .._version import __version__
from ..errors import Conflict, Corrupt, InvalidArgument, NotFound
from ._params import MLReadable, MLWritable
from .options import Store

__all__ = ["Saved"]

_FORMAT = 1
_RECORD = "headrace.json"


class Saved(MLWritable, MLReadable[Any]):
    """A stage of Spark ML in files: docs/format/run-store.md has them."""

    @abc.abstractmethod
    def _record(self) -> dict[str, Any]:
        """Return what JSON holds of it."""

    @abc.abstractmethod
    def _files(self) -> dict[str, bytes]:
        """Return what else there is, by the names of files."""

    def save(
        self,
        uri: "str | os.PathLike[str]",
        *,
        overwrite: bool = False,
        storage_options: Mapping[str, str] | None = None,
    ) -> None:
        """Save to a folder, on any storage that `headrace.open` reads.

        Parameters
        ----------
        uri : str or PathLike
            The folder. A path without a scheme is on the default filesystem of the Spark
            session, where one is active.
        overwrite : bool, optional
            Take the place of what was saved there.
        storage_options : dict of str to str, optional
            How storage is reached.

        Raises
        ------
        Conflict
            Something is there, and `overwrite` is False.
        """
        folder = _folder(uri, storage_options)
        there = [name for name, _ in folder.list("")]
        if there and not _validate.boolean("overwrite", overwrite):
            raise Conflict(
                f"{folder.display} holds {len(there)} files already: save elsewhere, or "
                "pass overwrite=True"
            )
        record = {
            "format": _FORMAT,
            "headrace": __version__,
            "class": type(self).__name__,
            "uid": getattr(self, "uid", f"{type(self).__name__}_{uuid.uuid4().hex[:12]}"),
            **self._record(),
        }
        for name, content in self._files().items():
            folder.put(name, content)
        # The line by which Spark ML finds the class of a stage.
        metadata = {
            "class": f"{type(self).__module__}.{type(self).__name__}",
            "timestamp": int(time.time() * 1000),
            "sparkVersion": "",
            "uid": record["uid"],
            "paramMap": {},
            "defaultParamMap": {},
        }
        folder.put("metadata/part-00000", json.dumps(metadata).encode())
        folder.put(_RECORD, json.dumps(record).encode())

    @classmethod
    def _saved(
        cls,
        path: "str | os.PathLike[str]",
        storage_options: Mapping[str, str] | None,
    ) -> tuple[dict[str, Any], Callable[[str], bytes]]:
        """Return the record of what was saved, and what reads its files."""
        folder = _folder(path, storage_options)
        try:
            record = json.loads(folder.read(_RECORD))
        except NotFound:
            raise NotFound(
                f"{folder.display} holds no saved {cls.__name__}: expected a folder that "
                f"{cls.__name__}.save wrote"
            ) from None
        except ValueError:
            raise Corrupt(f"{folder.display}/{_RECORD} is no JSON: save again") from None
        if record["format"] != _FORMAT or record["class"] != cls.__name__:
            raise InvalidArgument(
                f"{folder.display} holds a {record['class']} of format "
                f"{record['format']}: expected a {cls.__name__} of format {_FORMAT}"
            )
        return record, folder.read

    def _take_uid(self, record: Mapping[str, Any]) -> None:
        """Be the stage that was saved, by which grids of parameters name it."""
        if "uid" in record and hasattr(self, "uid"):
            self._resetUid(record["uid"])  # type: ignore[attr-defined]

    def write(self) -> Any:
        """Return Spark ML's writer, which `Pipeline.save` asks for."""
        from ._spark_saving import Writer

        return Writer(self)

    @classmethod
    def read(cls) -> Any:
        """Return Spark ML's reader."""
        from ._spark_saving import Reader

        return Reader(cls)


def _folder(
    uri: "str | os.PathLike[str]", storage_options: Mapping[str, str] | None
) -> _native.ObjectFolder:
    path = _validate.path("uri", uri)
    # `save` and `load` are what Spark ML's own stages call of those within them.
    if "pyspark.sql" in sys.modules:
        from ._spark_saving import resolved

        path = resolved(path)
    place = Store(path, storage_options or {})
    return _native.ObjectFolder.open(place.uri, dict(place.storage_options))
