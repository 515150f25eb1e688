"""SPDL: threads that decode and resize batches by FFmpeg, without the interpreter's lock.

`load_image_batch` in a pipeline, as its image loading example has it
(https://facebookresearch.github.io/spdl/main/examples/imagenet_classification.html). It
loads the system's FFmpeg: `apt-get install ffmpeg`.
"""

import random
from collections.abc import Iterator
from typing import Any

import spdl.io
from protocol import BATCH_SIZE, SIZE, cells, measure, parse_job
from spdl.pipeline import PipelineBuilder

#: As the others do it: no border, and bilinear.
FILTER = spdl.io.get_video_filter_desc(
    scale_width=SIZE,
    scale_height=SIZE,
    scale_algo="bilinear",
    scale_mode=None,
    pix_fmt="rgb24",
)


def decode(encoded: list[bytes]) -> Any:
    """Return a batch's pixels."""
    buffer = spdl.io.load_image_batch(
        encoded, width=None, height=None, pix_fmt=None, filter_desc=FILTER
    )
    return spdl.io.to_numpy(buffer)


def main() -> None:
    """Measure one epoch."""
    job = parse_job(__doc__)

    def epoch() -> Iterator[Any]:
        encoded = cells(job)
        random.Random(job.seed).shuffle(encoded)
        pipeline = (
            PipelineBuilder()
            .add_source(encoded)
            .aggregate(BATCH_SIZE)
            .pipe(decode, concurrency=job.workers)
            .add_sink(4)
            .build(num_threads=job.workers)
        )
        with pipeline.auto_stop():
            yield from pipeline

    measure("spdl-io", epoch)


if __name__ == "__main__":
    main()
