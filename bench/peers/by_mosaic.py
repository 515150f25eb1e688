"""Mosaic Streaming: its MDS format through `StreamingDataset`.

MDS is "most performant" of its formats
(https://docs.mosaicml.com/projects/streaming/en/stable/getting_started/main_concepts.html),
`batch_size` is to be told to the dataset "for optimal performance"
(https://docs.mosaicml.com/projects/streaming/en/stable/getting_started/faqs_and_tips.html),
and `py1e` is the shuffle to have
(https://docs.mosaicml.com/projects/streaming/en/latest/distributed_training/performance_tuning.html).
A row is one array of floats and one of integers, of fixed shape and so without headers;
batches have two tensors, then. The conversion runs in parallel and is timed apart.

The package imports its image datasets, which need torchvision, of which there is no build
beside torch for CPUs alone; they are left out, and take no part.
"""

import sys
import types
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from protocol import COLUMNS, FLOATS, INTS, convert, measure, parse_job

sys.modules["streaming.vision"] = types.ModuleType("streaming.vision")

import streaming  # noqa: E402  # finds its image datasets imported
from streaming.base.util import clean_stale_shared_memory, merge_index  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

TYPES = {
    "f": f"ndarray:float32:{len(FLOATS)}",
    "i": f"ndarray:int32:{len(INTS)}",
}


def write_file(source: Path, target: Path) -> None:
    """Write a Parquet file as MDS shards."""
    file = pq.ParquetFile(source)
    with streaming.MDSWriter(out=str(target), columns=TYPES, size_limit="64mb") as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=COLUMNS)
            floats = np.stack([table[name].to_numpy() for name in FLOATS], axis=1)
            ints = np.stack([table[name].to_numpy() for name in INTS], axis=1)
            for f, i in zip(floats, ints, strict=True):
                writer.write({"f": f, "i": i})


def main() -> None:
    """Measure one epoch."""
    job = parse_job(__doc__)
    folder = job.scratch / "mds"

    def write(partial: Path) -> None:
        targets = [partial / path.stem for path in job.files]
        with ProcessPoolExecutor(job.workers) as pool:
            list(pool.map(write_file, job.files, targets))
        merge_index(str(partial))

    seconds = convert(folder, write)
    clean_stale_shared_memory()

    def epoch() -> Iterator[Any]:
        table = streaming.StreamingDataset(
            local=str(folder),
            shuffle=True,
            shuffle_algo="py1e",
            shuffle_seed=job.seed,
            shuffle_block_size=job.buffer_rows,
            batch_size=job.batch_size,
        )
        yield from DataLoader(table, batch_size=job.batch_size, num_workers=job.workers)

    measure(
        "mosaicml-streaming",
        epoch,
        job,
        column=lambda batch, name: batch["f"][:, FLOATS.index(name)],
        conversion_seconds=seconds,
    )


if __name__ == "__main__":
    main()
