"""Headrace, by the peers' protocol: docs/guide/loaders.md.

As many threads as the peers have workers, and a shuffle window of the peers' buffer's rows.
"""

from collections.abc import Iterator
from typing import Any

import headrace as hr
from protocol import COLUMNS, measure, parse_job


def main() -> None:
    """Measure one epoch."""
    job = parse_job(__doc__)

    def epoch() -> Iterator[Any]:
        table = hr.open([str(path) for path in job.files]).select(*COLUMNS)
        with table.loader(
            batch_size=job.batch_size,
            shuffle=True,
            seed=job.seed,
            shuffle_window_rows=job.buffer_rows,
            num_threads=job.workers,
            to="torch",
        ) as loader:
            yield from loader

    measure("headrace", epoch, job)


if __name__ == "__main__":
    main()
