"""Which digit is it? Handwritten digits as PNG fields, shifted at random by native operations.

    python train.py build/digits

Writes the 1,797 digits of 8 x 8 pixels that scikit-learn ships as a table of PNG images, splits
it by row, and trains a small convolutional network on four fifths. The random shifts are drawn
by (seed, epoch, row), so that two runs see the same pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import headrace as hr
import numpy as np
import pyarrow.parquet as pq
import torch
from headrace import image
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

EPOCHS = 20
BATCH_SIZE = 64
SEED = 7
#: Gray levels of the data are 0 to 16.
LEVELS = 16
PIXELS = image.to_float(mean=[0.3], std=[0.35]) | image.layout("nchw")
#: Shifts of up to one pixel; what moves in is black.
SHIFTED = image.pad_to(10, 10) | image.random_crop(8) | PIXELS

SCHEMA = hr.Schema(
    [
        hr.Field("image", "uint8", (8, 8), codec="png", nullable=False),
        hr.Field("label", "int64", nullable=False),
    ]
)


def write_lake(folder: Path) -> int:
    """Write the digits as a table; return its rows."""
    digits = load_digits()
    pictures = np.round(digits.images * (255 / LEVELS)).astype(np.uint8)
    table = SCHEMA.encode({"image": list(pictures), "label": digits.target})
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "digits.parquet", row_group_size=256)
    return len(table)


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(64 * 4 * 4, 10),
    )


def train(model: nn.Module, dataset: hr.Dataset) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    model.train()
    with dataset.loader(batch_size=BATCH_SIZE, seed=SEED, to="torch") as loader:
        for _ in tqdm(range(EPOCHS), unit="epoch", leave=False):
            for batch in loader:
                optimizer.zero_grad()
                cross_entropy(model(batch["image"]), batch["label"]).backward()
                optimizer.step()


@torch.no_grad()
def accuracy(model: nn.Module, dataset: hr.Dataset) -> tuple[float, int]:
    """Return the share of digits that are told right, and how many there are."""
    model.eval()
    right = rows = 0
    with dataset.loader(batch_size=256, shuffle=False, to="torch") as loader:
        for batch in loader:
            found = model(batch["image"]).argmax(dim=1)
            right += int((found == batch["label"]).sum())
            rows += len(found)
    return right / rows, rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lake", type=Path, help="folder of the table, which is written")
    folder = parser.parse_args().lake
    torch.manual_seed(SEED)
    print(f"{folder}: {write_lake(folder):,} digits as PNG", flush=True)
    digits = hr.open(folder)
    splits = digits.split({"train": 0.8, "test": 0.2}, seed=SEED)
    model = network()
    train(model, splits["train"].map(image=SHIFTED))
    told, rows = accuracy(model, splits["test"].map(image=PIXELS))
    print(f"accuracy {told:.4f} on {rows} digits that training did not see")


if __name__ == "__main__":
    main()
