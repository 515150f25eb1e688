"""Headrace for JAX: batches as dicts of `jax.Array`.

The only module of the package that imports JAX.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from .. import _native
from ..errors import InvalidArgument, Unsupported

try:
    import jax
    from jax.dlpack import from_dlpack
except ImportError:
    raise Unsupported("JAX is not installed: pip install 'headrace[jax]'") from None

__all__: list[str] = []


def converter() -> Callable[[int, list[tuple[str, Any]]], dict[str, Any]]:
    """Return what makes a pytree out of a batch; for `Dataset.loader`."""

    def convert(rows: int, columns: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: _array(name, column) for name, column in columns}

    return convert


def _array(name: str, column: Any) -> Any:
    """Return a `jax.Array` on the CPU that shares the memory; a list for strings."""
    if isinstance(column, _native.ArrowColumn):
        return pa.array(column).to_pylist()
    return from_dlpack(_narrowed(name, column))


def _narrowed(name: str, column: Any) -> Any:
    """Return 64 bits as JAX has them, unless `jax_enable_x64` is set; others as they are.

    Of integers, only where their values stay what they are.
    """
    try:
        wide: Any = np.from_dlpack(column)
    except (BufferError, RuntimeError):  # bfloat16, which numpy lacks
        return column
    dtype = jax.dtypes.canonicalize_dtype(wide.dtype)
    if dtype == wide.dtype:
        return column
    if dtype.kind in "iu" and wide.size:
        limits = np.iinfo(dtype)
        least, greatest = wide.min(), wide.max()
        if least < limits.min or greatest > limits.max:
            value = greatest if greatest > limits.max else least
            raise InvalidArgument(
                f'column "{name}" has the value {value}, and JAX keeps {wide.dtype} as '
                f"{dtype}: set jax.config.update('jax_enable_x64', True), or leave the "
                f"column out"
            )
    return wide.astype(dtype)
