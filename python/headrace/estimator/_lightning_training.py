"""Training of a LightningModule in one task of a gang: a Trainer, fed by our loader."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy

from .. import gang
from ..loader import Loader
from ._columns import Columns
from ._loop import (
    CHECKPOINT,
    REPORT_S,
    WEIGHTS,
    LoopTask,
    agree,
    read_checkpoint,
    train_loader,
    validation_loader,
)
from ._torch_group import in_group
from ._torch_losses import outputs_of
from ._torch_training import (
    TorchOutcome,
    inputs_of,
    saved,
    where_valid,
)
from .callbacks import History, is_best
from .options import StepOptions

__all__ = ["LightningTask", "train"]


@dataclass(frozen=True)
class LightningTask:
    """What a task trains; `trainer` has more arguments for Lightning's Trainer."""

    loop: LoopTask
    module: lightning.LightningModule
    callbacks: Sequence[Any]
    transformation: Callable[[dict[str, Any]], dict[str, Any]] | None
    steps: StepOptions
    trainer: Mapping[str, Any]
    timeout_s: float


def train(task: LightningTask) -> TorchOutcome:
    """Train in this task of a gang."""
    ctx = gang.context()
    seed = task.loop.seed * ctx.world_size + ctx.rank
    torch.manual_seed(seed % 2**63)
    state = read_checkpoint(task.loop, ctx)
    return in_group(ctx, task.timeout_s, lambda device: _train(task, ctx, device, state))


def _train(
    task: LightningTask, ctx: "gang.Context", device: torch.device, state: bytes | None
) -> TorchOutcome:
    loop = task.loop
    with (
        train_loader(loop, ctx, to="torch") as loader,
        validation_loader(loop, ctx, to="torch") as validation,
        tempfile.TemporaryDirectory(prefix="headrace-lightning-") as folder,
    ):
        agree(loop, ctx, loader)
        fed = _Fed(loader, task)
        keeper = _Keeper(task, ctx, loader, fed, folder)
        trainer = lightning.Trainer(
            **{
                "logger": False,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                **task.trainer,
            },
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=1,
            num_nodes=ctx.world_size,
            strategy="auto" if ctx.world_size == 1 else _strategy(ctx, device),
            precision="bf16-mixed" if task.steps.precision == "bfloat16" else "32-true",
            accumulate_grad_batches=task.steps.accumulate,
            max_epochs=loop.epochs,
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            use_distributed_sampler=False,
            default_root_dir=folder,
            callbacks=[*task.callbacks, keeper],
        )
        path = None
        if state is not None:
            path = os.path.join(folder, "last.ckpt")
            with open(path, "wb") as file:
                file.write(state)
        held_out = None if validation is None else _Validation(validation, task)
        trainer.fit(task.module, fed, held_out, ckpt_path=path, weights_only=True)
        weights = keeper.finish(task.module)
    return TorchOutcome(keeper.history, weights, None)


def _strategy(ctx: "gang.Context", device: torch.device) -> DDPStrategy:
    """Return one that joins the group that is there, as a node of one process."""

    class Environment(LightningEnvironment):
        def node_rank(self) -> int:
            return ctx.rank

        def local_rank(self) -> int:
            return 0

    return DDPStrategy(
        cluster_environment=Environment(),
        process_group_backend="nccl" if device.type == "cuda" else "gloo",
    )


def _columns_of(batch: dict[str, Any], columns: Columns) -> dict[str, Any]:
    """Return a batch with its inputs in the shapes that were asked for."""
    for place, key in enumerate(columns.keys):
        shape = None if columns.shapes is None else columns.shapes[place]
        if shape is not None:
            batch[key] = batch[key].reshape(len(batch[key]), *shape)
    return batch


class _Fed:
    """The training batches as a Trainer takes them; `_Keeper` keeps their position."""

    def __init__(self, loader: Loader, task: LightningTask) -> None:
        self._loader = loader
        self._task = task
        self._steps = len(loader)  # of every epoch, also where a position was loaded
        self.waited = 0.0  # seconds, in all epochs
        self.first: dict[str, Any] | None = None

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[dict[str, Any]]:
        asked = time.perf_counter()
        for batch in self._loader:
            self.waited += time.perf_counter() - asked
            made = self._made(batch)
            if self.first is None:
                self.first = {name: one[:1] for name, one in made.items()}
            yield made
            asked = time.perf_counter()

    def _made(self, batch: dict[str, Any]) -> dict[str, Any]:
        if self._task.transformation is not None:
            batch = self._task.transformation(batch)
        return _columns_of(batch, self._task.loop.columns)


class _Validation(_Fed):
    """Those to validate on: rows that only fill the last batch are left out."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for padded in self._loader:
            valid = padded.pop("valid")
            if valid.any():
                yield self._made(
                    {name: where_valid(name, one, valid) for name, one in padded.items()}
                )


class _Keeper(lightning.Callback):
    """Keeps the history, checkpoints and weights, and reports how it goes."""

    def __init__(
        self,
        task: LightningTask,
        ctx: "gang.Context",
        loader: Loader,
        fed: _Fed,
        folder: str,
    ) -> None:
        self._task = task.loop
        self._labels = task.loop.columns.labels
        self._ctx = ctx
        self._fed = fed
        self._loader = loader
        self._folder = folder
        self._kept_step = self._resumed_step = 0
        self._begun = self._reported = time.perf_counter()
        self._first_step = 0
        self._waited = 0.0
        self.history: History = []

    def state_dict(self) -> dict[str, Any]:
        """Return history and position, for Lightning's checkpoint."""
        return {
            "history": self.history,
            "step": self._kept_step,
            "loader": json.dumps(self._loader.state_dict()),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back, before the first batch is asked for."""
        self.history = list(state_dict["history"])
        self._resumed_step = state_dict["step"]
        self._loader.load_state_dict(json.loads(state_dict["loader"]))

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to count steps; those of a run that goes on are not from 0."""
        self._kept_step = self._first_step = self._resumed_step
        self._resumed_step = 0
        self._begun = self._reported = time.perf_counter()
        self._waited = self._fed.waited

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report, and keep a checkpoint every so many steps."""
        done, every = batch_idx + 1, self._task.checkpoint.every_steps
        last = done == self._task.deal.steps
        now = time.perf_counter()
        if last or now - self._reported > REPORT_S:
            self._reported = now
            self._report(trainer.current_epoch, done, outputs, now - self._begun)
        due = every is not None and done - self._kept_step >= every and not last
        if due and done % trainer.accumulate_grad_batches == 0:
            self._kept_step = done
            self._checkpoint(trainer)

    def _report(self, epoch: int, done: int, outputs: Any, seconds: float) -> None:
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if self._ctx.rank != 0 or loss is None:
            return
        steps = done - self._first_step
        self._ctx.report(
            {
                "epoch": epoch,
                "step": done,
                "steps": self._task.deal.steps,
                "loss": float(loss),
                "samples_per_s": steps
                * self._task.deal.batch_size
                * self._ctx.world_size
                / max(seconds, 1e-9),
                "data_wait": (self._fed.waited - self._waited) / max(seconds, 1e-9),
            }
        )

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Note what was logged, over all tasks where the module logs with sync_dist."""
        options = self._task.checkpoint
        logged = trainer.callback_metrics
        values = {name: float(value) for name, value in sorted(logged.items())}
        epoch = {"epoch": trainer.current_epoch, **values}
        self.history.append(self._ctx.broadcast(epoch))
        self._kept_step = 0  # of the next epoch
        best = options.best
        if best is not None and is_best(self.history, best, options.best_is):
            self._keep_weights(pl_module)
        if len(self.history) % options.every_epochs == 0:
            self._checkpoint(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Keep the end, if the last epoch was not kept."""
        if len(self.history) % self._task.checkpoint.every_epochs:
            self._checkpoint(trainer)

    def _checkpoint(self, trainer: Any) -> None:
        run = self._task.run
        if run is None:
            return
        path = os.path.join(self._folder, "kept.ckpt")
        trainer.save_checkpoint(path)
        if self._ctx.rank == 0:
            with open(path, "rb") as file:
                run.put(CHECKPOINT, file.read())

    def finish(self, module: lightning.LightningModule) -> bytes | None:
        """Keep the weights, or return them where there is no store."""
        if self._task.checkpoint.best is not None and self._task.run is not None:
            return None  # they are there
        return self._keep_weights(module)

    def _keep_weights(self, module: lightning.LightningModule) -> bytes | None:
        if self._ctx.rank != 0:
            return None
        content = {"model": module.state_dict(), "outputs": self._outputs(module)}
        weights = saved(content)
        if self._task.run is None:
            return weights
        self._task.run.put(WEIGHTS, weights)
        return None

    def _outputs(self, module: lightning.LightningModule) -> list[tuple[list[int], str]]:
        """Return shape and dtype of each output, by the first row that was seen."""
        first = self._fed.first or next(iter(self._fed))  # no step was left to do
        training = module.training
        module.eval()
        with torch.no_grad():
            inputs = inputs_of(first, self._task.columns, module.device)
            outputs = outputs_of(module(*inputs), self._labels)
        module.train(training)
        return [
            (list(one.shape[1:]), str(one.dtype).removeprefix("torch."))
            for one in outputs
        ]
