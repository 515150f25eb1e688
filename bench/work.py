"""The table that benchmarks read: work A.

16 columns of float32 `f0` to `f15`, 4 of int32 `i0` to `i3` (up to 10^2, 10^3, 10^4 and
10^5), 2 of int64, and a string; snappy, row groups of 32 MiB, 8 files. Written as pyarrow
writes by default: dictionaries first, plain pages once they have grown too large.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

FILES = 8
FLOATS = [f"f{i}" for i in range(16)]
INTEGERS = [f"i{i}" for i in range(4)]
#: What benchmarks select.
COLUMNS = FLOATS + INTEGERS
#: About 32 MiB of these columns as they are written.
ROW_GROUP_ROWS = 310_000


def write(parent: Path, rows: int) -> Path:
    """Write the table below `parent`, if it is not there, and return its folder."""
    folder = parent / f"work-{rows}"
    if folder.exists():
        return folder
    partial = parent / f"work-{rows}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    for number in tqdm(range(FILES), "writing", disable=not sys.stderr.isatty()):
        count = rows // FILES + (number < rows % FILES)
        pq.write_table(
            _table(np.random.default_rng(number), count),
            partial / f"part-{number}.parquet",
            row_group_size=ROW_GROUP_ROWS,
            compression="snappy",
        )
    partial.rename(folder)
    return folder


def _table(random: np.random.Generator, rows: int) -> pa.Table:
    columns: dict[str, object] = {
        name: random.normal(size=rows).astype(np.float32) for name in FLOATS
    }
    for power, name in enumerate(INTEGERS, start=2):
        columns[name] = random.integers(0, 10**power, rows, dtype=np.int32)
    for name in ("l0", "l1"):
        columns[name] = random.integers(0, 2**40, rows)
    users = random.integers(0, 100_000, rows)
    columns["user"] = pa.array(np.char.add("user-", users.astype(str)))
    return pa.table(columns)
