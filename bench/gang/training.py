"""How long a step of training waits for its batch, and what a second task gains.

A network of two layers on 16 floats of work A (bench/work.py), as TorchEstimator trains it, on
one task and on two: samples a second, the share of time in which a step waits for its batch,
and scaling: the rate of two tasks by twice that of one. Beside it the same module, optimizer
and DistributedDataParallel on the same rows fed by torch's own DataLoader, a map-style dataset
over tensors that were read before: on its rows one by one, and in batches of a sampler. Medians
over rounds; JSON in build/bench/training.json.
"""

import argparse
import functools
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import headrace as hr
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine
import work

ROWS = 1_000_000
ROUNDS = 3
GLOBAL_BATCH = 2048
OPTIMIZER = functools.partial(torch.optim.SGD, lr=0.01)


def module() -> nn.Module:
    """Return what is trained."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(len(work.FLOATS), 128), nn.ReLU(), nn.Linear(128, 1))


def by_estimator(table: str, tasks: int) -> dict[str, float]:
    """Return rate and share of waiting of an epoch of TorchEstimator."""
    model = hr.estimator.TorchEstimator(
        model=module(),
        optimizer=OPTIMIZER,
        loss=nn.MSELoss(),
        feature_cols=[work.FLOATS],
        label_cols=["i0"],
        batch_size=GLOBAL_BATCH // tasks,
        epochs=2,
        verbose=0,
        tasks=tasks,
    ).fit_table(hr.open(table))
    epoch = model.history[-1]
    samples = hr.open(table).count_rows() // GLOBAL_BATCH * GLOBAL_BATCH
    return {"rate": samples / epoch["seconds"], "wait": epoch["data_wait"]}


def by_torch(table: str, in_batches: bool) -> dict[str, float]:
    """Return the same of a plain loop over torch's DataLoader; in each task of a gang."""
    import torch.distributed as dist
    from torch.utils.data import (
        BatchSampler,
        DataLoader,
        DistributedSampler,
        TensorDataset,
    )

    dist.init_process_group("gloo")
    read = hr.open(table).select(*work.FLOATS, "i0").to_arrow().to_pandas()
    rows = TensorDataset(
        torch.from_numpy(read[work.FLOATS].to_numpy()),
        torch.from_numpy(read["i0"].to_numpy()).float(),
    )
    size = GLOBAL_BATCH // dist.get_world_size()
    sampler = DistributedSampler(rows, drop_last=True)
    if in_batches:
        batches = BatchSampler(sampler, size, drop_last=True)
        loader: Any = DataLoader(rows, sampler=batches, batch_size=None, num_workers=1)
    else:
        loader = DataLoader(rows, size, sampler=sampler, drop_last=True, num_workers=1)
    model = nn.parallel.DistributedDataParallel(module())
    optimizer = OPTIMIZER(model.parameters())
    waited = 0.0
    begin = asked = time.perf_counter()
    samples = 0
    for x, y in loader:
        waited += time.perf_counter() - asked
        loss = nn.functional.mse_loss(model(x).squeeze(1), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        samples += len(x) * dist.get_world_size()
        asked = time.perf_counter()
    seconds = time.perf_counter() - begin
    del model  # which else ends the group, with the GIL held: see the guide of gangs
    dist.destroy_process_group()
    return {"rate": samples / seconds, "wait": waited / seconds}


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    table = str(work.write(Path(tempfile.gettempdir()) / "headrace-bench", options.rows))
    ways = {
        "TorchEstimator": by_estimator,
        "DataLoader, by rows": lambda table, tasks: hr.gang.run(
            by_torch, [table, False], tasks=tasks
        )[0],
        "DataLoader, by batches": lambda table, tasks: hr.gang.run(
            by_torch, [table, True], tasks=tasks
        )[0],
    }
    found: dict[str, dict[int, list[dict[str, float]]]] = {
        way: {1: [], 2: []} for way in ways
    }
    for _ in range(options.rounds):
        for way, measure in ways.items():
            for tasks in (1, 2):
                found[way][tasks].append(measure(table, tasks))
    print(f"{machine.processor()}, {os.cpu_count()} cores, {options.rows:,} rows")
    report: dict[str, Any] = {}
    for way, by_tasks in found.items():
        middle = {
            tasks: {key: statistics.median(one[key] for one in each) for key in each[0]}
            for tasks, each in by_tasks.items()
        }
        scaling = middle[2]["rate"] / (2 * middle[1]["rate"])
        report[way] = {
            **{str(tasks): each for tasks, each in middle.items()},
            "scaling": scaling,
        }
        print(
            f"  {way}: "
            + ", ".join(
                f"{tasks} task{'s' * (tasks > 1)} {each['rate'] / 1e3:.0f} k samples/s, "
                f"waiting {each['wait']:.1%}"
                for tasks, each in middle.items()
            )
            + f", scaling {scaling:.2f}"
        )
    folder = Path("build/bench")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "training.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
