"""TorchEstimator on a DataFrame of Spark Connect; a program, as a process has one kind of Spark.

Argument: a folder with the table "table".
"""

import sys
from pathlib import Path

import fits
import headrace as hr
import numpy as np
import sessions
import torch
from headrace.estimator import TorchModel
from pyspark.ml.feature import VectorAssembler
from torch import nn


def main(folder: Path) -> None:
    spark = sessions.connect_builder().getOrCreate()
    df = hr.spark.read(spark, str(folder / "table"))
    df = VectorAssembler(inputCols=["a", "b"], outputCol="features").transform(df)
    model = fits.estimator(
        model=nn.Sequential(fits.linear(), nn.Linear(1, 2)),
        loss=nn.CrossEntropyLoss(),
        feature_cols=["features"],
        label_cols=["positive"],
        validation="held_out",
        store=folder / "store",
    ).fit(df)
    assert len(model.history) == 3
    model.write().overwrite().save(str(folder / "saved"))
    for one in (model, TorchModel.read().load(str(folder / "saved"))):
        rows = one.transform(df).select("features", "positive__output").toPandas()
        inputs = np.stack([row.toArray() for row in rows["features"]])
        with torch.no_grad():
            expected = model.model(torch.tensor(inputs).float()).numpy()
        found = np.stack([row.toArray() for row in rows["positive__output"]])
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
