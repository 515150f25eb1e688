"""The parent of Spark's Python workers, which has imported what most tasks of tests import.

A worker of Spark's own daemon does so anew, for two thirds of a second, and tests start
hundreds of them.
"""

import headrace.spark  # noqa: F401
import pandas as pd  # noqa: F401
from pyspark.daemon import manager

if __name__ == "__main__":
    manager()
