"""Pillow in a torch DataLoader with worker processes: what most training scripts do.

The torchvision reference scripts decode with Pillow by default, in `DataLoader` workers
(https://github.com/pytorch/vision/blob/main/references/classification/train.py).
"""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from protocol import BATCH_SIZE, SIZE, cells, measure, parse_job


class Images(torch.utils.data.Dataset[torch.Tensor]):
    """Encoded images, decoded when asked for."""

    def __init__(self, encoded: list[bytes]) -> None:
        self.encoded = encoded

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = Image.open(io.BytesIO(self.encoded[index])).convert("RGB")
        resized = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(resized))


def main() -> None:
    """Measure one epoch."""
    job = parse_job(__doc__)

    def epoch() -> Iterator[Any]:
        yield from torch.utils.data.DataLoader(
            Images(cells(job)),
            batch_size=BATCH_SIZE,
            shuffle=True,
            num_workers=job.workers,
            generator=torch.Generator().manual_seed(job.seed),
        )

    measure("pillow", epoch)


if __name__ == "__main__":
    main()
