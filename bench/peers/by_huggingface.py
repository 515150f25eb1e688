"""Hugging Face datasets: a memory-mapped Arrow table, whole batches by random indices.

https://huggingface.co/docs/datasets/use_with_pytorch ("with the best performance") formats
the table as torch and uses several worker processes, each of which maps it again.
https://huggingface.co/docs/datasets/about_mapstyle_vs_iterable advises a shuffle buffer
(`to_iterable_dataset().shuffle`) over indices; that deals out single rows as Python objects,
and is slower here than a batch sampler, which asks for 4096 rows in one call: --iterable
shows it. Converting Parquet to Arrow files is timed apart.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

import datasets  # noqa: E402  # reads the environment
import torch  # noqa: E402
from protocol import COLUMNS, convert, measure, parse_job  # noqa: E402
from torch.utils.data import BatchSampler, DataLoader, RandomSampler  # noqa: E402


def main() -> None:
    """One epoch."""
    iterable = "--iterable" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--iterable"]
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
        if iterable:
            stream = table.to_iterable_dataset(num_shards=8 * job.workers)
            yield from DataLoader(
                stream.shuffle(seed=job.seed, buffer_size=job.buffer_rows // job.workers),
                batch_size=job.batch_size,
                num_workers=job.workers,
            )
            return
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
