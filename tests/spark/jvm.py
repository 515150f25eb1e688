"""How the JVMs of tests start quickly: run, it makes the archive of classes that they share.

Half of the time of a Spark that lives for a minute goes into reading and checking its
classes. The archive (class data sharing, JEP 310 and 350) holds those of a session, classic
and Connect, as they are in memory. It fits one Java and one installation of PySpark, by
which it is named; a JVM that does not find it, or whose class path is another, reads its
classes as ever.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

#: Of a JVM that lives for a minute, and would compile for half of it.
QUICK = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]


def archive() -> Path | None:
    """Where the archive is, or would be; None without Java or PySpark."""
    java = shutil.which("java")
    pyspark = importlib.util.find_spec("pyspark")
    if java is None or pyspark is None or pyspark.origin is None:
        return None
    jars = Path(pyspark.origin).parent / "jars"
    release = Path(java).resolve().parents[1] / "release"
    told = [release.read_text(), str(jars), str(jars.stat().st_mtime_ns)]
    key = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
    return Path(__file__).parents[2] / f"build/spark-{key}.jsa"


def driver_options() -> str:
    """What SPARK_SUBMIT_OPTS says to the JVM of each Spark that a test starts."""
    found = archive()
    shared = [] if found is None else ["-Xlog:cds=off", f"-XX:SharedArchiveFile={found}"]
    return " ".join([*QUICK, *shared])


def use_session() -> None:
    """Do a little of what tests do, so that its classes are loaded."""
    import sessions
    from pyspark.ml.feature import VectorAssembler
    from pyspark.sql import functions as F

    builder = sessions.builder().config(
        map={
            "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": "0",
        }
    )
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    with tempfile.TemporaryDirectory() as folder:
        rows = spark.range(10).select("id", (F.col("id") / 2).alias("x"))
        rows.write.partitionBy("id").parquet(f"{folder}/rows")
        back = spark.read.parquet(f"{folder}/rows").where("x > 3").orderBy("x")
        vectors = VectorAssembler(inputCols=["x"], outputCol="v").transform(back)
        vectors.mapInArrow(lambda batches: batches, vectors.schema).collect()
        back.groupBy("id").count().toPandas()
    spark.stop()


def make(place: Path) -> None:
    """Make the archive, as a JVM does at its end."""
    place.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        new = Path(folder) / place.name
        options = [*QUICK, "-Xlog:cds=off", f"-XX:ArchiveClassesAtExit={new}"]
        done = subprocess.run(
            [Path(sys.prefix) / "bin/spark-submit", __file__, "use"],
            cwd=folder,
            env={
                **os.environ,
                "SPARK_SUBMIT_OPTS": " ".join(options),
                "PYSPARK_PYTHON": sys.executable,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            sys.exit(
                f"{done.stdout}{done.stderr}jvm: the classes of Spark could not be archived"
            )
        new.rename(place)


if __name__ == "__main__":
    if sys.argv[1:] == ["use"]:
        use_session()
    else:
        wanted = archive()
        if wanted is not None and not wanted.exists():
            print(f"jvm: archiving the classes of Spark in {wanted}")
            make(wanted)
