"""What a scan will touch."""

import json
from typing import Any

from . import _native

__all__ = ["ScanSummary"]


class ScanSummary:
    """What a scan will touch, before and after pruning, as `Dataset.explain` gives it.

    Prints as text. Thread-safety: immutable.
    """

    def __init__(self, native: _native.ScanSummary) -> None:
        self._native = native

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers: files, row groups, rows and bytes, before and after.

        Returns
        -------
        dict
            JSON-able. Bytes are the compressed ones of the needed columns.
        """
        found: dict[str, Any] = json.loads(self._native.to_json())
        return found

    def __str__(self) -> str:
        return str(self._native)

    __repr__ = __str__
