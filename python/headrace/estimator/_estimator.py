"""What all estimators share: parameters, runs, and the way from rows to a trained model."""

import abc
import contextlib
import functools
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import _validate, gang, opening
from ..dataset import Dataset
from ..errors import Conflict, InvalidArgument
from ._columns import Columns, parted
from ._deal import deal_of
from ._loop import WEIGHTS, LoopTask
from ._params import param
from ._progress import shown
from ._saved_estimator import SavedEstimator
from ._store import RunStore, check_run_id, new_run_id
from .callbacks import History, check_callbacks
from .options import CheckpointOptions, GangOptions, LoaderOptions, StepOptions, Store

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["BaseEstimator"]

_GROUPS = {
    "loader": LoaderOptions,
    "checkpoint": CheckpointOptions,
    "steps": StepOptions,
    "gang": GangOptions,
}


class BaseEstimator(SavedEstimator):
    """An estimator of Spark ML that also works without Spark; the frameworks' are public."""

    model = param("model", "what is trained")
    optimizer = param("optimizer", "an optimizer, or a function that makes one")
    loss = param("loss", "what is minimised")
    loss_weights = param("loss_weights", "what each output's loss counts for")
    metrics = param("metrics", "what is measured besides the loss")
    feature_cols = param("feature_cols", "columns of the inputs")
    label_cols = param("label_cols", "columns of the outputs' targets")
    input_shapes = param("input_shapes", "shapes of the inputs")
    sample_weight_col = param("sample_weight_col", "column of the samples' weights")
    validation = param("validation", "rows to validate on")
    batch_size = param("batch_size", "samples per step and task")
    validation_batch_size = param("validation_batch_size", "the same of validation")
    epochs = param("epochs", "passes over the rows")
    callbacks = param("callbacks", "called between steps and epochs")
    store = param("store", "where runs are kept")
    run_id = param("run_id", "the run's name in the store")
    transformation_fn = param("transformation_fn", "a function of each batch")
    random_seed = param("random_seed", "of the order, the split and the steps")
    verbose = param("verbose", "0, 1 or 2")
    tasks = param("tasks", "processes that train")
    engine = param("engine", "where they run")
    loader = param("loader", "LoaderOptions")
    checkpoint = param("checkpoint", "CheckpointOptions")
    steps = param("steps", "StepOptions")
    gang = param("gang", "GangOptions")
    output_cols = param("output_cols", "columns that the model adds")

    #: What run ids begin with, and records name.
    _kind = ""

    def _given(self, values: Mapping[str, Any]) -> None:
        """Take the arguments of a constructor."""
        self._set(**{name: value for name, value in values.items() if name != "self"})
        self._checked()

    def _output_names(self, columns: Columns) -> list[str]:
        """Return what the columns of the outputs are called."""
        given = self._value("output_cols")
        return list(given or [f"{name}__output" for name in columns.labels])

    # -- what a framework's estimator says ------------------------------------------------

    @abc.abstractmethod
    def _check_model(self, columns: Columns) -> None:
        """Refuse what the framework cannot train."""

    @abc.abstractmethod
    def _train(self, task: LoopTask, timeout_s: float, launch: Any) -> Any:
        """Have `launch(function, task)` train; return rank 0's outcome."""

    @abc.abstractmethod
    def _trained(
        self, columns: Columns, weights: bytes, run_id: str, history: History
    ) -> Any:
        """Return the model of such weights."""

    # -- fitting --------------------------------------------------------------------------

    def fit_table(self, table: "str | os.PathLike[str] | Dataset") -> Any:
        """Train on a table, without Spark.

        Parameters
        ----------
        table : str, PathLike or Dataset
            A path or URI, as `headrace.open` takes it, or a Dataset with all that one can
            do: `where`, `nulls`, `map`, ...

        Returns
        -------
        TorchModel, KerasModel
            The trained model. Of a `run_id` that is finished it is there at once; one that
            was broken off goes on.

        Raises
        ------
        InvalidArgument
            A parameter, or what it says of this table, is wrong.
        NotFound
            A column is not there.
        Conflict
            The run was begun with other columns, rows or batches, or the tasks do not
            divide its global batch and streams. Or another process is fitting it, which
            the message names.
        PeerFailed
            A task failed, and was started again as often as `GangOptions.max_restarts`
            says; the message has its traceback.
        """
        columns = self._checked()
        validation = self._value("validation")
        if validation is not None and not isinstance(validation, float | str | Dataset):
            raise _validate.rejected(
                "validation",
                validation,
                "a fraction, a column's name or a Dataset (a DataFrame is for fit)",
            )
        dataset = table if isinstance(table, Dataset) else opening.open(table)

        def train(
            run_id: str, run: RunStore | None, record: dict[str, Any] | None
        ) -> Any:
            first, second = parted(dataset, validation, self._value("random_seed"))
            return self._fit_rows(columns, first, second, run_id, run, record)

        return self._once(columns, dataset.fingerprint, train)

    def _fit(self, dataset: "DataFrame") -> Any:
        from ._spark_rows import ConvertedRows, check_columns, is_frame

        columns, validation = self._checked(), self._value("validation")
        if not (
            validation is None
            or isinstance(validation, float | str | Dataset)
            or is_frame(validation, dataset)
        ):
            raise _validate.rejected(
                "validation",
                validation,
                "a fraction, a column's name, a DataFrame or a Dataset",
            )
        more = [validation] if isinstance(validation, str) else []
        check_columns(dataset, [*columns.names, *more])
        whole = self._value("transformation_fn") is not None

        def train(
            run_id: str, run: RunStore | None, record: dict[str, Any] | None
        ) -> Any:
            with ConvertedRows(
                None if whole else columns.names,
                self._value("loader").dtype,
                self._value("store"),
                keep=self._value("run_id") is not None,
            ) as rows:
                held_out: Any = validation
                if record is not None:
                    given, *others = rows.of_record(record, run_id)
                    held_out = others[0] if others else validation
                else:
                    given = rows.converted(dataset, more)
                    if is_frame(validation, dataset):
                        held_out = rows.converted(validation)
                first, second = parted(given, held_out, self._value("random_seed"))
                kept = {"tables": rows.tables}
                model = self._fit_rows(
                    columns, first, second, run_id, run, record, data=kept
                )
                rows.release()
            return model

        return self._once(columns, None, train)

    def fitMultiple(self, dataset: "DataFrame", paramMaps: Sequence[Any]) -> Any:  # noqa: N802, N803 (Spark's names)
        """Fit for each of several maps of parameters, as Spark ML's tuning does.

        Raises
        ------
        InvalidArgument
            A `run_id` is given: it names one run.
        """
        if self._value("run_id") is not None:
            raise InvalidArgument(
                f'run_id is "{self._value("run_id")}" and several models are to be fitted: '
                "leave it out, so that each has a run of its own"
            )
        return super().fitMultiple(dataset, paramMaps)

    def _checked(self) -> Columns:
        """Check all parameters, and return the columns."""
        columns = Columns.of(
            self._value("feature_cols"),
            self._value("label_cols"),
            self._value("sample_weight_col"),
            self._value("input_shapes"),
        )
        for name in ("batch_size", "epochs", "tasks"):
            _validate.integer(name, self._value(name), 1)
        if self._value("validation_batch_size") is not None:
            _validate.integer(
                "validation_batch_size", self._value("validation_batch_size"), 1
            )
        _validate.integer("random_seed", self._value("random_seed"), 0)
        _validate.integer("verbose", self._value("verbose"), 0, 2)
        for name, group in _GROUPS.items():
            if not isinstance(self._value(name), group):
                raise _validate.rejected(
                    name, self._value(name), f"headrace.estimator.{group.__name__}(...)"
                )
        self._check_callbacks()
        if self._value("run_id") is not None:
            check_run_id(self._value("run_id"))
            if self._value("store") is None:
                raise InvalidArgument(
                    f'run_id is "{self._value("run_id")}" and store is None: expected a '
                    "store, which keeps the run"
                )
        transformation = self._value("transformation_fn")
        if transformation is not None and not callable(transformation):
            raise _validate.rejected(
                "transformation_fn", transformation, "a function of a batch"
            )
        outputs = self._value("output_cols")
        if outputs is not None and len(_validate.names("output_cols", outputs)) != len(
            columns.labels
        ):
            raise InvalidArgument(
                f"output_cols is {list(outputs)}: expected one name for each of label_cols, "
                f"{list(columns.labels)}"
            )
        self._check_model(columns)
        return columns

    def _check_callbacks(self) -> None:
        """Refuse callbacks that are none of the framework's."""
        check_callbacks(self._value("callbacks"))

    def _once(
        self,
        columns: Columns,
        fingerprint: str | None,
        train: Callable[[str, RunStore | None, dict[str, Any] | None], Any],
    ) -> Any:
        """Return the model of a finished run, or what `train(run_id, run, record)` gives.

        That has the run to itself.
        """
        store = self._value("store")
        run_id = self._value("run_id") or new_run_id(self._kind)
        if store is None:
            return train(run_id, None, None)
        run = RunStore(Store.of(store), run_id)
        record = self._begun(run, columns, fingerprint)
        if record is None or not self._is_over(record):
            with run.held():
                # As it is now that nobody else can change it.
                record = self._begun(run, columns, fingerprint)
                if record is None or not self._is_over(record):
                    return train(run_id, run, record)
        return self._kept(run, run_id, columns, record)

    def _begun(
        self, run: RunStore, columns: Columns, fingerprint: str | None
    ) -> dict[str, Any] | None:
        """Return what is known of a run that was begun, checked to be this one."""
        record = run.record()
        if record is None:
            return None
        now = {**self._identity(columns), "fingerprint": fingerprint}
        differing = [
            f"{name} {record[name]!r}, now {value!r}"
            for name, value in now.items()
            if value is not None and record[name] != value
        ]
        if differing:
            raise Conflict(
                f"{run.place} was begun with {'; '.join(differing)}: take another run_id"
            )
        return record

    def _identity(self, columns: Columns) -> dict[str, Any]:
        """Return what makes another run of this one; what may change is left out."""
        return {
            "kind": self._kind,
            "features": [list(names) for names in columns.inputs],
            "labels": list(columns.labels),
            "weight": columns.weight or "",
            "seed": self._value("random_seed"),
        }

    def _is_over(self, record: Mapping[str, Any]) -> bool:
        """Return whether a run has all epochs that are asked for."""
        finished: bool = record["state"] == "finished"
        return finished and (
            record["stopped"] or record["epochs"] >= self._value("epochs")
        )

    def _kept(
        self, run: RunStore, run_id: str, columns: Columns, record: Mapping[str, Any]
    ) -> Any:
        """Return the model of a finished run."""
        weights = run.read(WEIGHTS)
        if weights is None:
            raise Conflict(
                f"{run.place} is finished and has no {WEIGHTS}: take another run_id"
            )
        return self._trained(columns, weights, run_id, record["history"])

    def _fit_rows(
        self,
        columns: Columns,
        train: Dataset,
        validation: Dataset | None,
        run_id: str,
        run: RunStore | None,
        record: Mapping[str, Any] | None,
        *,
        data: Mapping[str, Any] | None = None,
    ) -> Any:
        """Train on such rows; `data` is kept in the run's record."""
        tasks, loader = self._value("tasks"), self._value("loader")
        whole = self._value("transformation_fn") is not None
        rows = [0 if part is None else part.count_rows() for part in (train, validation)]
        if validation is not None and rows[1] == 0:
            raise InvalidArgument(
                "there are no rows to validate on: expected some, or validation=None"
            )
        deal = deal_of(rows[0], tasks, self._value("batch_size"), loader, record)
        task = LoopTask(
            train=columns.prepared(train, loader.dtype, whole=whole),
            validation=None
            if validation is None
            else columns.prepared(validation, loader.dtype, whole=whole),
            validation_rows=rows[1],
            columns=columns,
            deal=deal,
            epochs=self._value("epochs"),
            seed=self._value("random_seed"),
            validation_batch_size=self._value("validation_batch_size") or deal.batch_size,
            loader=loader,
            checkpoint=self._value("checkpoint"),
            callbacks=tuple(self._value("callbacks")),
            run=run,
        )
        begun = {
            "run_id": run_id,
            **self._identity(columns),
            "fingerprint": train.fingerprint,
            "global_batch": deal.batch_size * tasks,
            "batch_size": record["batch_size"] if record else deal.batch_size,
            "streams": deal.streams,
            "epochs": task.epochs,
            "data": dict(data or {}),
        }
        if run is not None:
            run.put_record({**begun, "state": "training"})
        with _checkpoints(task, self._value("gang"), self._value("engine")) as kept:
            launch = functools.partial(self._launch, run)
            outcome = self._train(kept, self._value("gang").timeout, launch)
            weights = outcome.weights
            if weights is None:
                assert kept.run is not None
                weights = kept.run.read(WEIGHTS)
        assert weights is not None
        if run is not None:
            run.check_held()
            run.put_record(
                {
                    **begun,
                    "state": "finished",
                    "stopped": len(outcome.history) < task.epochs,
                    "history": outcome.history,
                }
            )
        return self._trained(columns, weights, run_id, outcome.history)

    def _task_environment(self) -> dict[str, str]:
        """Return what the tasks' environment must have."""
        return {}

    def _launch(self, run: RunStore | None, function: Any, task: Any) -> Any:
        """Run the gang, and return what rank 0 returned."""
        options: GangOptions = self._value("gang")
        engine = self._value("engine")
        where = {} if engine is None else {"engine": engine}
        with shown(self._value("epochs"), self._value("verbose")) as show:

            def report(rank: int, value: Any) -> None:
                if run is not None:
                    run.check_held()
                show(rank, value)

            results = gang.run(
                function,
                (task,),
                tasks=self._value("tasks"),
                gpus_per_task=options.gpus_per_task,
                max_restarts=options.max_restarts,
                timeout=options.timeout,
                env={**self._task_environment(), **(options.env or {})},
                on_report=report,
                **where,
            )
        return results[0]


@contextlib.contextmanager
def _checkpoints(task: LoopTask, options: GangOptions, engine: Any) -> Iterator[LoopTask]:
    """Give a task somewhere to keep checkpoints for restarts, if it has nowhere.

    Only where all tasks are on this machine. Elsewhere they start anew.
    """
    needed = options.max_restarts > 0 or task.checkpoint.best is not None
    if task.run is not None or not needed:
        yield task
        return
    if engine is not None:
        raise InvalidArgument(
            "store is None, and max_restarts or CheckpointOptions.best need one that all "
            "tasks reach: expected a folder on shared storage, such as s3://bucket/runs"
        )
    with tempfile.TemporaryDirectory(prefix="headrace-run-") as folder:
        run = RunStore(Store(folder), "run")
        yield LoopTask(**{**vars(task), "run": run})
