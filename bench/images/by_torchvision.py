"""torchvision's decoder and antialiased resize in a torch DataLoader with workers.

`decode_jpeg` to uint8 and `v2.functional.resize` on uint8, as the performance notes of its
transforms advise (https://docs.pytorch.org/vision/stable/transforms.html). Its wheel on PyPI
imports beside the CUDA build of torch alone, which is not installed here.
"""

from collections.abc import Iterator
from typing import Any

import torch
from protocol import BATCH_SIZE, SIZE, cells, measure, parse_job
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2 import functional


class Images(torch.utils.data.Dataset[torch.Tensor]):
    """Encoded images, decoded when asked for."""

    def __init__(self, encoded: list[bytes]) -> None:
        self.encoded = encoded

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> torch.Tensor:
        encoded = torch.frombuffer(bytearray(self.encoded[index]), dtype=torch.uint8)
        image = decode_jpeg(encoded, mode=ImageReadMode.RGB)
        return functional.resize(image, [SIZE, SIZE], antialias=True)


def main() -> None:
    """Measure one epoch."""
    job = parse_job(__doc__)
    torch.set_num_threads(1)  # the workers are the threads

    def epoch() -> Iterator[Any]:
        yield from torch.utils.data.DataLoader(
            Images(cells(job)),
            batch_size=BATCH_SIZE,
            shuffle=True,
            num_workers=job.workers,
            generator=torch.Generator().manual_seed(job.seed),
        )

    measure("torchvision", epoch)


if __name__ == "__main__":
    main()
