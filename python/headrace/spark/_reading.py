"""Reading a table as a DataFrame."""

import json
from collections.abc import Iterable, Mapping

from pyspark.sql import DataFrame, SparkSession

from .. import _validate, opening
from .source import HeadraceSource

__all__ = ["read"]


def read(
    spark: SparkSession,
    uri: str,
    *,
    version: int | None = None,
    as_of: str | None = None,
    columns: Iterable[str] = (),
    where: str | None = None,
    vectors: Iterable[str] = (),
    partitions: int | None = None,
    storage_options: Mapping[str, str] | None = None,
) -> DataFrame:
    """Read a table as a DataFrame, tensors as arrays.

    The version is pinned when this is called. Spark does not tell a Python source which
    columns it needs, nor, safely, its filters: name columns where a table is wide, and
    give as `where` what is to prune files, row groups and pages.

    Parameters
    ----------
    spark : SparkSession
        Classic Spark or Spark Connect.
    uri : str
        The table, as every executor reaches it.
    version : int, optional
        Which version of a Delta table; the last one if not given.
    as_of : str, optional
        The last version committed by a time.
    columns : list of str, optional
        Which columns; all if none are given.
    where : str, optional
        Filter text (docs/guide/filters.md): files, row groups and pages without such rows
        are not read.
    vectors : list of str, optional
        Columns of 1-D tensors or lists that become Spark ML vectors, of doubles.
    partitions : int, optional
        Tasks at most; one a row group if not given.
    storage_options : dict of str to str, optional
        How storage is reached. They go to the executors.

    Returns
    -------
    pyspark.sql.DataFrame
        Rows in stored order, task by task.

    Raises
    ------
    Unsupported
        A column of a type that Spark lacks; the message names it.

    Examples
    --------
    >>> import headrace as hr
    >>> flights = hr.spark.read(spark, "lake/flights", version=3)  # doctest: +SKIP
    """
    given = _validate.text_mapping("storage_options", storage_options or {})
    pinned = opening.open(uri, version=version, as_of=as_of, storage_options=given)
    spark.dataSource.register(HeadraceSource)
    options = {f"storage.{name}": value for name, value in given.items()}
    if pinned.version is not None:
        options["version"] = str(pinned.version)
    if names := _validate.names("columns", columns):
        options["columns"] = json.dumps(names)
    if where is not None:
        options["where"] = _validate.text("where", where)
    if partitions is not None:
        options["partitions"] = str(_validate.integer("partitions", partitions, 1))
    df = spark.read.format("headrace").options(**options).load(_validate.text("uri", uri))
    for name in _validate.names("vectors", vectors):
        from pyspark.ml.functions import array_to_vector

        df = df.withColumn(name, array_to_vector(df[name].cast("array<double>")))
    return df
