"""Tables of a Spark cluster: run with its master, a folder, and what is to happen.

Each in a process of its own, since a process has one Spark. What is wrong raises.
"""

import os
import signal
import sys
import time
from pathlib import Path

import headrace as hr
import sessions
from listing import claim, files_below, parent
from pyspark.sql import functions as F

ROWS = 4000
# Many batches and row groups, so that what is stopped halfway has written a part.
OPTIONS = {
    "spark.executor.cores": "1",
    "spark.executor.memory": "512m",
    "spark.cores.max": "2",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "50",
}
SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.quantile": "0.5",
    "spark.speculation.multiplier": "1.1",
}
ROW_GROUP_BYTES = 1 << 16


def payload(spark):
    """Two tasks' rows, 1 KiB each, which do not compress."""
    part = F.sha2(F.col("id").cast("string"), 512)
    return spark.range(0, ROWS, 1, 2).select(
        "id", F.concat(*[F.sha2(F.concat(part, F.lit(str(n))), 512) for n in range(8)])
        .alias("text")
    )  # fmt: skip


def ids(dataset):
    return dataset.select("id").to_arrow()["id"].to_pylist()


def tables_go_both_ways(spark, folder):
    frame = payload(spark)
    assert hr.spark.write(frame, str(folder / "t")).files == 2
    back = hr.spark.read(spark, str(folder / "t"))
    assert back.collect() == frame.collect()
    with hr.spark.convert(frame, cache_dir=folder / "cache") as converter:
        assert ids(converter.dataset()) == list(range(ROWS))
        with hr.spark.convert(frame, cache_dir=folder / "cache") as again:
            assert again.uri == converter.uri
    assert files_below(folder / "cache") == []


def files_of_tasks(folder):
    return [name for name in files_below(folder) if name.endswith(".parquet")]


def an_executor_is_killed(spark, folder, write):
    """In the middle of a task's file; it is killed by the task itself, and runs again."""
    first, table = folder / "killed", folder
    known = len(files_of_tasks(table))

    def rows(batches):
        for count, batch in enumerate(batches):
            if count == 30 and batch.column(0)[0].as_py() >= ROWS // 2 and claim(first):
                while (
                    len(files_of_tasks(table)) < known + 2
                ):  # that of the other task, too
                    time.sleep(0.01)
                executor = parent(os.getppid())  # of the daemon that forks such as this
                command = Path(f"/proc/{executor}/cmdline").read_text()
                assert "CoarseGrainedExecutorBackend" in command
                os.kill(executor, signal.SIGKILL)
                time.sleep(3600)
            yield batch

    frame = payload(spark).mapInArrow(rows, "id long, text string")
    write(frame)
    assert first.exists()
    first.unlink()


def executors_are_killed(spark, folder):
    def written(frame):
        uri = str(folder / "k")
        summary = hr.spark.write(frame, uri, row_group_bytes=ROW_GROUP_BYTES)
        assert (summary.rows, summary.files) == (ROWS, 2)
        assert ids(hr.open(uri)) == list(range(ROWS))

    def converted(frame):
        cache = folder / "cache"
        with hr.spark.convert(
            frame, cache_dir=cache, row_group_bytes=ROW_GROUP_BYTES
        ) as converter:
            assert ids(converter.dataset()) == list(range(ROWS))
        assert files_below(cache) == []

    an_executor_is_killed(spark, folder, written)
    an_executor_is_killed(spark, folder, converted)


def a_straggler_is_overtaken(spark, folder):
    """Two attempts at one task write all its rows; those of one are in the table."""
    first, second = folder / "straggles", folder / "overtakes"

    def rows(batches):
        straggles = False
        for count, batch in enumerate(batches):
            if count == 0 and batch.column(0)[0].as_py() >= ROWS // 2:
                straggles = claim(first)
                overtakes = not straggles
            elif count == 0:
                overtakes = False
            yield batch
        if overtakes:
            claim(second)
        while straggles and not second.exists():
            time.sleep(0.01)

    frame = payload(spark).mapInArrow(rows, "id long, text string")
    summary = hr.spark.write(frame, str(folder / "s"), row_group_bytes=ROW_GROUP_BYTES)
    assert second.exists()
    assert (summary.rows, summary.files) == (ROWS, 2)
    assert ids(hr.open(folder / "s")) == list(range(ROWS))


def main() -> None:
    master, folder, what = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    options = {**OPTIONS, **(SPECULATION if what == "speculation" else {})}
    builder = sessions.builder(master).config(map=options)
    spark = builder.config("spark.sql.warehouse.dir", folder / "warehouse").getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    if what == "speculation":
        a_straggler_is_overtaken(spark, folder)
    else:
        tables_go_both_ways(spark, folder)
        executors_are_killed(spark, folder)
    spark.stop()


if __name__ == "__main__":
    main()
