"""Hugging Face datasets: a memory-mapped Arrow table as an iterable, shuffled in a buffer.

https://huggingface.co/docs/datasets/about_mapstyle_vs_iterable advises `to_iterable_dataset`
and its shuffle buffer for speed, over indices (14 times slower here), with several shards for
each worker of a torch DataLoader. `batch`, of https://huggingface.co/docs/datasets/stream,
makes batches of Arrow's slices: rows that DataLoader collates one by one are 90 times slower
here. Converting Parquet to Arrow files is timed apart.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

import datasets  # reads the environment
from protocol import COLUMNS, convert, measure, parse_job
from torch.utils.data import DataLoader

SHARDS_PER_WORKER = 8


def main() -> None:
    """Measure one epoch."""
    job = parse_job(__doc__)
    folder = job.scratch / "arrow"

    def write(partial: Path) -> None:
        table = datasets.load_dataset(
            "parquet",
            data_files=[str(path) for path in job.files],
            columns=COLUMNS,
            split="train",
            cache_dir=str(partial / "cache"),
            num_proc=min(job.workers, len(job.files)),
        )
        table.save_to_disk(partial / "table", num_proc=min(job.workers, len(job.files)))

    seconds = convert(folder, write)

    def epoch() -> Iterator[Any]:
        table = datasets.load_from_disk(folder / "table").with_format("torch")
        stream = table.to_iterable_dataset(num_shards=SHARDS_PER_WORKER * job.workers)
        shuffled = stream.shuffle(
            seed=job.seed, buffer_size=job.buffer_rows // job.workers
        )
        yield from DataLoader(
            shuffled.batch(job.batch_size), batch_size=None, num_workers=job.workers
        )

    measure("datasets", epoch, job, conversion_seconds=seconds)


if __name__ == "__main__":
    main()
