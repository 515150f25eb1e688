"""Will a flight arrive more than 15 minutes late? Headrace loads, PyTorch learns.

    python train.py build/lake --run build/run
    python train.py build/lake --run build/run --resume

Trains on January to October and tests on the months after. Every so many steps a
checkpoint is put into the run's folder: model, optimizer, and the loader's position. With
--resume, training goes on from it as if it had never stopped: the last weights are the same.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

LATE_MINUTES = 15
# What is measured, with its centre and scale; where nothing was measured, the centre is put.
MEASURED = {
    "distance": (1040.0, 730.0),
    "temp": (57.0, 18.0),
    "dewp": (42.0, 19.0),
    "humid": (60.0, 20.0),
    "wind_speed": (11.0, 5.6),
    "wind_gust": (0.0, 20.0),  # most hours have none
    "precip": (0.0, 0.03),
    "pressure": (1018.0, 7.4),
    "visib": (10.0, 2.0),
}
CARRIERS = [
    "9E",
    "AA",
    "AS",
    "B6",
    "DL",
    "EV",
    "F9",
    "FL",
    "HA",
    "MQ",
    "OO",
    "UA",
    "US",
    "VX",
    "WN",
    "YV",
]
ORIGINS = ["EWR", "JFK", "LGA"]
# What is counted from 0: how many there are, and the size of each one's embedding.
COUNTED = {
    "month": (13, 4),
    "hour": (24, 8),
    "carrier": (len(CARRIERS), 6),
    "origin": (len(ORIGINS), 2),
}


def flights(lake: str, months: str) -> hr.Dataset:
    """The flights that arrived in some months: "x", the counted columns and "arr_delay"."""
    return (
        hr.open(lake)
        .select(*COUNTED, *MEASURED, "arr_delay")
        .where(f"arr_delay is not null and {months}")
        .nulls({name: hr.fill(centre) for name, (centre, _) in MEASURED.items()})
        .codes({"carrier": CARRIERS, "origin": ORIGINS})
        .cast(dict.fromkeys(MEASURED, "float32"))
        .pack("x", list(MEASURED))
    )


class Model(nn.Module):
    """Embeddings of what is counted, scaled values of what is measured, three layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {name: nn.Embedding(n, size) for name, (n, size) in COUNTED.items()}
        )
        centre, scale = torch.tensor(list(MEASURED.values())).T
        self.register_buffer("centre", centre.contiguous())
        self.register_buffer("scale", scale.contiguous())
        width = len(MEASURED) + sum(size for _, size in COUNTED.values())
        self.layers = nn.Sequential(
            nn.Linear(width, 64),
            nn.ReLU(),
            nn.Linear(64, 32),
            nn.ReLU(),
            nn.Linear(32, 1),
        )

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        x = ((batch["x"] - self.centre) / self.scale).clamp(-4, 4)
        counted = [embed(batch[name].int()) for name, embed in self.embeddings.items()]
        return self.layers(torch.cat([x, *counted], dim=1)).squeeze(1)


def is_late(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return (batch["arr_delay"] > LATE_MINUTES).float()


def write_checkpoint(path: Path, checkpoint: dict[str, Any]) -> None:
    """Puts the file in place at once: whoever is killed here leaves the one before."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        torch.save(checkpoint, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def train(args: argparse.Namespace) -> Model:
    """Trains to the end, from the checkpoint on where there is one to resume."""
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    checkpoint = args.run / "checkpoint.pt"
    data = flights(args.lake, "month <= 10")
    step = 0
    with data.loader(batch_size=1024, shuffle=True, seed=7, to="torch") as loader:
        steps_per_epoch = len(loader)
        if args.resume and checkpoint.exists():
            saved = torch.load(checkpoint)
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
            loader.load_state_dict(saved["loader"])
            step = saved["step"]
            print(f"resumed after step {step} of epoch {loader.epoch}", flush=True)
        total = args.epochs * steps_per_epoch
        with tqdm(total=total, initial=step, unit="step", disable=None) as bar:
            while loader.epoch < args.epochs:
                for batch in loader:
                    loss = binary_cross_entropy_with_logits(model(batch), is_late(batch))
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    step += 1
                    bar.update()
                    if step % args.every == 0:
                        bar.set_postfix(loss=f"{loss.item():.3f}")
                        state = {
                            "step": step,
                            "model": model.state_dict(),
                            "optimizer": optimizer.state_dict(),
                            "loader": loader.state_dict(),
                        }
                        write_checkpoint(checkpoint, state)
                        print(f"checkpoint {step} of {total}", flush=True)
    return model


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """The chance that a late flight has a higher score than a punctual one; ties are half."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    late = labels > 0
    n, m = late.sum(), (~late).sum()
    return float((ranks[late].sum() - n * (n + 1) / 2) / (n * m))


def test(model: Model, lake: str) -> tuple[float, int]:
    """AUC on the months that the model has not seen, and their flights."""
    data = flights(lake, "month >= 11")
    scores, labels = [], []
    with (
        torch.no_grad(),
        data.loader(batch_size=8192, shuffle=False, to="torch") as loader,
    ):
        for batch in loader:
            scores.append(model(batch).numpy())
            labels.append(is_late(batch).numpy())
    return auc(np.concatenate(scores), np.concatenate(labels)), sum(map(len, labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lake", help="what lake.py wrote: a path, or a name in a catalog")
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--every", type=int, default=50, help="steps between checkpoints")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    args = parser.parse_args()
    args.run.mkdir(parents=True, exist_ok=True)
    # One order of additions, so that two runs can be compared to the last digits.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(7)

    model = train(args)
    torch.save(model.state_dict(), args.run / "weights.pt")
    score, rows = test(model, args.lake)
    print(f"AUC {score:.4f} on {rows:,} flights of the months after October", flush=True)


if __name__ == "__main__":
    main()
