"""A program written for Petastorm's converter, with its imports changed."""

import io

import headrace as hr
import numpy as np
import pytest
from headrace.compat.petastorm import TransformSpec, edit_field
from headrace.compat.petastorm.spark import SparkDatasetConverter, make_spark_converter
from PIL import Image

IMAGES = 24


@pytest.fixture(scope="module")
def pictures(spark):
    """Images as Spark's binary files have them, and what is on them."""
    rng = np.random.default_rng(0)

    def jpeg(label: int) -> bytearray:
        pixels = rng.integers(0, 80, (40, 50, 3), dtype=np.uint8)
        pixels[..., label] += 150
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG")
        return bytearray(file.getvalue())

    rows = [(jpeg(i % 3), i % 3) for i in range(IMAGES)]
    return spark.createDataFrame(rows, "content binary, label_index long").cache()


@pytest.fixture
def conf(spark, tmp_path):
    name = SparkDatasetConverter.PARENT_CACHE_DIR_URL_CONF
    spark.conf.set(name, f"file://{tmp_path}/cache")
    yield tmp_path / "cache"
    spark.conf.unset(name)


def preprocess(content: bytes, size: int = 224) -> np.ndarray:
    image = Image.open(io.BytesIO(content)).resize((size, size))
    return np.asarray(image, dtype=np.uint8)


def spec(size: int = 224) -> TransformSpec:
    def transform_rows(batch):
        batch["features"] = batch["content"].map(
            lambda content: preprocess(content, size)
        )
        return batch.drop(labels=["content"], axis=1)

    return TransformSpec(
        transform_rows,
        edit_fields=[("features", np.uint8, (224, 224, 3), False)],
        selected_fields=["features", "label_index"],
    )


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")  # Keras, of any dataset
def test_a_keras_program_of_the_books_runs(spark, pictures, conf):
    keras = pytest.importorskip("keras")
    train, test = pictures.randomSplit([0.75, 0.25], seed=1)
    train_size = train.count()
    converter_train = make_spark_converter(train, parquet_row_group_size_bytes=32000000)
    converter_val = make_spark_converter(test, parquet_row_group_size_bytes=32000000)
    assert len(converter_train) == train_size
    assert len(converter_train) + len(converter_val) == IMAGES
    model = keras.Sequential(
        [
            keras.Input((224, 224, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(0.1),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    with (
        converter_train.make_tf_dataset(
            transform_spec=spec(), batch_size=4
        ) as train_dataset,
        converter_val.make_tf_dataset(transform_spec=spec(), batch_size=4) as val_dataset,
    ):
        history = model.fit(
            train_dataset.map(lambda x: (x.features, x.label_index)),
            steps_per_epoch=len(converter_train) // 4,
            epochs=3,
            validation_data=val_dataset.map(lambda x: (x.features, x.label_index)),
            validation_steps=1,
            verbose=0,
        )
    assert len(history.history["val_loss"]) == 3
    assert history.history["loss"][-1] < history.history["loss"][0]
    converter_train.delete()
    converter_val.delete()
    assert [p for p in conf.rglob("*") if p.is_file()] == []


def test_another_shape_than_the_field_says_is_an_error(pictures, conf):
    converter = make_spark_converter(pictures)
    with (
        pytest.raises(
            ValueError, match=r"field features must be the shape \(224, 224, 3\)"
        ),
        converter.make_tf_dataset(transform_spec=spec(size=100)),
    ):
        pass
    converter.delete()


def test_torch_batches(spark, conf):
    torch = pytest.importorskip("torch")
    df = spark.range(10).selectExpr("id", "id / 2 as half", "array(id, id + 1) as pair")
    converter = make_spark_converter(df)
    with converter.make_torch_dataloader(batch_size=4, num_epochs=1) as loader:
        batches = list(loader)
    assert [len(batch["id"]) for batch in batches] == [4, 4, 2]
    assert batches[0]["half"].dtype == torch.float32  # Petastorm's default
    assert batches[0]["pair"].shape == (4, 2)
    assert sorted(torch.cat([batch["id"] for batch in batches]).tolist()) == list(
        range(10)
    )
    with converter.make_torch_dataloader(batch_size=4, num_epochs=2) as loader:
        assert sum(len(batch["id"]) for batch in loader) == 20
        assert sum(len(batch["id"]) for batch in loader) == 20
    converter.delete()
    converter = make_spark_converter(
        spark.range(16)
    )  # as many as the loader has streams, twice
    halves = []
    for shard in range(2):
        with converter.make_torch_dataloader(
            num_epochs=1, cur_shard=shard, shard_count=2, schema_fields=["i.*"]
        ) as loader:
            halves += [value for batch in loader for value in batch["id"].tolist()]
    assert sorted(halves) == list(range(16))
    with pytest.raises(TypeError, match="predicate"):
        converter.make_torch_dataloader(predicate=None)
    converter.delete()


def test_what_a_transform_spec_makes_of_names():
    both = TransformSpec(
        edit_fields=[edit_field("b", np.int64, ())], removed_fields=["c"]
    )
    assert both.columns(["a", "b", "c", "d"]) == ["a", "d", "b"]
    assert TransformSpec(selected_fields=["d", "a"]).columns(["a", "d"]) == ["d", "a"]
    with pytest.raises(ValueError, match="both given"):
        TransformSpec(removed_fields=["a"], selected_fields=["b"])
    with pytest.raises(ValueError, match="no fields"):
        TransformSpec(selected_fields=["z"]).columns(["a"])


def test_arguments_are_checked(spark, conf):
    with pytest.raises(hr.errors.InvalidArgument, match="bzip2"):
        make_spark_converter(spark.range(3), compression_codec="bzip2")
    spark.conf.unset(SparkDatasetConverter.PARENT_CACHE_DIR_URL_CONF)
    with pytest.raises(ValueError, match="parentCacheDirUrl"):
        make_spark_converter(spark.range(3))
