"""Bars on a terminal."""

import contextlib
import sys
from collections.abc import Callable, Iterator

__all__ = ["shown"]


@contextlib.contextmanager
def shown(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar of rows on a terminal, where it takes a second and tqdm is there."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield None
        return
    with tqdm(desc=what, unit=" rows", unit_scale=True, delay=1, leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress
