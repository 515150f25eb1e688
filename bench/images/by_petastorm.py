"""Petastorm: `make_batch_reader` with a `TransformSpec` that decodes, into its DataLoader.

The README has images decoded in the reader's workers, and a `TransformSpec` for what is to
be done there (https://github.com/uber/petastorm/blob/master/README.rst); its processes avoid
the interpreter's lock.
"""

import warnings
from collections.abc import Iterator
from typing import Any

warnings.simplefilter("ignore")  # its pyarrow calls are deprecated by the pinned pyarrow

import numpy as np  # noqa: E402
from petastorm import TransformSpec, make_batch_reader  # noqa: E402  # before torch
from petastorm.pytorch import BatchedDataLoader  # noqa: E402
from protocol import BATCH_SIZE, SIZE, measure, parse_job  # noqa: E402


def decode(frame: Any, size: tuple[int, int] = (SIZE, SIZE)) -> Any:
    """Replace a frame's encoded images by pixels."""
    # What a process of its pool gets of this script is this function alone.
    import io

    import numpy as np
    from PIL import Image

    frame["image"] = [
        np.asarray(
            Image.open(io.BytesIO(cell))
            .convert("RGB")
            .resize(size, Image.Resampling.BILINEAR)
        )
        for cell in frame["image"]
    ]
    return frame


def main() -> None:
    """Measure one epoch."""
    job = parse_job(__doc__)

    def epoch() -> Iterator[Any]:
        reader = make_batch_reader(
            [path.as_uri() for path in job.files],
            schema_fields=["image"],
            reader_pool_type="process",
            workers_count=job.workers,
            shuffle_row_groups=True,
            num_epochs=1,
            seed=job.seed,
            transform_spec=TransformSpec(
                decode, edit_fields=[("image", np.uint8, (SIZE, SIZE, 3), False)]
            ),
        )
        with BatchedDataLoader(
            reader, batch_size=BATCH_SIZE, shuffling_queue_capacity=10 * BATCH_SIZE
        ) as loader:
            for batch in loader:
                yield batch["image"]

    measure("petastorm", epoch)


if __name__ == "__main__":
    main()
