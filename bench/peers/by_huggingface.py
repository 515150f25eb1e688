"""Hugging Face datasets: a memory-mapped Arrow table, whole batches by random indices.

https://huggingface.co/docs/datasets/use_with_pytorch ("with the best performance") formats
the table as torch and uses several worker processes, each of which maps it again.
https://docs.pytorch.org/docs/stable/data.html ("Disable automatic batching") hands a sampler
of whole batches to a dataset that fetches many indices in one call. Converting Parquet to
Arrow files is timed apart.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

import datasets  # reads the environment
import torch
from protocol import COLUMNS, convert, measure, parse_job
from torch.utils.data import BatchSampler, DataLoader, RandomSampler


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
        order = RandomSampler(table, generator=torch.Generator().manual_seed(job.seed))
        yield from DataLoader(
            table,
            sampler=BatchSampler(order, job.batch_size, drop_last=False),
            batch_size=None,
            num_workers=job.workers,
        )

    measure("datasets", epoch, job, conversion_seconds=seconds)


if __name__ == "__main__":
    main()
