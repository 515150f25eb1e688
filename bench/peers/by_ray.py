"""Ray Data: `read_parquet` into `iter_torch_batches` with a local shuffle buffer.

Of the shuffles that https://docs.ray.io/en/latest/data/shuffling-data.html lists, from the
fastest to the slowest, the first that mixes rows: files in random order and a local buffer.
Columns are pruned where the file is read
(https://docs.ray.io/en/latest/data/performance-tips.html). Starting Ray is not timed.
"""

import logging
import os
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")

import ray  # reads the environment
from protocol import COLUMNS, measure, parse_job


def main() -> None:
    """Measure one epoch."""
    job = parse_job(__doc__)
    ray.init(
        num_cpus=job.workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    ray.data.DataContext.get_current().enable_progress_bars = False

    def epoch() -> Iterator[Any]:
        table = ray.data.read_parquet(
            [str(path) for path in job.files], columns=COLUMNS, shuffle="files"
        )
        yield from table.iter_torch_batches(
            batch_size=job.batch_size,
            prefetch_batches=4,
            local_shuffle_buffer_size=job.buffer_rows,
            local_shuffle_seed=job.seed,
        )

    measure("ray", epoch, job)
    ray.shutdown()


if __name__ == "__main__":
    main()
