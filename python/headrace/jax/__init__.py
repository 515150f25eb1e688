"""Headrace for JAX: batches as dicts of `jax.Array`.

The only module of the package that imports JAX.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from .._forms import Columns, is_text
from ..errors import InvalidArgument, Unsupported

try:
    import jax
    from jax.dlpack import from_dlpack
except ImportError:
    raise Unsupported("JAX is not installed: pip install 'headrace[jax]'") from None

__all__: list[str] = []

#: What JAX has for dtypes that need `jax_enable_x64`.
NARROW = {"int64": "int32", "uint64": "uint32", "float64": "float32"}


def converter() -> Callable[[int, Columns], dict[str, Any]]:
    """Return what makes a pytree out of a batch; for `Dataset.loader`.

    What it makes are arrays on the CPU that share the memory, and lists for strings.
    Columns of 64 bits are refused unless `jax_enable_x64` is set, all of them by name.
    """

    def convert(rows: int, columns: Columns) -> dict[str, Any]:
        if jax.dtypes.canonicalize_dtype(np.int64) != np.int64:  # it would cut them off
            columns = _without_64_bits(columns)
        return {
            name: pa.array(column).to_pylist() if is_text(column) else from_dlpack(column)
            for name, column in columns
        }

    return convert


def _without_64_bits(columns: Columns) -> Columns:
    """Return the columns with offsets and shapes of lists in int32; refuse other wide ones."""
    names = [name for name, _ in columns]
    counting = {f"{name}_{what}" for name in names for what in ("offsets", "shape")}
    kept: Columns = []
    wide: dict[str, str] = {}
    for name, column in columns:
        dtype = _dtype(column)
        if dtype not in NARROW:
            kept.append((name, column))
        elif name in counting and dtype == "int64":
            kept.append((name, _in_int32(name, np.from_dlpack(column))))
        else:
            wide[name] = dtype
    if not wide:
        return kept
    found = ", ".join(f'"{name}" ({dtype})' for name, dtype in wide.items())
    casts = ", ".join(f'"{name}": "{NARROW[dtype]}"' for name, dtype in wide.items())
    raise InvalidArgument(
        f"columns of 64 bits, which JAX has only with jax_enable_x64: {found}; expected "
        f"cast({{{casts}}}), which checks that integers fit (of a pack, cast its columns), "
        f'or jax.config.update("jax_enable_x64", True)'
    )


def _dtype(column: Any) -> str:
    """Return a tensor's dtype; nothing for what numpy lacks, which is no 64 bits."""
    if is_text(column):
        return ""
    try:
        return np.from_dlpack(column).dtype.name
    except (BufferError, RuntimeError):  # bfloat16
        return ""


def _in_int32(name: str, counts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    greatest = counts.max(initial=0)
    if greatest > np.iinfo(np.int32).max:
        raise InvalidArgument(
            f'"{name}" counts to {greatest}, which JAX has only with jax_enable_x64: '
            f"expected at most {np.iinfo(np.int32).max}, as with a smaller batch_size"
        )
    return counts.astype(np.int32)
