"""Will a flight arrive more than 15 minutes late? Features by Headrace, a small model by PyTorch."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

EPOCHS = 3
BATCH_SIZE = 1024
LATE_MINUTES = 15.0
# Centre and scale of each measured feature; a missing value is put at the centre.
FEATURES = {
    "distance": (1000.0, 700.0),
    "temp": (55.0, 18.0),
    "dewp": (41.0, 19.0),
    "humid": (62.0, 20.0),
    "wind_speed": (10.0, 6.0),
    "precip": (0.0, 0.03),
    "pressure": (1018.0, 7.5),
    "visib": (10.0, 2.0),
}


def flights(lake: Path, months: str) -> hr.Dataset:
    """The samples of some months: what goes into a batch, column by column."""
    measured = list(FEATURES)
    return (
        hr.open(str(lake))
        .select("month", "hour", "carrier", "origin", "arr_delay", *measured)
        .where(f"arr_delay is not null and {months}")
        .nulls({name: hr.fill(FEATURES[name][0]) for name in measured})
        .cast(dict.fromkeys(measured, "float32"))
        .pack("measured", measured)
        .codes({"carrier": None, "origin": None})
    )


class LateModel(nn.Module):
    """Embeddings of what is counted, scaled values of what is measured, two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "month": nn.Embedding(13, 4),
                "hour": nn.Embedding(24, 8),
                "carrier": nn.Embedding(16, 6),
                "origin": nn.Embedding(3, 2),
            }
        )
        centre, scale = torch.tensor(list(FEATURES.values())).T
        self.register_buffer("centre", centre)
        self.register_buffer("scale", scale)
        self.layers = nn.Sequential(
            nn.Linear(20 + len(FEATURES), 64),
            nn.ReLU(),
            nn.Linear(64, 32),
            nn.ReLU(),
            nn.Linear(32, 1),
        )

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Logits of being late, one a sample."""
        measured = ((batch["measured"] - self.centre) / self.scale).clamp(-4, 4)
        counted = [embed(batch[name]) for name, embed in self.embeddings.items()]
        return self.layers(torch.cat([measured, *counted], dim=1)).squeeze(1)


def late(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """1 for a sample that arrived late, else 0."""
    return (batch["arr_delay"] > LATE_MINUTES).float()


def train(
    lake: Path, checkpoint: Path, every: int, at_step: Callable[[int], None], label: str
) -> LateModel:
    """Trains from the checkpoint, if there is one, to the end; saves every so many steps."""
    torch.manual_seed(7)
    torch.set_num_threads(1)  # one order of additions, so that two runs may be compared
    model = LateModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    with flights(lake, "month <= 10").loader(
        batch_size=BATCH_SIZE, shuffle=True, seed=7, to="torch"
    ) as loader:
        if checkpoint.exists():
            saved = torch.load(checkpoint)
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
            loader.load_state_dict(saved["data"])
            print(f"{label}: goes on after {saved['step']} steps", flush=True)
        step = saved["step"] if checkpoint.exists() else 0
        progress = tqdm(
            total=EPOCHS * len(loader),
            initial=step,
            desc=label,
            unit="batch",
            disable=None,
        )
        for _ in range(loader.state_dict()["epoch"], EPOCHS):
            for batch in loader:
                loss = nn.functional.binary_cross_entropy_with_logits(
                    model(batch), late(batch)
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                step += 1
                progress.update()
                if step % every == 0:
                    save(checkpoint, model, optimizer, loader.state_dict(), step)
                at_step(step)
        progress.close()
    return model


def save(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: dict[str, Any],
    step: int,
) -> None:
    """Puts a checkpoint in place at once, so that a kill leaves the old or the new one."""
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "data": data,
            "step": step,
        },
        partial,
    )
    os.replace(partial, path)


def evaluate(model: LateModel, lake: Path) -> tuple[int, float]:
    """Samples and AUC of the months that the model has not seen."""
    scores, labels = [], []
    with (
        torch.no_grad(),
        flights(lake, "month >= 11").loader(
            batch_size=8192, shuffle=False, to="torch"
        ) as loader,
    ):
        for batch in loader:
            scores.append(model(batch).numpy())
            labels.append(late(batch).numpy())
    return sum(map(len, labels)), auc(np.concatenate(scores), np.concatenate(labels))


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """The chance that a late flight scores above a punctual one; ties count half."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positive = labels > 0
    hits, misses = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * misses))
