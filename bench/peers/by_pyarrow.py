"""A loader as one writes it by hand: a torch IterableDataset over pyarrow.

Row groups are dealt to worker processes in random order. Each worker fills its share of the
shuffle buffer, permutes it, and cuts it into batches, which torch hands over in shared
memory. The dataset yields whole batches, with `batch_size=None`, as torch's documentation
advises for data that is cheaper to read in bulk
(https://docs.pytorch.org/docs/stable/data.html, "Disable automatic batching"), and the files
are read one row group at a time, as those of the Parquet documentation
(https://arrow.apache.org/docs/python/parquet.html, "Finer-grained Reading and Writing").
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from protocol import COLUMNS, Job, measure, parse_job


class ShuffledBatches(torch.utils.data.IterableDataset):
    """A worker's batches of an epoch."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        job = self._job
        worker = torch.utils.data.get_worker_info()
        rank, size = (worker.id, worker.num_workers) if worker else (0, 1)
        torch.set_num_threads(1)
        files = [pq.ParquetFile(path, memory_map=True) for path in job.files]
        groups = [(file, i) for file in files for i in range(file.num_row_groups)]
        np.random.default_rng(job.seed).shuffle(groups)
        random = np.random.default_rng((job.seed, rank))
        tables: list[pa.Table] = []
        held = 0
        for file, group in groups[rank::size]:
            tables.append(file.read_row_group(group, columns=COLUMNS, use_threads=False))
            held += tables[-1].num_rows
            if held >= job.buffer_rows // size:
                yield from self._batches(pa.concat_tables(tables), random)
                tables, held = [], 0
        if tables:
            yield from self._batches(pa.concat_tables(tables), random)

    def _batches(
        self, table: pa.Table, random: np.random.Generator
    ) -> Iterator[dict[str, torch.Tensor]]:
        order = random.permutation(table.num_rows)
        columns = {name: table[name].to_numpy() for name in COLUMNS}
        for start in range(0, len(order), self._job.batch_size):
            rows = order[start : start + self._job.batch_size]
            yield {
                name: torch.from_numpy(column[rows]) for name, column in columns.items()
            }


def main() -> None:
    """Measure one epoch."""
    job = parse_job(__doc__)

    def epoch() -> Iterator[Any]:
        yield from torch.utils.data.DataLoader(
            ShuffledBatches(job), batch_size=None, num_workers=job.workers
        )

    measure("pyarrow", epoch, job)


if __name__ == "__main__":
    main()
