"""Filters that are pyarrow's expressions."""

import pyarrow as pa
import pyarrow.compute as pc

from .errors import Unsupported

__all__ = ["serialized"]


def serialized(expression: pc.Expression) -> bytes:
    """Return an expression in the form that C++ reads; Unsupported if it has none."""
    try:
        # What an expression pickles as is its serialised form.
        form = expression.__reduce__()[1][0]
    except pa.ArrowNotImplementedError as error:
        raise Unsupported(
            f"the filter cannot be taken ({error}): name its columns, and use the "
            "functions of docs/guide/filters.md"
        ) from None
    return bytes(memoryview(form))
