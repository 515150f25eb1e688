"""DataFrames: fit, transform, Pipeline, CrossValidator, and runs that go on."""

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import fits
import headrace as hr
import numpy as np
import pytest
import sessions
import torch
from headrace.estimator import CheckpointOptions, TorchEstimator, TorchModel
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.linalg import Vectors
from pyspark.ml.tuning import CrossValidator, CrossValidatorModel, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from torch import nn

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # tasks cannot import it


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    folder = tmp_path_factory.mktemp("warehouse")
    session = sessions.builder().config("spark.sql.warehouse.dir", folder).getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture(scope="module")
def df(spark: SparkSession, table: Path) -> DataFrame:
    return hr.spark.read(spark, str(table)).cache()


def test_a_pipeline_is_fitted_saved_loaded_and_evaluated(
    df: DataFrame, tmp_path: Path
) -> None:
    assembler = VectorAssembler(inputCols=["a", "b"], outputCol="features")
    estimator = fits.estimator(
        feature_cols=["features"], store=tmp_path / "store", validation="held_out"
    )
    fitted = Pipeline(stages=[assembler, estimator]).fit(df)
    assert len(fitted.stages[-1].history) == 3
    found = fitted.transform(df)
    assert found.columns == [*df.columns, "features", "y__output"]
    error = RegressionEvaluator(labelCol="y", predictionCol="y__output")
    assert error.evaluate(found) < 0.1

    fitted.write().save(str(tmp_path / "saved"))
    loaded = PipelineModel.load(str(tmp_path / "saved"))
    assert isinstance(loaded.stages[-1], TorchModel)
    assert error.evaluate(loaded.transform(df)) == error.evaluate(found)
    fitted.write().overwrite().save(str(tmp_path / "saved"))

    # What Spark's tasks predict is what `predict` does.
    model = fitted.stages[-1]
    rows = found.select("a", "features", "y__output").orderBy("a").toPandas()
    inputs = torch.tensor(np.stack([one.toArray() for one in rows["features"]])).float()
    with torch.no_grad():
        np.testing.assert_allclose(
            rows["y__output"], model.model(inputs)[:, 0], rtol=1e-5
        )


def test_an_unfitted_pipeline_is_saved_loaded_and_fitted(
    spark: SparkSession, df: DataFrame, tmp_path: Path
) -> None:
    assembler = VectorAssembler(inputCols=["a", "b"], outputCol="features")
    estimator = fits.estimator(
        feature_cols=["features"],
        store=tmp_path / "store",
        validation="held_out",
        tasks=1,
        epochs=1,
    )
    pipeline = Pipeline(stages=[assembler, estimator])
    saved = (tmp_path / "saved").as_uri()
    pipeline.save(saved)
    pipeline.write().overwrite().save(saved)
    loaded = Pipeline.load(saved)
    stage = loaded.getStages()[-1]
    assert isinstance(stage, TorchEstimator)
    assert stage.uid == estimator.uid
    fits.assert_same(loaded.fit(df).stages[-1], pipeline.fit(df).stages[-1])

    # What is of the session alone.
    there = tmp_path / "there"
    estimator.copy({estimator.engine: spark}).write().save(str(there))
    assert TorchEstimator.read().load(str(there))._value("engine") is spark
    with pytest.raises(hr.errors.InvalidArgument, match="validation is a DataFrame"):
        estimator.copy({estimator.validation: df}).save(tmp_path / "elsewhere")


def test_paths_are_on_the_default_filesystem(spark: SparkSession) -> None:
    hadoop = spark._jsc.hadoopConfiguration()
    before = hadoop.get("fs.defaultFS")
    try:
        hadoop.set("fs.defaultFS", "unknown://name")
        for stage in (fits.estimator(), TorchModel, TorchEstimator):
            act = stage.load if isinstance(stage, type) else stage.save
            with pytest.raises(hr.errors.HeadraceError, match="unknown"):
                act("/models/one")
            with pytest.raises(hr.errors.InvalidArgument, match="expected an absolute"):
                act("one")
    finally:
        hadoop.set("fs.defaultFS", before)


class Kinds(nn.Module):
    """Outputs of three values, of a matrix, and of an integer."""

    def __init__(self) -> None:
        super().__init__()
        self.kind = nn.Linear(3, 4)

    def forward(self, features: torch.Tensor) -> Any:
        found = self.kind(features)
        return found[:, :3], found.reshape(-1, 2, 2), found.argmax(1)


def nothing(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return output.float().sum() * 0


def test_outputs_are_vectors_arrays_and_integers(
    spark: SparkSession, tmp_path: Path
) -> None:
    vectors = [Vectors.dense(1, 2, 3), Vectors.sparse(3, [1], [5.0])] * 8
    df = spark.createDataFrame(
        [(one, 0.0, 0.0, 0) for one in vectors], ["v", "p", "q", "r"]
    )
    model = fits.estimator(
        model=Kinds(),
        loss=nothing,
        feature_cols=["v"],
        label_cols=["p", "q", "r"],
        output_cols=["three", "matrix", "kind"],
        batch_size=8,
        tasks=1,
        epochs=1,
        store=tmp_path,
    ).fit(df)
    found = model.transform(df).limit(2).collect()
    inputs = torch.tensor([[1.0, 2, 3], [0, 5, 0]])
    with torch.no_grad():
        three, matrix, kind = model.model(inputs)
    for place, row in enumerate(found):
        np.testing.assert_allclose(row.three.toArray(), three[place], rtol=1e-5)
        np.testing.assert_allclose(row.matrix, matrix[place], rtol=1e-5)
        assert row.kind == kind[place]
    arrays = model.copy({model.vectors: "array"}).transform(df).first()
    assert isinstance(arrays.three, list)

    with pytest.raises(hr.errors.InvalidArgument, match=r"has \['kind'\] already"):
        model.transform(df.withColumn("kind", F.lit(1)))
    with pytest.raises(hr.errors.NotFound, match=r"no columns \['v'\]"):
        model.transform(df.drop("v"))
    null = df.withColumn("v", F.when(F.lit(False), F.col("v")))
    with pytest.raises(Exception, match='feature "v" has 8 nulls in a batch of 8 rows'):
        model.transform(null).collect()


# pyspark leaves its pool of threads to the garbage collector.
@pytest.mark.long
@pytest.mark.filterwarnings("ignore:unclosed running multiprocessing:ResourceWarning")
def test_a_cross_validator_chooses_among_parameters(
    df: DataFrame, tmp_path: Path
) -> None:
    optimizer = functools.partial(torch.optim.SGD, lr=0.05)
    estimator = fits.estimator(tasks=1, optimizer=optimizer, store=tmp_path / "store")
    grid = ParamGridBuilder().addGrid(estimator.epochs, [1, 4]).build()
    validator = CrossValidator(
        estimator=estimator,
        estimatorParamMaps=grid,
        evaluator=RegressionEvaluator(labelCol="y", predictionCol="y__output"),
        numFolds=2,
        seed=1,
    )
    validator.save(str(tmp_path / "validator"))
    found = CrossValidator.load(str(tmp_path / "validator")).fit(df)
    assert found.avgMetrics[1] < found.avgMetrics[0] / 2
    assert len(found.bestModel.history) == 4

    found.save(str(tmp_path / "found"))
    loaded = CrossValidatorModel.load(str(tmp_path / "found"))
    assert loaded.avgMetrics == found.avgMetrics
    assert loaded.getEstimator().uid == estimator.uid
    assert loaded.getEstimatorParamMaps() == grid
    fits.assert_same(loaded.bestModel, found.bestModel)
    assert loaded.transform(df).collect() == found.transform(df).collect()

    named = fits.estimator(store=tmp_path, run_id="r")
    with pytest.raises(hr.errors.InvalidArgument, match='run_id is "r"'):
        named.fitMultiple(df, grid)


class Raiser:
    """Raises in the middle of the second epoch."""

    def on_step_end(self, training: Any) -> None:
        if (training.epoch, training.step) == (1, 5):
            raise RuntimeError("broken off here")


def test_a_broken_run_goes_on_with_its_own_rows(
    df: DataFrame, table: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "tasks": 1,
        "store": tmp_path,
        "run_id": "r",
        "checkpoint": CheckpointOptions(every_steps=2),
    }
    # A DataFrame as what to validate on.
    train, held_out = df.where("not held_out"), df.where("held_out")
    with pytest.raises(hr.errors.PeerFailed, match="broken off here"):
        fits.estimator(**options, validation=held_out, callbacks=[Raiser()]).fit(train)
    model = fits.estimator(**options, validation=held_out).fit(train)
    plain = fits.estimator(tasks=1, validation="held_out").fit_table(table)
    assert [one["epoch"] for one in model.history] == [0, 1, 2]
    assert model.history[-1]["val_loss"] == pytest.approx(
        plain.history[-1]["val_loss"], rel=0.5
    )
    # Its tables are gone, and the model is still there.
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["_keys"]
    kept = fits.estimator(**options, validation=held_out).fit(train)
    fits.assert_same(kept, model)


def test_tasks_in_spark_and_here_compute_the_same(
    spark: SparkSession, table: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"epochs": 2, "validation": "held_out"}
    there = fits.estimator(**options, engine=spark, store=tmp_path).fit_table(table)
    fits.assert_same(there, fits.estimator(**options, tasks=1).fit_table(table))


def test_wrong_frames_are_refused(df: DataFrame, tmp_path: Path) -> None:
    with pytest.raises(hr.errors.NotFound, match=r"no columns \['z'\]"):
        fits.estimator(feature_cols=["z"], store=tmp_path).fit(df)
    with pytest.raises(hr.errors.InvalidArgument, match="store is None, and no cache"):
        fits.estimator().fit(df)
    with pytest.raises(hr.errors.InvalidArgument, match="validation is"):
        fits.estimator(validation=df).fit_table("nowhere")
