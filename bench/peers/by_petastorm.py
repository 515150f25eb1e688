"""Petastorm: `make_batch_reader` into `BatchedDataLoader`.

The API documentation says that `BatchedDataLoader` has torch-based shuffling buffers and is
significantly faster than `DataLoader` for small rows
(https://github.com/uber/petastorm/blob/master/petastorm/pytorch.py), and the README that
`make_batch_reader` is for plain Parquet, whose rows it reads as column batches
(https://github.com/uber/petastorm/blob/master/README.rst).
"""

import warnings
from collections.abc import Iterator
from typing import Any

warnings.simplefilter("ignore")  # its pyarrow calls are deprecated by the pinned pyarrow

from petastorm import make_batch_reader  # noqa: E402  # pyarrow is to come before torch
from petastorm.pytorch import BatchedDataLoader  # noqa: E402
from protocol import COLUMNS, measure, parse_job  # noqa: E402


def main() -> None:
    """Measure one epoch."""
    job = parse_job(__doc__)

    def epoch() -> Iterator[Any]:
        reader = make_batch_reader(
            [path.as_uri() for path in job.files],
            schema_fields=COLUMNS,
            reader_pool_type="thread",
            workers_count=job.workers,
            shuffle_row_groups=True,
            num_epochs=1,
            seed=job.seed,
        )
        with BatchedDataLoader(
            reader,
            batch_size=job.batch_size,
            shuffling_queue_capacity=job.buffer_rows,
        ) as loader:
            yield from loader

    measure("petastorm", epoch, job)


if __name__ == "__main__":
    main()
