"""LitData: its optimised format through `StreamingDataset` and `StreamingDataLoader`.

https://github.com/Lightning-AI/litData/blob/main/README.md says to optimise "for maximum
performance", of NumPy or tensor leaves, in chunks of 64 MB, and to stream with a worker a
core and `StreamingDataLoader`. A row is one array of floats and one of integers, fewer leaves
than 20 scalars; batches have two tensors, then. Optimising is timed apart.

Rows are decoded one by one and shuffled in blocks of 256, as the options' docstring has it
(https://github.com/Lightning-AI/litData/blob/main/src/litdata/streaming/dataset.py). The
default decodes whole blocks, and with two workers most rows anew, which takes 20 times as
long here; a shuffle of whole chunks takes 5 times as long.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import litdata
import numpy as np
import pyarrow.parquet as pq
from protocol import COLUMNS, FLOATS, INTS, convert, measure, parse_job


def rows_of(path: str) -> Iterator[dict[str, np.ndarray]]:
    """Yield a file's rows."""
    file = pq.ParquetFile(path)
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=COLUMNS)
        floats = np.stack([table[name].to_numpy() for name in FLOATS], axis=1)
        ints = np.stack([table[name].to_numpy() for name in INTS], axis=1)
        for f, i in zip(floats, ints, strict=True):
            yield {"f": f, "i": i}


def main() -> None:
    """Measure one epoch."""
    job = parse_job(__doc__)
    folder = job.scratch / "optimised"
    os.environ["DATA_OPTIMIZER_CACHE_FOLDER"] = str(job.scratch / "cache")

    def write(partial: Path) -> None:
        litdata.optimize(
            rows_of,
            [str(path) for path in job.files],
            str(partial / "table"),
            chunk_bytes="64MB",
            num_workers=job.workers,
            verbose=False,
        )

    seconds = convert(folder, write)

    def epoch() -> Iterator[Any]:
        table = litdata.StreamingDataset(
            str(folder / "table"),
            shuffle=True,
            drop_last=False,
            seed=job.seed,
            batch_decode=0,
        )
        yield from litdata.StreamingDataLoader(
            table, batch_size=job.batch_size, num_workers=job.workers
        )

    measure(
        "litdata",
        epoch,
        job,
        column=lambda batch, name: batch["f"][:, FLOATS.index(name)],
        conversion_seconds=seconds,
    )


if __name__ == "__main__":
    main()
