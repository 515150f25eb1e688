"""Headrace carries data-lake tables to training loops.

A `Dataset` (from `open`) is a lazy, immutable choice over one version of a table: columns,
rows, and how they become tensors. Its `loader` deals shuffled, sharded, resumable batches
out of a C++ core.

>>> import headrace as hr
>>> flights = hr.open("lake/flights").select("dep_delay", "distance")  # doctest: +SKIP
>>> with flights.loader(batch_size=4096, seed=7) as loader:  # doctest: +SKIP
...     for batch in loader:
...         step(batch["distance"], batch["dep_delay"])
"""

import importlib

from . import errors, iceberg, image
from ._version import __version__
from .catalogs import Catalog, CatalogColumn, CatalogEntry, catalog
from .dataset import Dataset
from .errors import HeadraceError
from .features import Features
from .loader import Loader
from .opening import open
from .policies import fill, pad
from .scan_summary import ScanSummary
from .schema import Field, Schema
from .versions import (
    TableCommit,
    TableDiff,
    VacuumReport,
    diff,
    history,
    restore,
    vacuum,
)
from .writing import WriteSummary, compact, write


def __getattr__(name: str) -> object:
    # What needs Spark, or starts processes, is imported when it is first named.
    if name in ("estimator", "gang", "spark"):
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Catalog",
    "CatalogColumn",
    "CatalogEntry",
    "Dataset",
    "Features",
    "Field",
    "HeadraceError",
    "Loader",
    "ScanSummary",
    "Schema",
    "TableCommit",
    "TableDiff",
    "VacuumReport",
    "WriteSummary",
    "__version__",
    "catalog",
    "compact",
    "diff",
    "errors",
    "fill",
    "history",
    "iceberg",
    "image",
    "open",
    "pad",
    "restore",
    "vacuum",
    "write",
]
