"""DataFrames on an object store: rows, rights, and stores that are away."""

import threading
import time
from pathlib import Path

import headrace as hr
import pyarrow.fs
import pytest
import servers
from headrace.spark import _cache
from listing import files_below
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

WRONG = "a-wrong-key"
QUICKLY = {"connect_timeout": "0.5", "request_timeout": "0.5"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return servers.S3Place(tmp_path_factory.mktemp("s3"))


@pytest.fixture(scope="module")
def s3(place):
    server = servers.start_s3(place)
    yield server
    server.stop()


@pytest.fixture
def uri(s3, tmp_path):
    """A folder of the bucket that no other test uses."""
    return f"s3://{servers.BUCKET}/{tmp_path.name}"


@pytest.fixture
def frame(spark):
    null = F.col("id") % 3 == 0
    return spark.range(0, 1000, 1, 4).select(
        "id",
        F.when(~null, F.col("id") * 1.5).alias("x"),
        F.when(~null, F.col("id").cast("string")).alias("s"),
        F.when(~null, F.array(F.col("id"), F.lit(None))).alias("list"),
    )


def stored(server: servers.Server, uri: str = f"s3://{servers.BUCKET}") -> list[str]:
    """The files below a folder of the bucket."""
    selector = pyarrow.fs.FileSelector(
        uri.removeprefix("s3://"), recursive=True, allow_not_found=True
    )
    return sorted(
        info.path for info in server.filesystem.get_file_info(selector) if info.is_file
    )


def test_a_frame_comes_back_as_it_was(frame, spark, s3, uri):
    summary = hr.spark.write(frame, uri, storage_options=s3.options)
    assert (summary.rows, summary.files, summary.version) == (1000, 4, 0)
    back = hr.spark.read(spark, uri, storage_options=s3.options)
    assert back.dtypes == frame.dtypes
    assert back.collect() == frame.collect()
    options = {f"storage.{name}": value for name, value in s3.options.items()}
    frame.write.format("headrace").options(**options).mode("append").save(uri)
    assert spark.read.format("headrace").options(**options).load(uri).count() == 2000


def test_a_converted_frame_is_there_once_and_leaves_nothing(frame, s3, uri):
    before = stored(s3)
    first = hr.spark.convert(frame, cache_dir=uri, storage_options=s3.options)
    here = stored(s3, uri)
    with hr.spark.convert(frame, cache_dir=uri, storage_options=s3.options) as again:
        assert again.uri == first.uri
        assert first.uri.startswith(uri)
        assert len(again) == 1000
        assert len([name for name in here if name.endswith(".parquet")]) == 4
        with again.dataset().select("id").loader(batch_size=100) as loader:
            ids = [row for batch in loader for row in batch["id"].tolist()]
        assert sorted(ids) == list(range(1000))
    assert set(here) <= set(stored(s3, uri))
    first.delete()
    assert stored(s3) == before


def test_a_frame_that_fails_leaves_nothing(spark, s3, uri):
    fails = spark.range(10).select(F.expr("if(id = 7, raise_error('the cause'), id) a"))
    before = stored(s3)
    with pytest.raises(PySparkException, match="the cause"):
        hr.spark.convert(fails, cache_dir=uri, storage_options=s3.options)
    with pytest.raises(PySparkException, match="the cause"):
        hr.spark.write(fails, f"{uri}/t", storage_options=s3.options)
    while stored(s3) != before:  # a task that was given up may still write
        time.sleep(0.05)


def every_way(frame, spark, uri, options):
    """Calls that go to the store."""
    return [
        lambda: hr.spark.convert(frame, cache_dir=uri, storage_options=options),
        lambda: hr.spark.write(frame, uri, storage_options=options),
        lambda: hr.spark.read(spark, uri, storage_options=options),
    ]


@pytest.mark.parametrize("name", ["access_key", "secret_key"])
def test_a_wrong_key_is_denied_and_not_shown(frame, spark, s3, uri, name):
    before = stored(s3)
    options = {**s3.options, name: WRONG}
    for call in every_way(frame, spark, uri, options):
        with pytest.raises(hr.errors.Denied) as raised:
            call()
        text = str(raised.value)
        assert uri in text
        assert not any(options[key] in text for key in ("access_key", "secret_key"))
    assert stored(s3) == before


def test_keys_are_not_shown_in_what_spark_tells(frame, spark, s3, uri):
    """The table goes after the plan is made, so that the error comes by way of Spark."""
    hr.spark.write(frame, uri, storage_options=s3.options)
    read = hr.spark.read(spark, uri, storage_options=s3.options)
    s3.filesystem.delete_dir(uri.removeprefix("s3://"))
    with pytest.raises(PySparkException, match=r"headrace\.errors\.") as raised:
        read.collect()
    assert uri in str(raised.value)
    assert s3.options["secret_key"] not in str(raised.value)


@pytest.mark.timeout(60)
def test_a_store_that_nobody_answers_for_is_unavailable(
    frame, spark, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (port,) = servers.free_ports(1)
    options = {
        "endpoint_override": f"{servers.HOST}:{port}",
        "scheme": "http",
        "region": "us-east-1",
        "access_key": "AKTESTS",
        "secret_key": WRONG,
        **QUICKLY,
    }
    for call in every_way(frame, spark, f"s3://{servers.BUCKET}/away", options):
        with pytest.raises(hr.errors.Unavailable) as raised:
            call()
        assert f"s3://{servers.BUCKET}/away" in str(raised.value)
        assert WRONG not in str(raised.value)
    assert files_below(tmp_path) == []


def goes_away(spark, folder: Path):
    """Its rows come when the store is away, which the test sees to."""
    begun, away = folder / "begun", folder / "away"

    def rows(batches):
        begun.touch()
        while not away.exists():
            time.sleep(0.01)
        yield from batches

    return spark.range(100).mapInArrow(rows, "id long"), begun, away


def test_a_store_that_goes_while_tasks_run(spark, tmp_path):
    place = servers.S3Place(tmp_path / "s3")
    server = servers.start_s3(place)
    uri = f"s3://{servers.BUCKET}/cache"
    df, begun, away = goes_away(spark, tmp_path)
    options = {**server.options, **QUICKLY}

    def stop() -> None:
        while not begun.exists():
            time.sleep(0.01)
        server.stop()
        away.touch()

    stopping = threading.Thread(target=stop)
    stopping.start()
    try:
        with pytest.raises(hr.errors.Unavailable) as raised:
            hr.spark.convert(df, cache_dir=uri, storage_options=options)
    finally:
        begun.touch()
        stopping.join()
    assert uri in str(raised.value)
    assert options["secret_key"] not in str(raised.value)

    again = servers.start_s3(place)
    try:
        assert stored(again) != []  # the lease, which could not be released
        _cache._leases.release(lambda lease: True)
        assert stored(again) == []
    finally:
        again.stop()
