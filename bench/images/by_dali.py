"""NVIDIA DALI on the CPU: an external source, its decoder and its antialiased resize.

`experimental.decoders.image` and `resize` with `antialias`, as its image pipelines have it
(https://docs.nvidia.com/deeplearning/dali/user-guide/docs/examples/getting_started.html).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from nvidia.dali import fn, pipeline_def, types
from protocol import BATCH_SIZE, SIZE, cells, measure, parse_job


def main() -> None:
    """Measure one epoch."""
    job = parse_job(__doc__)

    def epoch() -> Iterator[Any]:
        encoded = [np.frombuffer(cell, np.uint8) for cell in cells(job)]
        order = np.random.default_rng(job.seed).permutation(len(encoded))
        batches = [
            [encoded[i] for i in order[at : at + BATCH_SIZE]]
            for at in range(0, len(order), BATCH_SIZE)
        ]

        @pipeline_def(batch_size=BATCH_SIZE, num_threads=job.workers, device_id=None)
        def pipeline() -> Any:
            jpegs = fn.external_source(source=batches, dtype=types.UINT8, cycle=False)
            images = fn.decoders.image(jpegs, device="cpu", output_type=types.RGB)
            return fn.resize(
                images, size=[SIZE, SIZE], interp_type=types.INTERP_LINEAR, antialias=True
            )

        made = pipeline()
        made.build()
        for _ in batches:
            yield made.run()[0].as_array()

    measure("nvidia-dali-cuda120", epoch)


if __name__ == "__main__":
    main()
