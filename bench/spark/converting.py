"""Seconds from a Spark DataFrame to tables and batches, in `local[2]`.

Two tables of Parquet are read by Spark: 2 M rows of an int64 and 19 float32, and 4,000 images
of some 30 kB with a label. Each way is a process of its own, which works once unmeasured and
then `--rounds` times; ways run in turn. "parquet" is `df.write.parquet`; "headrace" is
`hr.spark.convert`, "again" the same once more, "epoch" all batches of an epoch after it. With
`--petastorm`, its converter to the last batch of its first epoch of the scalars, on the newest
stack that it works on, in an environment of its own. Shown are medians, and ratios of medians.

`--again` measures `hr.spark.convert` of plans that were converted before alone, over `--files`
files of Parquet in a folder ("flat") and in as many partitions ("partitioned"), by classic
Spark and by Spark Connect: of the same DataFrame, and of one made anew, whose making, which
lists the files once, counts. Shown are the median and the best of `--rounds` after five more.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BATCH_SIZE = 1024


OPTIONS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "3g",
}


def session() -> Any:
    from pyspark.sql import SparkSession

    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["PYSPARK_PYTHON"] = sys.executable
    built = SparkSession.builder.master("local[2]").config(map=OPTIONS).getOrCreate()
    built.sparkContext.setLogLevel("OFF")
    return built


def connect_session() -> Any:
    """Of a server of Connect's that the session starts, on a free port."""
    from pyspark.sql import SparkSession

    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_TESTING"] = "ports"  # whatever its value
    options = OPTIONS | {"spark.connect.grpc.binding.address": "127.0.0.1"}
    return SparkSession.builder.remote("local[2]").config(map=options).getOrCreate()


def make_tables(folder: Path, rows: int, images: int) -> None:
    """Write what is converted."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    for part in range(4):
        columns = {"id": np.arange(rows // 4) + part * (rows // 4)}
        columns |= {f"f{i}": rng.random(rows // 4, "float32") for i in range(19)}
        (folder / "scalars").mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), folder / f"scalars/{part}.parquet")
        cells = [rng.bytes(int(size)) for size in rng.integers(2e4, 4e4, images // 4)]
        labels = rng.integers(0, 10, images // 4)
        (folder / "images").mkdir(exist_ok=True)
        pq.write_table(
            pa.table({"content": cells, "label": labels}),
            folder / f"images/{part}.parquet",
        )


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def by_parquet(folder: Path, table: str) -> dict[str, float]:
    spark = session()
    df = spark.read.parquet(str(folder / table))
    target = folder / "by_parquet"

    def write() -> None:
        df.write.mode("overwrite").parquet(str(target))

    return {"write": seconds(write)}


def by_headrace(folder: Path, table: str) -> dict[str, float]:
    import headrace as hr

    spark = session()
    df = spark.read.parquet(str(folder / table))
    made: list[Any] = []

    def convert() -> None:
        made.append(
            hr.spark.convert(df, cache_dir=folder / "cache", compression="snappy")
        )

    def epoch() -> None:
        with made[0].loader(batch_size=BATCH_SIZE, seed=1) as loader:
            for _ in loader:
                pass

    found = {
        "convert": seconds(convert),
        "again": seconds(convert),
        "epoch": seconds(epoch),
    }
    for one in made:
        one.delete()
    return found


def by_petastorm(folder: Path, table: str) -> dict[str, float]:
    from petastorm.spark import SparkDatasetConverter, make_spark_converter

    spark = session()
    spark.conf.set(
        SparkDatasetConverter.PARENT_CACHE_DIR_URL_CONF, (folder / "petastorm").as_uri()
    )
    df = spark.read.parquet(str(folder / table))
    made: list[Any] = []

    def convert() -> None:
        made.append(make_spark_converter(df))

    def epoch() -> None:
        with made[0].make_torch_dataloader(
            batch_size=BATCH_SIZE, num_epochs=1, workers_count=2
        ) as loader:
            for _ in loader:
                pass

    found = {"convert": seconds(convert), "epoch": seconds(epoch)}
    made[0].delete()
    return found


def make_files(folder: Path, files: int) -> None:
    """Write what is converted again and again."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "flat").mkdir()
    for i in range(files):
        flat = folder / f"flat/part-{i:05}.parquet"
        pq.write_table(pa.table({"id": [i], "x": [i / 2]}), flat)
        (folder / f"partitioned/day={i}").mkdir(parents=True)
        os.link(flat, folder / f"partitioned/day={i}/part.parquet")


def convert_again(options: argparse.Namespace) -> None:
    """Print seconds of later converts of one plan."""
    import headrace as hr

    spark = session() if options.again == "classic" else connect_session()
    made: list[Any] = []

    def rows() -> Any:
        return spark.read.parquet(str(options.folder / options.table))

    def convert(df: Any) -> None:
        made.append(
            hr.spark.convert(df, cache_dir=options.folder / "cache", partitions=1)
        )

    df = rows()
    convert(df)
    ways = {"same": lambda: convert(df), "anew": lambda: convert(rows())}
    for name, call in ways.items():
        times = [seconds(call) for _ in range(options.rounds + 5)][5:]
        print(
            f"{options.table}, {options.again}, {name}: median "
            f"{statistics.median(times):.3f} s, best {min(times):.3f} s",
            flush=True,
        )
    assert len({one.uri for one in made}) == 1
    for one in made:
        one.delete()
    spark.stop()


def measure_again(folder: Path, files: int, rounds: int) -> None:
    make_files(folder, files)
    for table in ("flat", "partitioned"):
        for kind in ("classic", "connect"):
            command = [sys.executable, __file__, "--again", kind, "--folder", folder]
            command += ["--table", table, "--rounds", rounds]
            subprocess.run(
                [str(part) for part in command], stderr=subprocess.DEVNULL, check=True
            )


WAYS = {"parquet": by_parquet, "headrace": by_headrace, "petastorm": by_petastorm}


def petastorm_python(root: Path) -> Path:
    """The Python of Petastorm's environment, made by its pins unless it is there."""
    python = root / "bin" / "python"
    if not (root / "done").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(root)], check=True)
        pins = HERE / "requirements/petastorm.txt"
        # All of it is pinned; what the packages ask for contradicts itself.
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--no-deps", "-r", pins], check=True
        )
        (root / "done").touch()
    return python


def measure(python: Path, way: str, folder: Path, table: str, rounds: int) -> Any:
    """Medians of a way, in a process of its own."""
    command = [python, __file__, "--way", way, "--folder", folder, "--table", table]
    done = subprocess.run(
        [str(part) for part in [*command, "--rounds", rounds]],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def run_way(options: argparse.Namespace) -> None:
    results = [
        WAYS[options.way](options.folder, options.table)
        for _ in range(options.rounds + 1)
    ][1:]
    print(
        json.dumps(
            {name: statistics.median(one[name] for one in results) for name in results[0]}
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--images", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--petastorm", action="store_true", help="installs it")
    parser.add_argument("--again", nargs="?", const="all", help="this alone")
    parser.add_argument("--files", type=int, default=1_000)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--table", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        run_way(options)
        return
    if options.again and options.folder:
        convert_again(options)
        return
    folder = Path(tempfile.mkdtemp(prefix="headrace-bench-"))
    try:
        if options.again:
            measure_again(folder, options.files, options.rounds)
            return
        make_tables(folder, options.rows, options.images)
        for table in ("scalars", "images"):
            parquet, ours = (
                measure(Path(sys.executable), way, folder, table, options.rounds)
                for way in ("parquet", "headrace")
            )
            ratio = parquet["write"] / ours["convert"]
            print(
                f"{table}: df.write.parquet {parquet['write']:.2f} s, convert "
                f"{ours['convert']:.2f} s (ratio {ratio:.2f}), again {ours['again']:.3f} s, "
                f"an epoch {ours['epoch']:.2f} s",
                flush=True,
            )
            if table == "scalars" and options.petastorm:
                python = petastorm_python(Path("build/bench/peers/venvs/spark-petastorm"))
                theirs = measure(python, "petastorm", folder, table, options.rounds)
                both = [
                    sum(one[k] for k in ("convert", "epoch")) for one in (theirs, ours)
                ]
                print(
                    f"{table}: Petastorm converts in {theirs['convert']:.2f} s and reads an "
                    f"epoch in {theirs['epoch']:.2f} s: {both[0] / both[1]:.1f} times ours"
                )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
