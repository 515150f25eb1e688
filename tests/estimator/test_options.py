"""What estimators refuse, how they stop, and what losses and metrics are: no gang is started."""

from typing import Any

import fits
import headrace as hr
import pytest
import torch
from headrace.errors import Conflict, InvalidArgument, NotFound
from headrace.estimator import (
    CheckpointOptions,
    EarlyStopping,
    GangOptions,
    LoaderOptions,
    StepOptions,
    Store,
    Training,
)
from headrace.estimator._columns import Columns
from headrace.estimator._deal import deal_of
from headrace.estimator._progress import shown
from headrace.estimator._torch_losses import losses_of, metrics_of, outputs_of
from headrace.estimator.callbacks import is_best
from torch import nn

Y = Columns.of(["a"], ["y"])
WEIGHTED = Columns.of(["a"], ["y"], "weight")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": 3}, "model is 3 .*expected a torch.nn.Module"),
        ({"optimizer": "adam"}, "optimizer is 'adam'"),
        ({"loss": None}, "loss is None"),
        ({"loss": [nn.MSELoss(), nn.MSELoss()]}, "loss has 2 entries and label_cols 1"),
        ({"loss_weights": {"z": 1.0}}, r"loss_weights is given for \['z'\]"),
        ({"feature_cols": "a"}, "feature_cols is 'a'"),
        ({"feature_cols": []}, r"feature_cols is \[\]"),
        ({"feature_cols": [[]]}, r"feature_cols\[0\] is \[\]"),
        ({"label_cols": ["a"]}, r"\['a'\] are given more than once"),
        ({"input_shapes": [(2,), (3,)]}, "input_shapes has 2 shapes and feature_cols 1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"epochs": 1.5}, "epochs is 1.5"),
        ({"tasks": 0}, "tasks is 0"),
        ({"random_seed": -1}, "random_seed is -1"),
        ({"verbose": 3}, "verbose is 3"),
        ({"callbacks": [print]}, r"callbacks\[0\] is"),
        ({"run_id": "r"}, "store is None"),
        ({"run_id": "a/b", "store": "s"}, "run_id is 'a/b'"),
        ({"transformation_fn": 1}, "transformation_fn is 1"),
        ({"output_cols": ["p", "q"]}, "expected one name for each of label_cols"),
        ({"metrics": {"z": [torch.sum]}}, r"metrics are given for \['z'\]"),
        ({"metrics": [torch.sum, torch.sum]}, r"metrics are named \['sum'\]"),
        ({"loader": None}, "loader is None .*LoaderOptions"),
    ],
)
def test_wrong_parameters_are_refused_at_once(
    changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        fits.estimator(**changed)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LoaderOptions(dtype="int8"), "LoaderOptions.dtype is 'int8'"),
        (lambda: LoaderOptions(streams=0), "LoaderOptions.streams is 0"),
        (lambda: CheckpointOptions(every_steps=0), "CheckpointOptions.every_steps is 0"),
        (
            lambda: CheckpointOptions(best_is="most"),
            "CheckpointOptions.best_is is 'most'",
        ),
        (lambda: StepOptions(precision="float8"), "StepOptions.precision is 'float8'"),
        (lambda: GangOptions(timeout=0), "GangOptions.timeout is 0"),
        (lambda: EarlyStopping(patience=0), "EarlyStopping.patience is 0"),
        (lambda: Store(""), "uri is ''"),
    ],
)
def test_wrong_options_are_refused_at_once(make: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()


def test_a_fraction_is_between_zero_and_one(table: Any) -> None:
    for share in (0.0, 1.0, -0.5):
        with pytest.raises(InvalidArgument, match="a fraction between 0 and 1"):
            fits.estimator(validation=share).fit_table(table)
    with pytest.raises(InvalidArgument, match="expected booleans, or numbers"):
        fits.estimator(validation="more").fit_table(table)
    with pytest.raises(NotFound, match="z"):
        fits.estimator(validation="z").fit_table(table)
    with pytest.raises(NotFound, match="z"):
        fits.estimator(feature_cols=["z"]).fit_table(table)


# -- how an epoch is dealt out ------------------------------------------------------------


def test_streams_suit_tasks_that_may_come_later() -> None:
    for tasks, streams in [(1, 8), (2, 8), (4, 8), (8, 8), (3, 24), (12, 24)]:
        assert deal_of(10_000, tasks, 32, LoaderOptions(), None).streams == streams
    assert deal_of(10_000, 3, 32, LoaderOptions(shuffle=False), None).streams == 3
    # 8 * (1000 // 8) rows, 64 a step
    assert deal_of(1007, 2, 32, LoaderOptions(), None).steps == 15
    with pytest.raises(InvalidArgument, match="expected a multiple of tasks, such as 24"):
        deal_of(1000, 3, 32, LoaderOptions(streams=8), None)


def test_rows_that_make_no_step_are_refused_with_numbers() -> None:
    with pytest.raises(
        InvalidArgument, match=r"there are 60 rows .*, 56 of them .* a step takes 64"
    ):
        deal_of(60, 2, 32, LoaderOptions(), None)


@pytest.mark.parametrize(
    ("tasks", "batch_size"), [(1, 32), (1, 8), (2, 16), (2, 8), (4, 8), (8, 4)]
)
def test_a_run_keeps_its_global_batch(tasks: int, batch_size: int) -> None:
    record = {"run_id": "r", "global_batch": 32, "batch_size": 8, "streams": 24}
    deal = deal_of(1000, tasks, batch_size, LoaderOptions(), record)
    assert (deal.batch_size, deal.streams, deal.steps) == (32 // tasks, 24, 30)


@pytest.mark.parametrize("tasks", [3, 5, 6, 16])
def test_tasks_that_do_not_fit_a_run_are_refused_with_those_that_do(tasks: int) -> None:
    record = {"run_id": "r", "global_batch": 32, "batch_size": 8, "streams": 24}
    with pytest.raises(Conflict, match="expected tasks to be one of 1, 2, 4, 8"):
        deal_of(1000, tasks, 8, LoaderOptions(), record)


# -- stopping early -----------------------------------------------------------------------


def epochs_until_stopped(stopping: EarlyStopping, losses: list[float]) -> int:
    training = Training(None, None, rank=0, world_size=1, steps=1)
    for loss in losses:
        training.history.append({"val_loss": loss})
        stopping.on_epoch_end(training)
        if training.stopping:
            break
    return len(training.history)


@pytest.mark.parametrize(
    ("stopping", "losses", "epochs"),
    [
        (EarlyStopping(), [3, 2, 1, 0], 4),
        (EarlyStopping(), [3, 2, 2, 0], 3),
        (EarlyStopping(patience=2), [3, 2, 2, 1, 1, 1, 0], 6),
        (EarlyStopping(min_delta=0.5), [3, 2, 1.7, 0], 3),
        (EarlyStopping(patience=2, min_delta=0.5), [3, 2.8, 2.4, 2.2, 2.0, 0], 5),
        (EarlyStopping(mode="max"), [1, 2, 3, 1], 4),
        (EarlyStopping(), [float("nan"), float("nan"), 1], 2),
        (EarlyStopping(), [2, float("nan"), 1], 2),
    ],
)
def test_early_stopping_goes_by_the_history(
    stopping: EarlyStopping, losses: list[float], epochs: int
) -> None:
    assert epochs_until_stopped(stopping, losses) == epochs


def test_early_stopping_names_what_the_history_has() -> None:
    training = Training(None, None, rank=0, world_size=1, steps=1)
    training.history.append({"loss": 1.0})
    with pytest.raises(NotFound, match='no "val_loss": expected one of loss'):
        EarlyStopping().on_epoch_end(training)


@pytest.mark.parametrize(
    ("losses", "kept"),
    [([3, 1, 2], [0, 1]), ([float("nan"), float("nan"), 2, 3], [0, 1, 2]), ([1, 1], [0])],
)
def test_the_best_weights_are_those_of_the_best_epoch_or_the_last_without_numbers(
    losses: list[float], kept: list[int]
) -> None:
    history = [{"val_loss": loss} for loss in losses]
    found = [
        i for i in range(len(history)) if is_best(history[: i + 1], "val_loss", "min")
    ]
    assert found == kept


def test_progress_is_a_line_an_epoch_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "headrace.estimator")
    values = {"epoch": 1, "step": 3, "steps": 4, "loss": 0.25, "data_wait": 0.02}
    for verbose, lines in [(0, 0), (1, 0), (2, 1)]:
        caplog.clear()
        with shown(5, verbose) as report:
            report(0, {**values, "samples_per_s": 1234.5})
            report(0, {**values, "step": 4, "samples_per_s": 1234.5})
            report(1, "what a callback said")
        assert len(caplog.messages) == lines
    assert caplog.messages == [
        "epoch 2/5: loss 0.25, 1,234 samples/s, 2% waiting for data"
    ]


# -- losses and metrics -------------------------------------------------------------------


def test_a_loss_is_weighted_by_samples_exactly() -> None:
    output, label = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([0.0, 0.0, 1.0])
    total, _ = losses_of(nn.MSELoss(), None, Y)([output], [label], None)
    assert total.item() == pytest.approx(1 + 4 + 9)
    weight = torch.tensor([0.5, 0.0, 2.0])
    for loss in (nn.MSELoss(), nn.functional.mse_loss, lambda o, t: (o - t).square()):
        total, _ = losses_of(loss, None, WEIGHTED)([output], [label], weight)
        assert total.item() == pytest.approx(0.5 * 1 + 2 * 9)


def test_the_losses_of_outputs_add_up_by_their_weights() -> None:
    columns = Columns.of(["a"], ["y", "z"])
    outputs = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 0.0])]
    labels = [torch.zeros(2), torch.zeros(2)]
    total, sums = losses_of(nn.L1Loss(), None, columns)(outputs, labels, None)
    assert [one.item() for one in sums] == [3, 3]
    assert total.item() == pytest.approx(3)  # 1 / 2 each
    weighted = losses_of({"z": nn.MSELoss(), "y": nn.L1Loss()}, [10, 1], columns)
    assert weighted(outputs, labels, None)[0].item() == pytest.approx(30 + 9)
    assert weighted.names == ("y_loss", "z_loss")


def test_a_loss_without_values_of_samples_is_refused_under_weights() -> None:
    losses = losses_of(lambda o, t: (o - t).square().mean(), None, WEIGHTED)
    with pytest.raises(InvalidArgument, match="expected a value a sample"):
        losses([torch.zeros(3)], [torch.zeros(3)], torch.ones(3))


def test_metrics_are_named_by_output_where_there_are_several() -> None:
    def one(output: Any, label: Any) -> Any: ...

    assert [m.name for m in metrics_of([one], ["y"])] == ["one"]
    assert [m.name for m in metrics_of([one], ["y", "z"])] == ["y_one", "z_one"]
    named = metrics_of({"z": {"two": one}}, ["y", "z"])
    assert [(m.name, m.output) for m in named] == [("z_two", 1)]


def test_outputs_come_as_tensor_tuple_or_dict() -> None:
    one, two = torch.zeros(1), torch.ones(1)
    assert outputs_of(one, ["y"]) == [one]
    assert outputs_of((one, two), ["y", "z"]) == [one, two]
    assert outputs_of({"z": two, "y": one}, ["y", "z"]) == [one, two]
    with pytest.raises(InvalidArgument, match="returned 2 outputs and label_cols has 1"):
        outputs_of((one, two), ["y"])
    with pytest.raises(InvalidArgument, match=r"lacks \['z'\]"):
        outputs_of({"y": one}, ["y", "z"])


def test_importing_the_estimators_imports_no_framework() -> None:
    import subprocess
    import sys

    program = (
        "import sys, headrace as hr; hr.estimator.LoaderOptions(); "
        "print([m for m in ('torch', 'pyspark', 'keras') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr
    assert hr.estimator.__all__ == sorted(hr.estimator.__all__)


@pytest.mark.parametrize(
    ("uri", "below"),
    [
        ("/runs?a=b/", "/runs?a=b/data"),
        ("s3://bucket/runs/", "s3://bucket/runs/data"),
        ("s3://bucket/r?region=x&scheme=http", "s3://bucket/r/data?region=x&scheme=http"),
        ("s3://bucket/what?/r?", "s3://bucket/what?/r?/data"),
    ],
)
def test_what_lies_in_a_store_is_before_its_query(uri: str, below: str) -> None:
    assert Store(uri)._below("data") == below
