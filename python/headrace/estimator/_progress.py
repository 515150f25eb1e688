"""How training goes, where the estimator was called: a bar, and a line an epoch in the log."""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["shown"]

_log = logging.getLogger("headrace.estimator")


@contextlib.contextmanager
def shown(epochs: int, verbose: int) -> Iterator[Callable[[int, Any], None]]:
    """Give what takes the tasks' reports; a bar of each epoch's steps on a terminal.

    By `verbose`: 0 nothing, 1 the bar, 2 a line an epoch in the log "headrace.estimator" as
    well.
    """
    bar = _bar() if verbose >= 1 else None

    def report(rank: int, value: Any) -> None:
        if not isinstance(value, dict) or "samples_per_s" not in value:
            return  # what a callback of the user's said
        title = f"epoch {value['epoch'] + 1}/{epochs}"
        figures = (
            f"loss {value['loss']:.4g}, {value['samples_per_s']:,.0f} samples/s, "
            f"{value['data_wait']:.0%} waiting for data"
        )
        if bar is not None:
            bar.total = value["steps"]
            bar.set_description(title, refresh=False)
            bar.set_postfix_str(figures, refresh=False)
            bar.n = value["step"]
            bar.refresh()
        if verbose >= 2 and value["step"] == value["steps"]:
            _log.info("%s: %s", title, figures)

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()


def _bar() -> Any:
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(unit=" steps", leave=True)
