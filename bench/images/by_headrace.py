"""Headrace, by the images' protocol: docs/guide/images.md."""

from collections.abc import Iterator
from typing import Any

import headrace as hr
from protocol import BATCH_SIZE, SIZE, measure, parse_job


def main() -> None:
    """Measure one epoch."""
    job = parse_job(__doc__)

    def epoch() -> Iterator[Any]:
        table = hr.open([str(path) for path in job.files]).select("image")
        chosen = table.map(image=hr.image.resize(SIZE, SIZE))
        with chosen.loader(
            batch_size=BATCH_SIZE, seed=job.seed, num_threads=job.workers
        ) as loader:
            for batch in loader:
                yield batch["image"]

    measure("headrace", epoch)


if __name__ == "__main__":
    main()
