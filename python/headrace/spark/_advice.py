"""What people should know of a table that was written, in the log "headrace.spark"."""

import logging

from ..writing import WriteSummary

__all__ = ["advise"]

_log = logging.getLogger("headrace.spark")

_TINY_BYTES = 8 << 20
_TINY_FILES = 16
_SMALL_GROUP_BYTES = 1 << 20
_LARGE_GROUP_BYTES = 512 << 20
_SKEW = 4


def advise(summary: WriteSummary, task_bytes: list[int]) -> None:
    """Say what makes reading slow: tiny files, row groups of a bad size, skewed tasks.

    Parameters
    ----------
    summary : WriteSummary
        What was written.
    task_bytes : list of int
        Bytes that each task wrote.
    """
    if not summary.files:
        return
    uri = summary.to_dict()["uri"]
    mean = summary.bytes // summary.files
    if summary.files > _TINY_FILES and mean < _TINY_BYTES:
        _log.warning(
            "%s has %d files of %.1f MB on average, and opening each costs about as much "
            "as reading some MB: pass partitions=%d",
            uri,
            summary.files,
            mean / 1e6,
            max(1, summary.bytes // (64 << 20)),
        )
    group = summary.bytes // max(1, summary.row_groups)
    if summary.row_groups > _TINY_FILES and group < _SMALL_GROUP_BYTES:
        _log.warning(
            "%s has %d row groups of %.0f kB on average: pass larger row_group_bytes, or "
            "fewer partitions; a few to 100 MB suit object stores",
            uri,
            summary.row_groups,
            group / 1e3,
        )
    if group > _LARGE_GROUP_BYTES:
        _log.warning(
            "%s has row groups of %.0f MB on average, which readers hold in parts at least: "
            "pass smaller row_group_bytes; a few to 100 MB suit object stores",
            uri,
            group / 1e6,
        )
    sizes = [size for size in task_bytes if size]
    if len(sizes) > 1 and sum(sizes) > _TINY_BYTES * len(sizes):
        largest, share = max(sizes), sum(sizes) / len(sizes)
        if largest > _SKEW * share:
            _log.warning(
                "%s is skewed: one task wrote %.0f MB, the mean is %.0f MB: pass partitions "
                "to spread the rows evenly",
                uri,
                largest / 1e6,
                share / 1e6,
            )
