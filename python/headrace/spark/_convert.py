"""convert: a DataFrame as a table, materialised once."""

import contextlib
import logging
import os
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from .. import _validate, catalogs, opening
from ..errors import HeadraceError, InvalidArgument
from ..schema import Schema
from ._cache import Cache, Lease
from ._columns import StoredColumns
from ._plan import PlanIdentity, SessionPlans, identify
from ._stop import when_stopped
from ._writing import write_columns
from .converter import Converter

__all__ = ["PARENT_CONF", "PARENT_VARIABLE", "convert"]

PARENT_CONF = "headrace.spark.converter.parentCacheDirUrl"
PARENT_VARIABLE = "HEADRACE_SPARK_CACHE_DIR"
_PETASTORM_CONF = "petastorm.spark.converter.parentCacheDirUrl"
_ROW_GROUP_BYTES = 32 << 20

_log = logging.getLogger("headrace.spark")


@dataclass(frozen=True)
class _Made:
    """A table that this process made or found, by the key that its cache knows it by."""

    cache: Cache
    key: str
    version: int
    rows: int
    row_groups: int


class _Registry:
    """What this process has materialised; one at a time of each plan."""

    def __init__(self) -> None:
        self.plans: SessionPlans[_Made] = SessionPlans()
        self.lock = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}
        self._swept: set[str] = set()

    def sweep(self, cache: Cache) -> None:
        """Delete what killed drivers left in a cache, once in this process."""
        with self.lock:
            if cache.uri in self._swept:
                return
            self._swept.add(cache.uri)
        try:
            report = cache.collect()
        except HeadraceError as error:  # the next one may be luckier
            _log.warning("%s was not cleaned up: %s", cache.uri, error)
        else:
            if report.directories:
                _log.info("deleted %s, which nobody used", list(report.directories))

    @contextlib.contextmanager
    def alone(self, key: str | None) -> Iterator[None]:
        """Let others that want the same rows wait until they are there."""
        if key is None:
            yield
            return
        with self.lock:
            turn = self._busy.setdefault(key, threading.Lock())
        with turn:
            yield


_registry = _Registry()


def convert(
    df: DataFrame,
    *,
    cache_dir: "str | os.PathLike[str] | None" = None,
    row_group_bytes: int = _ROW_GROUP_BYTES,
    compression: str | None = None,
    dtype: str | None = None,
    partitions: int | None = None,
    schema: Schema | None = None,
    vectors: str = "dense",
    keep: bool = False,
    name: str | None = None,
    storage_options: Mapping[str, str] | None = None,
) -> Converter:
    """Materialise a DataFrame as a table for training, once.

    The same plan on the same data with the same arguments gives the same table: in this
    session, and where the plan reads files alone and has nothing of this session in it, in
    others and in other drivers. Files that changed, other names or types, another time
    zone: another table. A plan that gives other rows at each run is materialised anew, and
    the log "headrace.spark" says why.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
        Of classic Spark or of Spark Connect.
    cache_dir : str or PathLike, optional
        A folder for such tables, as the driver and every executor reach it: local (in local
        mode), a shared file system, or an object store. If not given, the Spark conf
        `headrace.spark.converter.parentCacheDirUrl`, Petastorm's
        `petastorm.spark.converter.parentCacheDirUrl`, or the environment's
        HEADRACE_SPARK_CACHE_DIR.
    row_group_bytes : int, optional
        Bytes of a row group, compressed; 32 MiB if not given.
    compression : str, optional
        "zstd" if not given, "snappy", "lz4", "gzip" or "none".
    dtype : str, optional
        "float32" or "float64": what columns of floating-point numbers become, also in
        arrays and vectors; other columns stay as they are.
    partitions : int, optional
        Tasks that write, each a file or more; as many as the DataFrame has if not given.
    schema : Schema, optional
        How columns are stored: fields of tensors for arrays, images for binary columns.
    vectors : str, optional
        "dense": Spark ML vectors become tensors of one dimension, zeros included; "sparse":
        they are stored as they are, for `ragged({"x": "sparse"})`.
    keep : bool, optional
        Keep the table when nobody uses it any more; `headrace cache rm` deletes it.
    name : str, optional
        A name that the table gets in `headrace.catalog()`; with `keep` only.
    storage_options : dict of str to str, optional
        How storage is reached, as for `headrace.open`. They go to the executors.

    Returns
    -------
    Converter
        The table. It is deleted by `delete()`, at the end of `with`, when the session
        stops and when the process ends, unless others use it or it is kept.

    Raises
    ------
    InvalidArgument
        No cache directory is given anywhere, or an argument is not as above.
    Unsupported
        A column of a type that cannot be stored; the message names it.
    pyspark.errors.PySparkException
        What failed in Spark; nothing is left of the table then.

    Notes
    -----
    May be called from any thread: of several that want the same rows one materialises.

    Examples
    --------
    >>> import headrace as hr
    >>> converter = hr.spark.convert(df, cache_dir="s3://lake/cache")  # doctest: +SKIP
    >>> with converter.loader(batch_size=64, to="torch") as loader:  # doctest: +SKIP
    ...     for batch in loader:
    ...         step(batch)
    """
    session = df.sparkSession
    parent = _parent(session, cache_dir)
    storage = _validate.text_mapping("storage_options", storage_options or {})
    if name is not None and not _validate.boolean("keep", keep):
        raise InvalidArgument(
            f'name is "{name}" and keep is False: a name in the catalog is for tables that '
            "are kept, pass keep=True"
        )
    columns = StoredColumns.of(df.schema, dtype=dtype, schema=schema, vectors=vectors)
    options = {
        "cache_dir": parent,
        "row_group_bytes": str(_validate.integer("row_group_bytes", row_group_bytes, 1)),
        "compression": compression or "zstd",
        "dtype": dtype or "",
        "vectors": vectors,
        "partitions": ""
        if partitions is None
        else str(_validate.integer("partitions", partitions, 1)),
        "schema": "" if schema is None else schema.to_json(),
    }
    cache = Cache(parent, storage)
    _registry.sweep(cache)
    identity = identify(df, options)
    if identity.scope != "shared":
        _log.info("%s of %s: %s", identity.scope, parent, identity.reason)
    with _registry.alone(identity.key):
        found = _find(df, identity, cache, storage)
        if found is None:
            found = _materialise(df, columns, identity, cache, options, storage)
    made, lease = found
    if keep:
        lease.keep()
        if name is not None:
            catalogs.catalog().add(name, lease.uri)
    # By lease: sessions of one Spark Connect server have one application.
    when_stopped(session, lease.release)
    return Converter(
        lease.uri, made.version, made.rows, made.row_groups, storage, lease.release
    )


def _parent(session: SparkSession, given: "str | os.PathLike[str] | None") -> str:
    if given is not None:
        return _validate.path("cache_dir", given)
    found = (
        session.conf.get(PARENT_CONF, None)
        or session.conf.get(_PETASTORM_CONF, None)
        or os.environ.get(PARENT_VARIABLE)
    )
    if not found:
        raise InvalidArgument(
            "no cache directory is given: pass cache_dir, or set the Spark conf "
            f"{PARENT_CONF} (or {_PETASTORM_CONF}) or the environment's {PARENT_VARIABLE} "
            "to a folder that the driver and all executors reach"
        )
    return str(found)


def _find(
    df: DataFrame, identity: PlanIdentity, cache: Cache, storage: Mapping[str, str]
) -> tuple[_Made, Lease] | None:
    """Return the table of the same rows, leased once more, if there is one."""
    owner = _owner(df.sparkSession)
    with _registry.lock:
        made = _registry.plans.find(df, identity)
    if made is not None:
        lease = made.cache.find(made.key, *owner)
        if lease is not None:
            return made, lease
        with _registry.lock:  # it was deleted
            _registry.plans.remove(made)
    if identity.scope != "shared" or identity.key is None:
        return None
    lease = cache.find(identity.key, *owner)
    if lease is None:
        return None
    _log.info("%s was materialised before", lease.uri)
    return _describe(cache, identity.key, lease, storage), lease


def _describe(cache: Cache, key: str, lease: Lease, storage: Mapping[str, str]) -> _Made:
    """Return what a table of another driver's is."""
    dataset = opening.open(lease.uri, storage_options=storage)
    groups = int(dataset.explain().to_dict()["after"]["row_groups"])
    assert dataset.version is not None
    return _Made(cache, key, dataset.version, dataset.count_rows(), groups)


def _materialise(
    df: DataFrame,
    columns: StoredColumns,
    identity: PlanIdentity,
    cache: Cache,
    options: Mapping[str, str],
    storage: Mapping[str, str],
) -> tuple[_Made, Lease]:
    """Write a DataFrame's rows as a table that others find."""
    lease = cache.begin(*_owner(df.sparkSession))
    place = lease.directory
    try:
        rows = df.repartition(int(options["partitions"])) if options["partitions"] else df
        summary = write_columns(
            rows,
            lease.uri,
            columns,
            row_group_bytes=int(options["row_group_bytes"]),
            compression=options["compression"],
            storage_options=storage,
        ).to_dict()
        # What this session alone can know again gets a key that no other has.
        shared = identity.key if identity.scope == "shared" else None
        key = shared or uuid.uuid4().hex
        lease.publish(key)
    except BaseException:
        try:
            lease.release()
        except HeadraceError as error:  # it is tried again at exit
            _log.warning("%s was not released: %s", lease.uri, error)
        raise
    if lease.directory != place:  # another driver was faster
        made = _describe(cache, key, lease, storage)
    else:
        made = _Made(
            cache, key, summary["version"], summary["rows"], summary["row_groups"]
        )
    with _registry.lock:
        _registry.plans.add(df, identity, made)
    return made, lease


def _owner(session: SparkSession) -> tuple[str, str]:
    """Return the application's name and id."""
    name = session.conf.get("spark.app.name", "spark") or "spark"
    return name, session.conf.get("spark.app.id", "") or ""
