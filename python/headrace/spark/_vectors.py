"""Spark ML vectors, as Arrow has them: structs of type, size, indices and values."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..errors import InvalidArgument

__all__ = ["dense_lists", "vector_size"]

_SPARSE = 0


def vector_size(metadata: Mapping[str, Any] | None) -> int | None:
    """Return the size that a column's ML attributes tell; None if they do not."""
    attributes = (metadata or {}).get("ml_attr", {})
    if "num_attrs" in attributes:
        return int(attributes["num_attrs"])
    named = attributes.get("attrs", {})
    return sum(len(group) for group in named.values()) or None


def dense_lists(vectors: pa.StructArray) -> pa.Array:
    """Return vectors as lists of doubles, sparse ones filled with zeros; nulls stay."""
    present = vectors.is_valid().to_numpy(zero_copy_only=False)
    kind, size, indices, values = (vectors.field(i) for i in range(4))
    sparse = present & (_numbers(kind) == _SPARSE)
    stored = _lengths(values)
    lengths = np.where(present, np.where(sparse, _numbers(size), stored), 0)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    if sparse.any():
        flat = np.zeros(offsets[-1])
        given = values.flatten().to_numpy(zero_copy_only=False)
        # For each stored value: its vector, and its place in it.
        rows = np.repeat(np.arange(len(vectors)), stored)
        first = np.repeat(np.cumsum(stored) - stored, stored)
        places = np.arange(len(given)) - first
        of_sparse = sparse[rows]
        places[of_sparse] = indices.flatten().to_numpy(zero_copy_only=False)
        if np.any((places < 0) | (places >= lengths[rows])):
            raise InvalidArgument("a sparse vector has an index outside of its size")
        flat[offsets[rows] + places] = given
        whole = pa.array(flat)
    else:
        whole = values.flatten()
    mask = pa.array(~present) if not present.all() else None
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), whole, type=pa.list_(pa.float64()), mask=mask
    )


def _numbers(array: pa.Array) -> npt.NDArray[Any]:
    """Return numbers, 0 for nulls."""
    found = array.fill_null(0).to_numpy(zero_copy_only=False)
    return np.asarray(found, np.int64)


def _lengths(lists: pa.Array) -> npt.NDArray[np.int64]:
    """Return the lengths of lists, 0 for nulls."""
    return _numbers(lists.value_lengths())
