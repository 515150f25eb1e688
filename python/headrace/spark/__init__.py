"""Spark: DataFrames to tables and training batches, and tables to DataFrames.

>>> import headrace as hr
>>> converter = hr.spark.convert(df, cache_dir="s3://bucket/cache")  # doctest: +SKIP
>>> with converter.loader(batch_size=64, to="torch") as loader:  # doctest: +SKIP
...     for batch in loader:
...         step(batch["features"], batch["label"])
"""

from ._accelerators import gpu_conf, gpu_profile
from ._convert import convert
from ._reading import read
from ._rows import Rows, rows
from ._writing import write
from .converter import Converter

__all__ = [
    "Converter",
    "Rows",
    "convert",
    "gpu_conf",
    "gpu_profile",
    "read",
    "rows",
    "write",
]
