"""The rows of a version of a Delta table, by readers that are not ours."""

import datetime
import math
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import delta_kernel_rust_sharing_wrapper as kernel
import pyarrow as pa
from deltalake import DeltaTable


def by_deltalake(uri: str, version: int) -> pa.Table:
    return DeltaTable(uri, version=version).to_pyarrow_table()


def by_kernel(uri: str, version: int) -> "pa.Table | None":
    """delta-kernel-rs; None of a version without rows, of which it tells no schema."""
    with tempfile.TemporaryDirectory() as folder:
        where = _ending_at(Path(uri), version, Path(folder) / Path(uri).name)
        url = f"{where.as_uri()}/"
        interface = kernel.PythonInterface(url)
        snapshot = kernel.Table(url).snapshot(interface)
        assert snapshot.version() == version
        batches = list(kernel.ScanBuilder(snapshot).build().execute(interface))
        return pa.Table.from_batches(batches) if batches else None


def _ending_at(table: Path, version: int, copy: Path) -> Path:
    """A copy of a table whose log ends at a version: the data files are linked."""

    def after(folder: str, names: list[str]) -> list[str]:
        if Path(folder).name != "_delta_log":
            return []
        gone = []
        for name in names:
            found = re.match(r"(\d{20})\.(?:(\d{20})\.)?", name)
            if found and int(found[2] or found[1]) > version:
                gone.append(name)
        hint = Path(folder) / "_last_checkpoint"
        if hint.exists() and _hinted(hint) > version:
            gone.append("_last_checkpoint")
        return gone

    def link(source: str, target: str) -> None:
        Path(target).symlink_to(source)

    shutil.copytree(table, copy, ignore=after, copy_function=link)
    return copy


def _hinted(hint: Path) -> int:
    found = re.search(rb'"version":\s*(\d+)', hint.read_bytes())
    return int(found[1]) if found else -1


def rows(table: "pa.Table | None") -> list[dict[str, Any]]:
    """Rows in an order of their own, with values that equal each other when they should."""
    if table is None:
        return []
    if table.num_rows > 10_000:  # flat numbers, by id
        table = table.sort_by("id")
        return [{name: table[name].to_numpy().tobytes() for name in table.column_names}]
    return sorted(map(_comparable, table.to_pylist()), key=repr)


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _comparable(value[name]) for name in sorted(value)}
    if isinstance(value, list | tuple):
        return [_comparable(v) for v in value]
    if isinstance(value, datetime.datetime) and value.tzinfo:
        return value.astimezone(datetime.UTC)
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return value
