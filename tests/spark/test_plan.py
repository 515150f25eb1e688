"""What the identity of a DataFrame tells apart, by real Spark."""

import gc
import json
import os
import weakref
from pathlib import Path

import connect_plans
import headrace as hr
import pytest
import queries
from headrace.spark import _plan, read
from headrace.spark._input_files import InputFiles
from headrace.spark._plan import SessionPlans, identify
from py4j.protocol import Py4JError
from pyspark.ml import Pipeline
from pyspark.ml.feature import StringIndexer, VectorAssembler
from pyspark.sql import functions as F

SHARED = "shared"


def write(spark, folder, rows=40, *, mode="overwrite", files=2):
    (
        spark.range(rows)
        .selectExpr(
            "id",
            "id % 3 as group",
            "id / 4.0D as x",
            "cast(id as string) as name",
        )
        .repartition(files)
        .write.mode(mode)
        .parquet(str(folder))
    )


@pytest.fixture(scope="module")
def lake(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lake") / "rows"
    write(spark, folder)
    return folder


@pytest.fixture
def own(spark, tmp_path):
    """A folder that the test may change."""
    write(spark, tmp_path / "rows")
    return tmp_path / "rows"


def key(df, **options):
    identity = identify(df, options)
    assert identity.scope == SHARED, identity.reason
    return identity.key


def test_queries_over_files_are_the_same_when_built_again_and_in_another_driver(
    spark, lake, python
):
    here = {name: key(df) for name, df in queries.shared(spark, lake).items()}
    again = {name: key(df) for name, df in queries.shared(spark, lake).items()}
    assert here == again
    assert len(set(here.values())) == len(here)

    there = json.loads(python(Path(queries.__file__).read_text(), str(lake)))
    assert there == {name: [SHARED, value] for name, value in here.items()}


def test_options_are_part_of_the_key(spark, lake):
    df = spark.read.parquet(str(lake))
    assert key(df, dtype="float32") != key(df, dtype="float64")
    assert key(df, a="1", b="2") == key(df, b="2", a="1")


def test_a_path_written_in_two_ways_is_one(spark, lake):
    assert key(spark.read.parquet(f"file://{lake}/")) == key(
        spark.read.parquet(str(lake))
    )


def test_a_file_overwritten_under_its_name_is_another_also_for_an_old_frame(spark, own):
    df = spark.read.parquet(str(own))
    before = key(df)
    part = sorted(own.glob("part-*.parquet"))[0]
    # Same length, other bytes: only the time tells.
    time = part.stat().st_mtime_ns
    part.write_bytes(bytes(reversed(part.read_bytes())))
    os.utime(part, ns=(time, time + 5_000_000))
    assert key(df) != before
    os.utime(part, ns=(time, time))
    assert key(df) == before
    part.write_bytes(part.read_bytes() + b"x")
    os.utime(part, ns=(time, time))
    assert key(df) != before


def test_an_appended_file_counts_for_frames_that_read_it(spark, own):
    old = spark.read.parquet(str(own))
    before = key(old)
    write(spark, own, 5, mode="append", files=1)
    assert key(spark.read.parquet(str(own))) != before
    assert key(old) == before  # which reads what it listed when it was made
    assert old.count() == 40


def test_a_file_that_is_gone_counts(spark, own):
    df = spark.read.parquet(str(own))
    before = key(df)
    sorted(own.glob("part-*.parquet"))[0].unlink()
    assert key(df) != before


def test_partitions_and_read_options_count(spark, tmp_path):
    rows = spark.range(30).selectExpr("id", "id % 3 as day", "cast(id as string) as s")
    rows.write.partitionBy("day").parquet(str(tmp_path / "days"))
    days = spark.read.parquet(str(tmp_path / "days"))
    one = spark.read.parquet(str(tmp_path / "days" / "day=1"))
    based = spark.read.option("basePath", str(tmp_path / "days"))
    keys = {key(days), key(one), key(based.parquet(str(tmp_path / "days" / "day=1")))}
    assert len(keys) == 3
    rows.select("s").write.text(str(tmp_path / "text"))
    text = str(tmp_path / "text")
    assert key(spark.read.csv(text, sep=",")) != key(spark.read.csv(text, sep=";"))
    assert key(spark.read.csv(text)) == key(spark.read.csv(text))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("spark.sql.session.timeZone", "Europe/Zurich"),
        ("spark.sql.ansi.enabled", "false"),
        ("spark.sql.caseSensitive", "true"),
        ("spark.sql.legacy.timeParserPolicy", "LEGACY"),
    ],
)
def test_settings_that_change_values_count(spark, lake, setting, value):
    df = spark.read.parquet(str(lake)).select("id")
    before = key(df)
    found = spark.conf.get(setting)
    spark.conf.set(setting, value)
    changed = key(df)
    if setting == "spark.sql.session.timeZone":  # which the session was made with
        spark.conf.set(setting, found)
    else:
        spark.conf.unset(setting)
    assert changed != before
    assert key(df) == before


def test_settings_of_speed_do_not_count(spark, lake):
    df = spark.read.parquet(str(lake))
    before = key(df)
    found = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", "7")
    assert key(df) == before
    spark.conf.set("spark.sql.shuffle.partitions", found)


def test_an_expression_bound_under_other_settings_is_another(spark, lake):
    def cast():
        return spark.read.parquet(str(lake)).select(F.col("name").cast("int").alias("n"))

    strict = cast()
    spark.conf.set("spark.sql.ansi.enabled", "false")
    lenient = cast()
    spark.conf.unset("spark.sql.ansi.enabled")
    assert key(strict) != key(lenient)


def random_frames(spark, df):
    once = F.udf(lambda v: v, "long").asNondeterministic()
    df.createOrReplaceTempView("random_rows")
    return {
        "rand()": df.select(F.rand()),
        "randn()": df.select(F.randn()),
        "uuid()": df.select(F.uuid()),
        "monotonically_increasing_id()": df.select(F.monotonically_increasing_id()),
        "spark_partition_id()": df.select(F.spark_partition_id()),
        "a sample without a seed": df.sample(fraction=0.5),
        "function that is not deterministic": df.select(once("id")),
        "rand() without": spark.sql("select id, rand() as r from random_rows"),
        "uuid(),": spark.sql("select 1 from random_rows where uuid() > (select uuid())"),
    }


def test_random_plans_are_never_the_same_and_the_reason_names_what_is_random(spark, lake):
    df = spark.read.parquet(str(lake))
    for name, random in random_frames(spark, df).items():
        identity = identify(random.join(df.limit(1)), {})
        assert (identity.scope, identity.key) == ("never", None), name
        assert name in identity.reason


def session_key(df):
    identity = identify(df, {})
    assert identity.scope == "session", (identity.scope, identity.reason)
    assert identity.exact
    return identity.key


def test_a_seed_makes_randomness_one_for_the_session(spark, lake):
    df = spark.read.parquet(str(lake))
    assert session_key(df.select(F.rand(3))) == session_key(df.select(F.rand(3)))
    assert session_key(df.select(F.rand(3))) != session_key(df.select(F.rand(4)))
    first, second = df.randomSplit([0.5, 0.5], seed=4)
    assert session_key(first) != session_key(second)
    assert session_key(first) == session_key(df.randomSplit([0.5, 0.5], seed=4)[0])
    assert session_key(df.sample(fraction=0.5, seed=3)) != session_key(
        df.sample(fraction=0.4, seed=3)
    )


def test_local_rows_are_those_of_one_frame(spark):
    rows = spark.createDataFrame([(1, "a"), (2, "b")], ["n", "s"])
    other = spark.createDataFrame([(1, "a"), (3, "c")], ["n", "s"])
    assert session_key(rows.where("n > 1")) == session_key(rows.where("n > 1"))
    assert session_key(rows.where("n > 1")) != session_key(rows.where("n > 0"))
    assert session_key(rows) != session_key(other)
    values = "select * from values (1), (2) as t(x)"
    assert identify(spark.sql(values), {}).scope == "session"


def test_python_functions_are_the_same_while_they_are_one_object(spark, lake):
    df = spark.read.parquet(str(lake))
    plus, also = F.udf(lambda v: v + 1, "long"), F.udf(lambda v: v + 1, "long")
    assert session_key(df.select(plus("id"))) == session_key(df.select(plus("id")))
    assert session_key(df.select(plus("id"))) != session_key(df.select(also("id")))
    assert session_key(df.select(plus("id"))) != session_key(df.select(plus("group")))
    identity = identify(df.mapInArrow(lambda batches: batches, df.schema), {})
    assert identity.scope == "session"
    assert "MapInArrow" in identity.reason


def test_clocks_and_users_hold_for_the_session(spark, lake):
    df = spark.read.parquet(str(lake))
    for call in (F.current_timestamp(), F.current_date(), F.current_user(), F.now()):
        frame = df.select(call.alias("c"))
        assert session_key(frame) == session_key(df.select(call.alias("c")))
        assert session_key(frame) != session_key(df.select(call.alias("d")))


def test_files_count_within_a_session_too(spark, own):
    plus = F.udf(lambda v: v + 1, "long")
    before = session_key(spark.read.parquet(str(own)).select(plus("id")))
    write(spark, own, 5, mode="append", files=1)
    assert session_key(spark.read.parquet(str(own)).select(plus("id"))) != before


def test_cached_rows_are_not_taken_for_those_of_the_files(spark, own):
    """Spark serves equal plans from its cache, however the files changed since."""
    cached = spark.read.parquet(str(own)).select("id")
    plain = key(cached)
    cached.cache()
    while_cached = session_key(cached)
    assert while_cached == session_key(spark.read.parquet(str(own)).select("id"))
    assert "cached" in identify(cached, {}).reason
    derived = identify(cached.where("id in (select max(id) from range(3))"), {})
    assert derived.scope == "session"
    cached.unpersist()
    assert key(cached) == plain
    cached.cache()
    assert session_key(cached) != while_cached
    cached.unpersist()


def test_views_and_tables_are_what_they_stand_for(spark, lake):
    rows = spark.read.parquet(str(lake))
    rows.where("id > 3").createOrReplaceTempView("some")
    by_view = key(spark.table("some"))
    assert by_view == key(rows.where("id > 3"))
    rows.where("id > 4").createOrReplaceTempView("some")
    assert key(spark.table("some")) != by_view
    rows.write.mode("overwrite").partitionBy("group").saveAsTable("kept")
    assert key(spark.table("kept")) == key(spark.table("kept"))
    before = key(spark.table("kept"))
    rows.limit(1).write.mode("append").partitionBy("group").saveAsTable("kept")
    assert key(spark.table("kept")) != before
    spark.sql("drop table kept")


def test_ml_pipelines_hold_for_the_session(spark, lake):
    rows = spark.read.parquet(str(lake))
    model = Pipeline(
        stages=[
            StringIndexer(inputCol="name", outputCol="code"),
            VectorAssembler(inputCols=["x", "code"], outputCol="features"),
        ]
    ).fit(rows)
    made = model.transform(rows)
    assert session_key(made) == session_key(made)
    assert session_key(made.select("features")) == session_key(made.select("features"))
    assert "user's function" in identify(made, {}).reason


def test_a_stream_is_never_the_same(spark):
    assert identify(spark.readStream.format("rate").load(), {}).scope == "never"


def test_a_thousand_files_are_listed_in_one_call(spark, tmp_path, monkeypatch):
    """Calls into the JVM are what costs: their number may not grow with the files."""
    write(spark, tmp_path / "one", files=1)
    part = next((tmp_path / "one").glob("part-*.parquet"))
    (tmp_path / "many").mkdir()
    for i in range(1000):
        os.link(part, tmp_path / "many" / f"part-{i:04}.parquet")
    one, many = (spark.read.parquet(str(tmp_path / name)) for name in ("one", "many"))
    key(one)
    client = type(spark._jvm._gateway_client)
    calls = []
    send = client.send_command

    def counted(self, command, *given, **named):
        if not command.startswith("m\n"):  # of objects that are no longer used
            calls.append(command)
        return send(self, command, *given, **named)

    monkeypatch.setattr(client, "send_command", counted)
    key(one)
    few = len(calls)
    key(many)
    assert len(calls) == 2 * few
    assert few < 20


def test_a_version_of_a_table_of_ours_is_the_same_wherever_it_is_read(spark, tmp_path):
    uri = str(tmp_path / "table")
    hr.write({"x": [1, 2, 3]}, uri)
    first = key(read(spark, uri))
    assert first == key(read(spark, uri, version=0))
    assert first != key(read(spark, uri, columns=["x"], where="x > 1"))
    hr.write({"x": [4]}, uri, mode="append")
    assert key(read(spark, uri)) != first
    assert key(read(spark, uri, version=0)) == first
    # Without a version Spark reads on what it read first.
    loose = spark.read.format("headrace").load(uri)
    assert session_key(loose.where("x > 1")) == session_key(loose.where("x > 1"))


def test_another_table_in_the_place_of_ours_is_another(spark, tmp_path):
    uri, old = tmp_path / "table", tmp_path / "old"
    hr.write({"x": [1, 2, 3]}, uri)
    first = key(read(spark, str(uri)))
    uri.rename(old)
    hr.write({"x": [1, 2, 4]}, uri)
    assert key(read(spark, str(uri), version=0)) != first


def test_what_was_made_is_found_by_the_same_plan_alone(spark, lake):
    plans = SessionPlans()
    df = spark.read.parquet(str(lake))
    rows = spark.createDataFrame([(1,)], ["n"])
    for frame in (df, rows, df.select(F.rand())):
        identity = identify(frame, {})
        assert plans.find(frame, identity) is None
        plans.add(frame, identity, frame.schema.json())
    assert plans.find(df, identify(spark.read.parquet(str(lake)), {})) == df.schema.json()
    assert plans.find(rows, identify(rows, {})) == rows.schema.json()
    assert plans.find(df, identify(df.select("id"), {})) is None
    random = df.select(F.rand())
    assert plans.find(random, identify(random, {})) is None
    made = rows.schema.json()
    plans.add(rows, identify(rows, {"a": "b"}), made)
    plans.remove(made)
    assert plans.find(rows, identify(rows, {"a": "b"})) is None


def test_a_frame_with_rows_of_its_own_is_not_kept(spark):
    plans = SessionPlans()
    rows = spark.createDataFrame([(1,)], ["n"])
    plans.add(rows, identify(rows, {}), "made")
    gone = weakref.ref(rows)
    del rows
    gc.collect()
    assert gone() is None


def test_without_a_look_into_the_jvm_plans_are_compared(spark, own, monkeypatch):
    def refused(_):
        raise Py4JError("Method is not allowed")

    monkeypatch.setattr(_plan, "_describer", refused)
    plans = SessionPlans()
    df = spark.read.parquet(str(own)).select("id")
    identity = identify(df, {})
    assert (identity.scope, identity.exact) == ("session", False)
    assert "Method is not allowed" in identity.reason
    plans.add(df, identity, "made")
    assert plans.find(df, identity) == "made"
    renamed = df.withColumnRenamed("id", "key")
    assert plans.find(renamed, identify(renamed, {})) is None
    wide = df.select(*[F.lit(i).alias(f"c{i}") for i in range(60)], F.rand())
    assert identify(wide, {}).scope == "never"
    cached = df.cache()
    assert identify(cached, {}).scope == "never"
    cached.unpersist()
    write(spark, own, 5, mode="append", files=1)
    again = spark.read.parquet(str(own)).select("id")
    assert plans.find(again, identify(again, {})) is None


def test_files_that_are_as_they_were_take_no_task(spark, own):
    """Of 1,000 files they took most of the time of a second convert."""
    inputs = InputFiles()

    def states(name):
        spark.sparkContext.setJobGroup(name, name)
        found = inputs.states(df)
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)
        tracker = spark.sparkContext.statusTracker()
        jobs = tracker.getJobIdsForGroup(name)
        stages = [stage for job in jobs for stage in tracker.getJobInfo(job).stageIds]
        return found, sum(tracker.getStageInfo(stage).numTasks for stage in stages)

    df = spark.read.parquet(str(own))
    first, tasks = states("first")
    assert tasks > 0
    assert states("again") == (first, 0)
    part = sorted(own.glob("part-*.parquet"))[0]
    os.utime(part, ns=(10**18, 10**18))
    other, tasks = states("touched")
    assert tasks == 1
    changed = [path for path in first if first[path] != other[path]]
    assert changed == [part.as_uri()]
    assert other[part.as_uri()].startswith(f"{10**15}\t{part.stat().st_size}\t")
    assert states("known") == (other, 0)
    part.unlink()
    assert states("gone") == (other | {part.as_uri(): None}, 0)


def test_a_file_that_spark_does_not_list_is_never_known(spark, own, monkeypatch):
    """It has no time by which an overwritten one would be told."""
    monkeypatch.setattr(
        _plan, "_describer", lambda _: (_ for _ in ()).throw(Py4JError("no"))
    )
    df = spark.read.parquet(str(own))
    part = sorted(own.glob("part-*.parquet"))[0]
    part.unlink()
    identity = identify(df, {})
    assert (identity.scope, identity.key) == ("never", None)
    assert part.name in identity.reason


def test_spark_connect_compares_plans_within_the_session(spark, own, python):
    """It shows no plan: what is the same is asked of Spark, and of files their times."""
    found = json.loads(python(Path(connect_plans.__file__).read_text(), str(own)))
    fresh, never = ["session", False, None], ["never", True, None]
    assert found == {
        "files": fresh,
        "same files": ["session", False, "files"],
        "renamed": fresh,
        "cast": fresh,
        "function": fresh,
        "same function": ["session", False, "function"],
        "random function": never,
        "registered function": never,
        "rand": never,
        "rand among many": never,
        "uuid in a view": never,
        "rand in a long plan": never,
        "cached": never,
        "appended files": fresh,
        "same appended files": ["session", False, "appended files"],
        "session.timeZone": fresh,
        "ansi.enabled": fresh,
        "same settings": ["session", False, "appended files"],
        "before": ["session", False, "appended files"],
        "older": fresh,
        "same older": ["session", False, "older"],
        "as before": ["session", False, "appended files"],
        "of other size": fresh,
        "times exchanged": fresh,
        "without a file": fresh,
        "put back": ["session", False, "times exchanged"],
        "days": fresh,
        "same days": ["session", False, "days"],
        "a day touched": fresh,
        "local rows": fresh,
        "same local rows": ["session", False, "local rows"],
        "local rows are kept": False,
    }
