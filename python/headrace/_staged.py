"""Writes by many processes: one plans, any number stage files, the first one commits."""

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from . import _native
from .opening import default_catalog
from .schema import Schema
from .writing import WRITE_OPTIONS, Relay, WriteSummary, summary_of, write_options

__all__ = ["StagedWrite"]


class StagedWrite:
    """The plan of a write to a Delta table, the same in all processes that take part.

    It pickles, with the storage options: treat the pickle as a secret where they are.

    Parameters
    ----------
    uri : str
        The table's folder, or "catalog:prod.flights", as for `headrace.write`.
    rows : pa.Schema
        Of the rows of all processes.
    schema : Schema, optional
        How columns are stored, as for `headrace.write`.
    options : object
        As `headrace.write` has them.

    Raises
    ------
    Conflict, InvalidArgument, NotFound, SchemaMismatch, Unsupported
        As `headrace.write`, before a row is written.
    """

    def __init__(
        self, uri: str, rows: pa.Schema, schema: Schema | None = None, **options: Any
    ) -> None:
        native = write_options(**options)
        native.schema = None if schema is None else schema._native
        if uri.startswith("catalog:"):
            native.catalog = default_catalog()
        self._plan = _native.plan_write(uri, rows.__arrow_c_schema__(), native)

    def stage(self, task: int, rows: pa.Schema, batches: Iterable[pa.RecordBatch]) -> str:
        """Write batches as files that no reader sees.

        On an error they are deleted again; what `batches` raises is raised.

        Parameters
        ----------
        task : int
            At least 0: rows of lower tasks come first in the table's order.
        rows : pa.Schema
            The plan's.
        batches : iterable of pa.RecordBatch
            Drawn from as they are written.

        Returns
        -------
        str
            What `commit` needs to know of them.
        """
        relay = Relay()
        reader = pa.RecordBatchReader.from_batches(rows, relay.drawn(batches))
        with relay.raising():
            return _native.stage_files(reader.__arrow_c_stream__(), self._plan, task)

    @staticmethod
    def bytes_of(staged: str) -> int:
        """Return the bytes of a part's files."""
        return int(json.loads(staged)["bytes"])

    def commit(self, staged: Iterable[str]) -> WriteSummary:
        """Make one version of what was staged; it is there when this returns.

        Raises
        ------
        Conflict
            Others changed what the write went by; its files are deleted.
        SchemaMismatch
            The parts differ in a column.
        """
        return summary_of(_native.commit_staged(self._plan, list(staged)))

    def discard(self) -> None:
        """Delete all that was staged, by whichever process, and not committed."""
        _native.discard_staged(self._plan)

    def __getstate__(self) -> dict[str, Any]:
        options = self._plan.options
        state: dict[str, Any] = {name: getattr(options, name) for name in WRITE_OPTIONS}
        schema = options.schema
        return {
            "uri": self._plan.uri,
            "address": self._plan.address,
            "job": self._plan.job,
            "version": self._plan.version,
            "schema": None if schema is None else schema.to_json(),
            "options": state,
            "catalog": options.catalog,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        plan = _native.WritePlan()
        plan.uri, plan.address = state["uri"], state["address"]
        plan.job, plan.version = state["job"], state["version"]
        options = _native.WriteOptions()
        for name, value in state["options"].items():
            setattr(options, name, value)
        options.catalog = state["catalog"]
        if state["schema"] is not None:
            options.schema = _native.Schema.from_json(state["schema"])
        plan.options = options
        self._plan = plan
