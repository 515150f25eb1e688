"""hr.write: what is written is what is read, here and by pyarrow."""

import decimal
import subprocess
import sys
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def write(data: Any, where: Path, **options: Any) -> hr.WriteSummary:
    return hr.write(data, where / "table", format="parquet", **options)


def read(where: Path) -> pa.Table:
    return hr.open(where / "table").to_arrow()


def numbers(rows: int = 1000) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "key": pa.array([i % 7 for i in range(rows)], pa.int32()),
            "text": pa.array([None if i % 5 == 0 else f"text {i}" for i in range(rows)]),
        }
    )


def test_writes_what_is_read(tmp_path: Path) -> None:
    table = numbers()
    summary = write(table, tmp_path)
    assert read(tmp_path).equals(table)
    assert pq.read_table(tmp_path / "table").equals(table)
    assert (summary.rows, summary.files, summary.row_groups) == (1000, 1, 1)
    sizes = [file.stat().st_size for file in (tmp_path / "table").iterdir()]
    assert summary.bytes == sum(sizes)
    assert summary.version is None


def test_takes_streams_frames_and_dicts(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    duckdb = pytest.importorskip("duckdb")
    table = numbers()
    write(table, tmp_path / "source")
    columns = {name: table[name].to_pylist() for name in table.column_names}
    relation = duckdb.from_arrow(table)
    for i, data in enumerate(
        [
            table.to_reader(max_chunksize=100),
            table.to_batches()[0],
            iter(table.to_batches(max_chunksize=300)),
            polars.from_arrow(table),
            relation,
            table.to_pandas(),
            hr.open(tmp_path / "source" / "table"),
            {**columns, "key": np.array(columns["key"], np.int32)},
            (
                {
                    "id": [j],
                    "key": np.array([j % 7], np.int32),
                    "text": [columns["text"][j]],
                }
                for j in range(1, 1000)
            ),
        ]
    ):
        write(data, tmp_path / str(i))
        found = read(tmp_path / str(i))
        assert found.num_rows == (999 if i == 8 else 1000), i
        assert found.cast(table.schema).equals(table.slice(1000 - found.num_rows)), i


@pytest.mark.parametrize("compression", ["zstd", "snappy", "lz4", "gzip", "none"])
def test_compresses_as_told(tmp_path: Path, compression: str) -> None:
    write(numbers(), tmp_path, compression=compression)
    (file,) = (tmp_path / "table").iterdir()
    found = pq.read_metadata(file).row_group(0).column(0).compression
    assert found == {"none": "UNCOMPRESSED"}.get(compression, compression.upper())
    assert read(tmp_path).equals(numbers())


def test_row_groups_and_files_have_the_size_asked_for(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    rows = 300_000
    table = pa.table(
        {
            "noise": random.normal(size=rows),
            "few": random.integers(0, 9, rows),
            "text": pa.array([f"{i} and more" for i in random.integers(0, 500, rows)]),
        }
    )
    summary = write(table, tmp_path, row_group_bytes=2**18, file_bytes=2**20)
    files = sorted((tmp_path / "table").iterdir())
    assert summary.files == len(files) > 2
    groups = [
        sum(group.column(c).total_compressed_size for c in range(3))
        for file in files
        for metadata in [pq.read_metadata(file)]
        for group in map(metadata.row_group, range(metadata.num_row_groups))
    ]
    assert len(groups) == summary.row_groups
    assert all(abs(size / 2**18 - 1) < 0.1 for size in groups[:-1]), groups
    assert all(abs(file.stat().st_size / 2**20 - 1) < 0.2 for file in files[:-1])
    assert read(tmp_path).equals(table)


def test_large_cells_fill_row_groups_and_pages_as_small_ones_do(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    cells = [random.bytes(50_000) for _ in range(200)]
    write(pa.table({"cell": cells}), tmp_path, row_group_bytes=2**20)
    (file,) = (tmp_path / "table").iterdir()
    metadata = pq.read_metadata(file)
    sizes = [
        metadata.row_group(g).column(0).total_compressed_size
        for g in range(metadata.num_row_groups)
    ]
    assert all(abs(size / 2**20 - 1) < 0.1 for size in sizes[:-1]), sizes
    assert read(tmp_path)["cell"].to_pylist() == cells


def test_partitions_as_hive_does(tmp_path: Path) -> None:
    table = numbers(100).append_column(
        "what", pa.array(["a/b" if i % 2 else None for i in range(100)])
    )
    summary = write(table, tmp_path, partition_by=["what", "key"])
    assert summary.to_dict()["partitions"] == 14
    assert (tmp_path / "table" / "what=a%2Fb" / "key=3").is_dir()
    assert (tmp_path / "table" / "what=__HIVE_DEFAULT_PARTITION__" / "key=0").is_dir()
    found = read(tmp_path)
    assert found.column_names == ["id", "text", "what", "key"]
    assert found.sort_by("id").select(table.column_names).equals(table)


def test_sorts_stably_with_nulls_last(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    keys = [None if k == 5 else int(k) for k in random.integers(0, 10, 50_000)]
    table = pa.table({"key": pa.array(keys, pa.int16()), "id": range(50_000)})
    write(
        table,
        tmp_path,
        sort_by=["key"],
        row_group_bytes=2**16,
        memory_budget=4 * 2**20,
    )
    expected = sorted(range(50_000), key=lambda i: 99 if keys[i] is None else keys[i])
    assert read(tmp_path)["id"].to_pylist() == expected


def test_modes(tmp_path: Path) -> None:
    def days(*given: int) -> pa.Table:
        return pa.table({"x": list(given), "day": [day // 10 for day in given]})

    def values() -> list[int]:
        return sorted(read(tmp_path)["x"].to_pylist())

    write(days(1, 2, 11), tmp_path, partition_by=["day"])
    with pytest.raises(hr.errors.Conflict, match="append"):
        write(days(3), tmp_path, partition_by=["day"])
    assert values() == [1, 2, 11]
    write(days(3), tmp_path, partition_by=["day"], mode="append")
    assert values() == [1, 2, 3, 11]
    summary = write(
        days(4, 21), tmp_path, partition_by=["day"], mode="overwrite_partitions"
    )
    assert values() == [4, 11, 21]
    assert summary.to_dict()["files_replaced"] == 2
    write(days(5), tmp_path, partition_by=["day"], mode="overwrite")
    assert values() == [5]
    with pytest.raises(hr.errors.InvalidArgument, match="partition_by"):
        write(days(5), tmp_path, mode="overwrite_partitions")


def test_a_delta_table_is_not_written_to_without_its_log(tmp_path: Path) -> None:
    log = tmp_path / "table" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("{}")
    for mode in ("error", "append", "overwrite"):
        with pytest.raises(hr.errors.Conflict, match="Delta table"):
            write(numbers(), tmp_path, mode=mode)


def test_tensors_and_images_come_back(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    images = [
        random.integers(0, 256, (4 + i % 3, 5, 3), dtype=np.uint8) for i in range(20)
    ]
    embeddings = random.normal(size=(20, 8)).astype(np.float32)
    schema = hr.Schema([hr.Field("image", "uint8", (None, None, 3), codec="png")])
    data = {"image": images, "embedding": embeddings, "label": list(range(20))}
    for i, given in enumerate([data, [data]]):
        write(given, tmp_path / str(i), schema=schema)
        dataset = hr.open(tmp_path / str(i) / "table")
        with dataset.select("embedding", "label").loader(
            batch_size=20, shuffle=False
        ) as loader:
            (batch,) = loader
        assert np.array_equal(batch["embedding"], embeddings)
        decoded = dataset.select("image").to_arrow(decode=True)["image"]
        for image, cell in zip(images, decoded, strict=True):
            assert np.array_equal(np.reshape(cell.as_py()["data"], image.shape), image)


def test_lists_and_arrow_tensors_are_encoded(tmp_path: Path) -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(vectors)
    lists = pa.array(vectors.tolist(), pa.list_(pa.float32()))
    fields = [hr.Field(name, "float32", (4,), codec="zstd") for name in ("a", "b")]
    write(pa.table({"a": tensor, "b": lists}), tmp_path, schema=hr.Schema(fields))
    with hr.open(tmp_path / "table").loader(batch_size=3, shuffle=False) as loader:
        (batch,) = loader
    assert np.array_equal(batch["a"], vectors)
    assert np.array_equal(batch["b"], vectors)


def test_what_an_iterable_raises_is_raised_and_nothing_is_left(tmp_path: Path) -> None:
    class OurError(Exception):
        pass

    def batches() -> Any:
        for _ in range(50):
            yield numbers(10_000).to_batches()[0]
        raise OurError("no more")

    with pytest.raises(OurError, match="no more"):
        write(batches(), tmp_path, row_group_bytes=2**16, file_bytes=2**17)
    assert list((tmp_path / "table").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"mode": "replace"}, hr.errors.InvalidArgument, "mode"),
        ({"compression": "brotli"}, hr.errors.InvalidArgument, "brotli"),
        ({"compression_level": 23}, hr.errors.InvalidArgument, "1 to 22"),
        ({"sort_by": ["y"]}, hr.errors.NotFound, '"y"'),
        ({"partition_by": ["y"]}, hr.errors.NotFound, '"y"'),
        ({"bloom_filters": ["y"]}, hr.errors.NotFound, '"y"'),
        ({"partition_by": "x"}, hr.errors.InvalidArgument, "partition_by"),
        ({"partition_by": ["x"]}, hr.errors.InvalidArgument, "every column"),
        ({"memory_budget": 2**20}, hr.errors.ResourceExhausted, "1048576"),
        ({"num_threads": 0}, hr.errors.InvalidArgument, "num_threads"),
        ({"row_group_bytes": 1}, hr.errors.InvalidArgument, "row_group_bytes"),
        (
            {"schema": hr.Schema([hr.Field("y", "int8")])},
            hr.errors.NotFound,
            '"y"',
        ),
    ],
)
def test_refuses_by_name(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        write(pa.table({"x": [1, 2]}), tmp_path, **options)
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize("data", [7, "text", [1, 2], {"x": 1}, []])
def test_refuses_what_has_no_rows(tmp_path: Path, data: Any) -> None:
    with pytest.raises(hr.errors.InvalidArgument):
        write(data, tmp_path)


def test_an_empty_table_is_written_too(tmp_path: Path) -> None:
    write(numbers(0), tmp_path)
    assert read(tmp_path).schema.equals(numbers(0).schema)
    assert read(tmp_path).num_rows == 0


INTERRUPTED = """
import os, signal, sys, threading
import pyarrow as pa
import headrace as hr

# Who runs tests in the background may have them ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

def batches():
    for i in range(10**9):
        if i == 20:
            os.kill(os.getpid(), signal.SIGINT)
        yield pa.record_batch({"x": range(10_000)})

try:
    hr.write(batches(), sys.argv[1], format="parquet", row_group_bytes=2**16, file_bytes=2**17)
except KeyboardInterrupt:
    print("interrupted", os.listdir(sys.argv[1]))
"""


def test_ctrl_c_ends_a_write_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path / "table")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "interrupted []\n", done.stderr


def test_numbers_stored_wider_come_back_as_their_field_says(tmp_path: Path) -> None:
    top = 2**64 - 1
    field = hr.Schema([hr.Field("x", "uint64")]).to_arrow().field(0)
    stored = pa.schema([field.with_type(pa.decimal128(20, 0))])
    column = pa.array([decimal.Decimal(top), decimal.Decimal(2**53 + 1)], stored[0].type)
    pq.write_table(pa.table([column], schema=stored), tmp_path / "a.parquet")
    dataset = hr.open(tmp_path / "a.parquet")
    assert dataset.to_arrow()["x"].to_pylist() == [top, 2**53 + 1]
    with dataset.loader(batch_size=2, shuffle=False) as loader:
        (batch,) = loader
    assert batch["x"].dtype == np.uint64
    assert batch["x"].tolist() == [top, 2**53 + 1]
