"""Where Spark looks for a Python data source: `spark.read.format("headrace")`."""

from headrace.spark.source import HeadraceSource as DefaultSource

__all__ = ["DefaultSource"]
