"""The error contract: kinds, Python's own classes, and messages that say what, where, why.

Messages are tested for the facts that they must hold, not for their wording.
"""

import importlib.util
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest


def load(name: str) -> ModuleType:
    path = Path(__file__).parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fake_s3 = load("fake_s3")

ROWS = 400
ROW_GROUP = 100
SECRET = "HUSHxHUSH"
SECRETS = {
    "access_key": f"id-{SECRET}",
    "secret_key": f"key-{SECRET}",
    "session_token": f"token-{SECRET}",
}
PLACE = pa.struct({"lat": pa.float64(), "lon": pa.float64()})


def table(rows: int = ROWS, first: int = 0) -> pa.Table:
    ids = np.arange(rows, dtype=np.int64) + first
    return pa.table(
        {
            "id": ids,
            "delay": pa.array([None if i == 157 else i / 2 for i in ids], pa.float64()),
            "carrier": pa.array([f"v{i % 5}" for i in ids], pa.string()),
            "items": pa.array([[1, 2], [3]] * (rows // 2), pa.list_(pa.int64())),
            "place": pa.array([{"lat": 1.0, "lon": 2.0}] * rows, PLACE),
            "price": pa.array([Decimal("1.25")] * rows, pa.decimal128(9, 2)),
        }
    )


def write(path: Path, content: pa.Table, **options: Any) -> Path:
    options = {"row_group_size": ROW_GROUP, "use_dictionary": False, **options}
    pq.write_table(content, path, **options)
    return path


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_CACHE_DIR", "")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "flights.parquet", table())


@pytest.fixture
def flights(path: Path) -> hr.Dataset:
    return hr.open(path)


def batches(dataset: hr.Dataset, **options: Any) -> list[dict[str, Any]]:
    with dataset.loader(**{"shuffle": False, "batch_size": 64, **options}) as loader:
        return list(loader)


def load_id(dataset: hr.Dataset) -> object:
    return batches(dataset.select("id"))


def read_id(dataset: hr.Dataset) -> object:
    return dataset.select("id").to_arrow()


def count_odd(dataset: hr.Dataset) -> object:
    return dataset.where("id % 2 = 1").count_rows()


readers = pytest.mark.parametrize("read", [load_id, read_id, count_odd])


def message(
    kind: type[hr.HeadraceError], call: Callable[[], object], *facts: object
) -> str:
    """Return what a call raises, after checking the kind and that every fact is told."""
    with pytest.raises(hr.HeadraceError) as caught:
        call()
    text = str(caught.value)
    assert type(caught.value) is kind, f"{type(caught.value).__name__}: {text}"
    assert caught.value.kind == kind.__name__
    for fact in facts:
        assert str(fact) in text
    return text


# Kinds and classes


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("InvalidArgument", ValueError),
        ("NotFound", FileNotFoundError),
        ("SchemaMismatch", ValueError),
        ("Corrupt", OSError),
        ("Unavailable", ConnectionError),
        ("Denied", PermissionError),
        ("Conflict", RuntimeError),
        ("Unsupported", NotImplementedError),
        ("Cancelled", RuntimeError),
        ("ResourceExhausted", MemoryError),
        ("PeerFailed", TimeoutError),
        ("Internal", RuntimeError),
    ],
)
def test_a_kind_is_a_class_that_doubles_as_pythons_own(
    kind: str, own: type[Exception]
) -> None:
    error_class = getattr(hr.errors, kind)
    assert issubclass(error_class, hr.HeadraceError)
    assert issubclass(error_class, own)
    error = error_class("what, where and what to do")
    assert error.kind == error_class.kind == kind
    assert str(error) == "what, where and what to do"
    assert kind in repr(error)


def test_there_are_twelve_kinds() -> None:
    kinds = {one.kind for one in hr.HeadraceError.__subclasses__()}
    assert len(kinds) == 12
    assert {*kinds, "HeadraceError"} == set(hr.errors.__all__)


def test_errors_are_caught_as_pythons_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        hr.open(tmp_path / "nothing")
    with pytest.raises(ValueError, match="uri"):
        hr.open(3)


# Paths and files


@pytest.mark.parametrize("name", ["nothing", "no/such/place.parquet", "*.parquet"])
def test_a_path_that_is_not_there_is_told_in_full(tmp_path: Path, name: str) -> None:
    message(hr.errors.NotFound, lambda: hr.open(tmp_path / name), tmp_path / name)


def test_a_relative_path_is_told_as_it_was_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    message(hr.errors.NotFound, lambda: hr.open("lake/x"), tmp_path / "lake" / "x")


def test_one_missing_path_of_a_list_is_told(path: Path) -> None:
    missing = path.with_name("second.parquet")
    message(hr.errors.NotFound, lambda: hr.open([path, missing]), missing)


def test_a_directory_without_data_files_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".part.parquet.crc").write_bytes(b"crc")
    message(hr.errors.NotFound, lambda: hr.open(tmp_path), tmp_path, "director")


def damaged_footer(content: bytes) -> bytes:
    length = int.from_bytes(content[-8:-4], "little")
    flipped = bytes(byte ^ 0xFF for byte in content[-8 - length : -8])
    return content[: -8 - length] + flipped + content[-8:]


def too_long_footer(content: bytes) -> bytes:
    return content[:-8] + (2**31 - 1).to_bytes(4, "little") + content[-4:]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda content: b"", "empty"),
        (lambda content: content[:5], "5 bytes"),
        (lambda content: content[:-100], "PAR1"),
        (lambda content: b"id,delay\n" + b"1,2.5\n" * 100, "PAR1"),
        (damaged_footer, "footer"),
        (too_long_footer, str(2**31 - 1)),
    ],
    ids=["empty", "tiny", "truncated", "csv", "footer", "footer length"],
)
def test_a_file_that_cannot_be_opened_is_corrupt_and_named(
    path: Path, spoil: Callable[[bytes], bytes], told: str
) -> None:
    write(path.with_name("a_sound_one.parquet"), table())
    path.write_bytes(spoil(path.read_bytes()))
    text = message(hr.errors.Corrupt, lambda: hr.open(path.parent), path, told)
    assert "\n" not in text
    assert "a_sound_one" not in text


@readers
@pytest.mark.parametrize("checksum", [True, False], ids=["checksum", "no checksum"])
def test_a_damaged_page_is_corrupt_with_file_row_group_and_column(
    path: Path, checksum: bool, read: Callable[[hr.Dataset], object]
) -> None:
    content = bytearray(write(path, table(), write_page_checksum=checksum).read_bytes())
    chunk = pq.read_metadata(path).row_group(2).column(0)
    middle = chunk.data_page_offset + chunk.total_compressed_size // 2
    # Flipped bytes that snappy does not take, so that also no checksum is needed.
    content[middle : middle + 200] = bytes(
        byte ^ 0xFF for byte in content[middle : middle + 200]
    )
    path.write_bytes(content)
    facts = (path, "row group 2", '"id"')
    message(hr.errors.Corrupt, lambda: read(hr.open(path)), *facts)


@readers
def test_a_flipped_bit_of_an_uncompressed_page_is_found_by_its_checksum(
    path: Path, read: Callable[[hr.Dataset], object]
) -> None:
    write(path, table(), write_page_checksum=True, compression="none")
    content = bytearray(path.read_bytes())
    chunk = pq.read_metadata(path).row_group(1).column(0)
    content[chunk.data_page_offset + chunk.total_compressed_size - 4] ^= 1
    path.write_bytes(content)
    facts = (path, "row group 1", '"id"', "CRC")
    message(hr.errors.Corrupt, lambda: read(hr.open(path)), *facts)


@readers
def test_a_damaged_page_header_is_corrupt(
    path: Path, read: Callable[[hr.Dataset], object]
) -> None:
    content = bytearray(path.read_bytes())
    at = pq.read_metadata(path).row_group(3).column(0).data_page_offset
    content[at : at + 8] = bytes(byte ^ 0xFF for byte in content[at : at + 8])
    path.write_bytes(content)
    facts = (path, "row group 3", '"id"')
    text = message(hr.errors.Corrupt, lambda: read(hr.open(path)), *facts)
    assert "\n" not in text


def test_damage_in_columns_that_are_not_read_is_no_error(path: Path) -> None:
    content = bytearray(path.read_bytes())
    chunk = pq.read_metadata(path).row_group(2).column(0)
    content[chunk.data_page_offset : chunk.data_page_offset + 50] = bytes(50)
    path.write_bytes(content)
    read = batches(hr.open(path).select("carrier"))
    assert sum(len(batch["carrier"]) for batch in read) == ROWS


@pytest.mark.parametrize("to", ["numpy", "arrow"])
def test_files_without_rows_are_no_error(tmp_path: Path, to: str) -> None:
    write(tmp_path / "a.parquet", table(0))
    none = hr.open(tmp_path).select("id", "carrier")
    assert none.count_rows() == 0
    assert none.to_arrow().num_rows == 0
    assert batches(none, to=to) == []
    with none.loader() as loader:
        assert len(loader) == 0
        assert list(loader) == []

    write(tmp_path / "b.parquet", table(10))
    assert sum(len(b) for b in batches(hr.open(tmp_path).select("id"), to="arrow")) == 10


def test_a_cache_folder_that_cannot_be_made_is_no_error(
    flights: hr.Dataset, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_CACHE_DIR", str(path / "below a file"))
    assert hr.open(path).where("id % 2 = 1").count_rows() == ROWS // 2


# Tables that change


def write_ids(path: Path, rows: int, first: int) -> Path:
    """Write ids so that pages of other files of this kind are at the same offsets."""
    ids = pa.table({"id": np.arange(rows, dtype=np.int64) + first})
    return write(path, ids, compression="none")


def rewrite_longer(path: Path) -> None:
    write_ids(path, 2 * ROWS, 10_000)


def rewrite_shorter(path: Path) -> None:
    write_ids(path, ROWS // 2, 10_000)


def rewrite_other_rows(path: Path) -> None:
    write_ids(path, ROWS, 10_000)


def replace_by_other_rows(path: Path) -> None:
    write_ids(path.with_name("_next"), ROWS, 10_000).replace(path)


@readers
@pytest.mark.parametrize(
    "change",
    [rewrite_longer, rewrite_shorter, rewrite_other_rows, replace_by_other_rows],
)
def test_a_file_rewritten_after_open_is_a_conflict(
    path: Path, change: Callable[[Path], None], read: Callable[[hr.Dataset], object]
) -> None:
    pinned = hr.open(write_ids(path, ROWS, 0))
    change(path)
    message(hr.errors.Conflict, lambda: read(pinned), path, "anew")


def test_a_file_deleted_after_open_is_not_found(path: Path) -> None:
    pinned = hr.open(path)
    path.unlink()
    for read in (load_id, read_id, count_odd):
        message(hr.errors.NotFound, lambda read=read: read(pinned), path)


def test_a_file_added_after_open_changes_nothing(path: Path) -> None:
    pinned = hr.open(path.parent)
    write(path.with_name("later.parquet"), table())
    assert pinned.count_rows() == ROWS
    assert sum(len(batch["id"]) for batch in batches(pinned.select("id"))) == ROWS


def test_a_column_that_changes_type_midway_names_file_column_and_types(
    tmp_path: Path,
) -> None:
    for i, values in enumerate([[1, 2], [3], ["four"], [5]]):
        write(
            tmp_path / f"part-{i}.parquet", pa.table({"id": [i] * 1, "value": values[:1]})
        )
    facts = (tmp_path / "part-2.parquet", '"value"', "string", "int64")
    text = message(hr.errors.SchemaMismatch, lambda: hr.open(tmp_path), *facts)
    assert "part-3" not in text


# Columns


@pytest.mark.parametrize(
    "choose",
    [
        lambda d: d.select("id", "carier"),
        lambda d: d.where("carier = 'v1'"),
        lambda d: d.where(pc.field("carier") == "v1"),
        lambda d: d.nulls({"carier": "mask"}),
        lambda d: d.cast({"carier": "int8"}),
        lambda d: d.codes({"carier": None}),
        lambda d: d.ragged({"carier": "ragged"}),
        lambda d: d.pack("x", ["id", "carier"]),
    ],
    ids=["select", "where", "expression", "nulls", "cast", "codes", "ragged", "pack"],
)
def test_an_unknown_column_is_not_found_with_the_columns_there_are(
    flights: hr.Dataset, choose: Callable[[hr.Dataset], object]
) -> None:
    text = message(hr.errors.NotFound, lambda: choose(flights), "carier")
    assert re.search(r"\bcarrier\b", text)


def test_an_unknown_field_of_a_struct_is_not_found_with_its_fields(
    flights: hr.Dataset,
) -> None:
    facts = ("place.lta", "lat", "lon")
    message(hr.errors.NotFound, lambda: flights.select("place.lta"), *facts)


@pytest.mark.parametrize(
    "choose",
    [
        lambda d: d.cast({"delay": "float32"}),
        lambda d: d.nulls({"delay": "mask"}),
        lambda d: d.pack("x", ["delay"]),
    ],
    ids=["cast", "nulls", "pack"],
)
def test_a_policy_of_a_column_that_is_not_selected_says_so(
    flights: hr.Dataset, choose: Callable[[hr.Dataset], object]
) -> None:
    chosen = flights.select("id")
    facts = ('"delay"', "not selected")
    message(hr.errors.NotFound, lambda: choose(chosen), *facts)


# Filters


@pytest.mark.parametrize(
    ("text", "column", "found"),
    [
        ("id = )", 6, "')'"),
        ("id =", 5, "the end"),
        ("(id = 1", 8, "the end"),
        ("id = 1 1", 8, "'1'"),
        ("id ! 1", 4, "'!'"),
        ("delay > 1 and carrier = 'v1", 25, "not closed"),
        ("id in ()", 8, "')'"),
    ],
)
def test_a_filter_that_does_not_parse_shows_where(
    flights: hr.Dataset, text: str, column: int, found: str
) -> None:
    facts = (f"column {column}:", found)
    told = message(hr.errors.InvalidArgument, lambda: flights.where(text), *facts)
    line, caret = told.splitlines()[-2:]
    assert line.endswith(text)
    begin = len(line) - len(text)
    assert caret.rstrip() == " " * (begin + column - 1) + "^"


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_filter_is_refused(flights: hr.Dataset, text: str) -> None:
    message(hr.errors.InvalidArgument, lambda: flights.where(text), "empty")


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("id = 'a'", ("id", "int64", "'a'", "string")),
        ("carrier > 3", ("carrier", "string", "3", "int64")),
        ("id = date '2013-01-01'", ("id", "int64", "date")),
        ("carrier + 1 = 2", ("carrier", "string", "int")),
        ("id like 'a'", ("id", "int64", "string")),
        ("place = 1", ("place", "struct", "int64")),
        ("id", ("id", "int64", "true or false")),
        ("not carrier", ("carrier", "string")),
        ("id = 1 and delay", ("delay", "double")),
    ],
)
def test_a_filter_whose_types_do_not_fit_names_column_and_types(
    flights: hr.Dataset, text: str, facts: tuple[str, ...]
) -> None:
    message(hr.errors.InvalidArgument, lambda: flights.where(text), *facts)


def test_an_expression_with_a_column_by_position_is_unsupported(
    flights: hr.Dataset,
) -> None:
    message(hr.errors.Unsupported, lambda: flights.where(pc.field(0) > 5), "name its col")


def test_an_expression_with_an_unknown_function_names_it(flights: hr.Dataset) -> None:
    expression = pc.Expression._call("nosuch", [pc.field("id")]) > 5
    message(hr.errors.InvalidArgument, lambda: flights.where(expression), "nosuch")


@pytest.mark.parametrize(
    ("function", "of"), [("random", []), ("sum", ["id"]), ("cumulative_sum", ["id"])]
)
def test_an_expression_that_is_not_row_by_row_names_the_function(
    flights: hr.Dataset, function: str, of: list[str]
) -> None:
    refused = pc.Expression._call(function, [pc.field(name) for name in of]) > 5
    message(hr.errors.InvalidArgument, lambda: flights.where(refused), function)


# Values


def test_a_null_names_column_file_and_row_and_what_to_do(
    flights: hr.Dataset, path: Path
) -> None:
    facts = ('"delay"', "null", path, "row 157", "hr.fill", '"mask"')
    message(hr.errors.InvalidArgument, lambda: batches(flights.select("delay")), *facts)


def test_lists_of_unequal_length_name_both_rows_and_what_to_do(
    flights: hr.Dataset, path: Path
) -> None:
    facts = ('"items"', path, "row 0", "row 1", "hr.pad", '"ragged"')
    message(hr.errors.InvalidArgument, lambda: batches(flights.select("items")), *facts)


def test_a_list_longer_than_its_pad_names_the_row_and_both_lengths(
    flights: hr.Dataset, path: Path
) -> None:
    padded = flights.select("items").ragged({"items": hr.pad(0, length=1)})
    facts = ('"items"', path, "row 0", "of 2", "length 1")
    message(hr.errors.InvalidArgument, lambda: batches(padded), *facts)


def test_a_value_outside_of_a_vocabulary_names_it_and_the_row(
    flights: hr.Dataset, path: Path
) -> None:
    coded = flights.select("carrier").codes({"carrier": ["v0", "v1"]})
    facts = ('"carrier"', "'v2'", path, "row 2")
    message(hr.errors.InvalidArgument, lambda: batches(coded), *facts)


@pytest.mark.parametrize(
    "read", [batches, lambda d: d.to_arrow()], ids=["loader", "to_arrow"]
)
def test_a_cast_that_does_not_fit_names_column_row_and_value(
    flights: hr.Dataset, path: Path, read: Callable[[hr.Dataset], object]
) -> None:
    small = flights.select("id").cast({"id": "int8"})
    facts = ('"id"', "128", "int8", path, "row 128")
    message(hr.errors.InvalidArgument, lambda: read(small), *facts)


def test_rows_are_told_as_numbered_in_their_own_file(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / f"{i}.parquet", table(100, first=70 * i))
    # The null is of id 157: row 17 of the last file, and row 87 of the one before.
    facts = (tmp_path / "1.parquet", "row 87")
    second = hr.open(tmp_path).select("delay")
    message(hr.errors.InvalidArgument, lambda: batches(second), *facts)


@pytest.mark.parametrize(
    ("column", "facts"),
    [
        ("price", ('"price"', "decimal128(9, 2)", 'cast({"price": "float64"})')),
        ("place", ('"place"', "struct", "dotted")),
    ],
)
def test_a_column_without_a_tensor_is_named_with_what_to_do(
    flights: hr.Dataset, column: str, facts: tuple[str, ...]
) -> None:
    message(hr.errors.Unsupported, lambda: flights.select(column).loader(), *facts)


def test_what_a_column_without_a_tensor_is_told_to_do_works(flights: hr.Dataset) -> None:
    cast = batches(flights.select("price").cast({"price": "float64"}))
    assert cast[0]["price"][0] == 1.25
    assert batches(flights.select("place.lat"))[0]["place.lat"][0] == 1.0
    assert batches(flights.select("place"), to="arrow")[0].num_columns == 1


# Arguments


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("batch_size", v) for v in (0, -1, 1.5, "8", True, 2**70)],
        *[("shuffle", v) for v in (1, "yes")],
        *[("seed", v) for v in (-1, 2**64, 0.0, "1", False)],
        *[("epoch", v) for v in (-1, "0", 0.5)],
        *[("streams", v) for v in (0, 1.0, "8")],
        *[("shuffle_window_rows", v) for v in (0, "all", 10.0)],
        *[("rank", v) for v in (-1, "0", 0.0)],
        *[("world_size", v) for v in (0, "1", 1.0)],
        *[("drop_last", v) for v in (0, "x")],
        *[("pad_last", v) for v in (1, "x")],
        *[("num_threads", v) for v in (0, -2, 1.5)],
        *[("memory_budget", v) for v in (0, -1, "2GB", 1e9)],
        *[("to", v) for v in ("numpyy", 3, None)],
        *[("pin_memory", v) for v in (1, "yes", None)],
    ],
)
def test_a_loader_argument_of_wrong_type_or_value_is_named(
    flights: hr.Dataset, name: str, value: object
) -> None:
    text = message(
        hr.errors.InvalidArgument,
        lambda: flights.select("id").loader(**{name: value}),
        repr(value),
        "expected",
    )
    assert re.match(rf"{name}\b", text)


def test_integers_of_numpy_are_taken(flights: hr.Dataset) -> None:
    sizes = {"batch_size": np.int64(8), "seed": np.uint64(2**64 - 1)}
    assert len(batches(flights.select("id"), **sizes)[0]["id"]) == 8


@pytest.mark.parametrize(
    ("options", "facts"),
    [
        ({"drop_last": True, "pad_last": True}, ("drop_last", "pad_last")),
        ({"rank": 4, "world_size": 4}, ("rank is 4", "world_size 4")),
        ({"rank": 0, "world_size": 3}, ("3", "streams 8", "streams=9")),
        ({"pin_memory": True}, ("pin_memory", '"numpy"', '"torch"')),
    ],
)
def test_loader_arguments_that_exclude_each_other_are_named(
    flights: hr.Dataset, options: dict[str, Any], facts: tuple[str, ...]
) -> None:
    chosen = flights.select("id")
    message(hr.errors.InvalidArgument, lambda: chosen.loader(**options), *facts)


@pytest.mark.parametrize("to", ["jax", "tensorflow"])
def test_a_framework_that_this_build_has_not_is_unsupported(
    flights: hr.Dataset, to: str
) -> None:
    facts = (f'to="{to}"', '"numpy"', '"torch"', '"arrow"')
    chosen = flights.select("id")
    message(hr.errors.Unsupported, lambda: chosen.loader(to=to), *facts)


@pytest.mark.parametrize("variable", ["RANK", "WORLD_SIZE"])
def test_a_rank_in_the_environment_that_is_no_integer_is_told(
    flights: hr.Dataset, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "first")
    facts = (variable, "first", "environment")
    message(hr.errors.InvalidArgument, lambda: flights.select("id").loader(), *facts)


def test_a_budget_below_the_floor_is_refused_with_both_numbers(
    flights: hr.Dataset,
) -> None:
    chosen = flights.select("id")
    with chosen.loader() as loader:
        floor = loader.stats()["memory_floor"]
    chosen.loader(memory_budget=floor).close()
    for budget in (1, floor - 1):
        message(
            hr.errors.ResourceExhausted,
            lambda budget=budget: chosen.loader(memory_budget=budget),
            "memory_budget",
            budget,
            floor,
        )


def test_fewer_rows_than_ranks_can_share_are_refused(flights: hr.Dataset) -> None:
    few = flights.select("id").where("id < 3")
    facts = ("3 rows", "8 streams", "2 ranks")
    message(hr.errors.InvalidArgument, lambda: few.loader(rank=0, world_size=2), *facts)


@pytest.mark.parametrize(
    "call",
    [
        lambda d: d.select(),
        lambda d: d.select(3),
        lambda d: d.select(["id"]),
        lambda d: d.select("id", "id"),
        lambda d: d.where(3),
        lambda d: d.where(None),
        lambda d: d.cast("id"),
        lambda d: d.cast({"id": 3}),
        lambda d: d.cast({3: "int8"}),
        lambda d: d.cast({"id": "flaot32"}),
        lambda d: d.nulls("id"),
        lambda d: d.nulls({"id": 0}),
        lambda d: d.nulls({"id": "bogus"}),
        lambda d: d.nulls({"id": hr.fill(None)}),
        lambda d: d.nulls({"id": hr.fill([1])}),
        lambda d: d.ragged({"items": 3}),
        lambda d: d.ragged({"items": hr.pad("a")}),
        lambda d: d.ragged({"items": hr.pad(0, length=-1)}),
        lambda d: d.ragged({"id": hr.pad(0)}),
        lambda d: d.codes({"carrier": "abc"}),
        lambda d: d.codes({"carrier": [1]}),
        lambda d: d.codes({"carrier": ["a", "a"]}),
        lambda d: d.codes({"id": None}),
        lambda d: d.pack(3, ["id"]),
        lambda d: d.pack("x", "id"),
        lambda d: d.pack("x", []),
        lambda d: d.pack("carrier", ["id"]),
        lambda d: d.pack("x", ["items"]),
        lambda d: d.on_error("ignore"),
        lambda d: d.on_error(3),
        lambda d: d.select("id").loader().set_epoch(-1),
        lambda d: d.select("id").loader().set_epoch("1"),
        lambda d: hr.open(3),
        lambda d: hr.open(None),
        lambda d: hr.open(""),
        lambda d: hr.open([]),
        lambda d: hr.open([3]),
        lambda d: hr.open(b"lake"),
        lambda d: hr.open("ftp://host/lake"),
        lambda d: hr.open("lake", storage_options={"region": 3}),
        lambda d: hr.open("lake", partition_types=["int32"]),
        lambda d: hr.open("lake", partition_types={"year": 3}),
    ],
)
def test_a_wrong_argument_is_told_with_what_was_expected(
    flights: hr.Dataset, call: Callable[[hr.Dataset], object]
) -> None:
    """Each fails by its argument alone, before anything is looked for."""
    text = message(hr.errors.InvalidArgument, lambda: call(flights))
    expecting = r"expected|takes?\b|twice|clashes"
    assert re.search(expecting, text), text


def test_a_partition_type_without_such_a_partition_is_told(path: Path) -> None:
    wrong = {"year": "int32"}
    message(
        hr.errors.InvalidArgument,
        lambda: hr.open(path, partition_types=wrong),
        "partition_types",
        '"year"',
    )


def test_an_unknown_storage_option_is_told_with_those_there_are() -> None:
    options = {"regoin": "eu-central-1"}
    message(
        hr.errors.InvalidArgument,
        lambda: hr.open("s3://bucket/lake", storage_options=options),
        '"regoin"',
        "region",
        "secret_key",
    )


# States


def test_a_state_of_another_table_is_a_conflict_with_both_versions(
    flights: hr.Dataset, tmp_path: Path
) -> None:
    other = hr.open(write(tmp_path / "other.parquet", table(10)))
    with flights.select("id").loader() as loader, other.select("id").loader() as stranger:
        message(
            hr.errors.Conflict,
            lambda: loader.load_state_dict(stranger.state_dict()),
            flights.fingerprint,
            other.fingerprint,
        )
        assert loader.state_dict()["fingerprint"] == flights.fingerprint
        assert len(list(loader)) == len(loader)  # and goes on as if never asked


def test_a_state_that_differs_names_each_difference(flights: hr.Dataset) -> None:
    chosen = flights.select("id")
    with (
        chosen.loader(seed=3, streams=4, shuffle_window_rows=64) as saved,
        chosen.where("id < 99").loader(seed=9, streams=8) as loader,
    ):
        text = message(
            hr.errors.Conflict,
            lambda: loader.load_state_dict(saved.state_dict()),
            "seed",
            "streams",
            "filter",
        )
        for pair in ("3.*9", "4.*8"):
            assert re.search(pair, text)
        assert "shuffle_window_rows" not in text  # not given: taken from the state


@pytest.mark.parametrize("state", [3, None, "x", [], {}, {"epoch": 1}, {"a": object()}])
def test_what_is_no_state_is_an_invalid_argument(
    flights: hr.Dataset, state: object
) -> None:
    with flights.select("id").loader() as loader:
        message(
            hr.errors.InvalidArgument,
            lambda: loader.load_state_dict(state),
            "state",
            "expected",
            "state_dict",
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [("epoch", -1), ("samples", -1), ("samples", 10**12), ("seed", "x"), ("streams", 0)],
)
def test_a_state_with_a_wrong_entry_is_refused_by_name(
    flights: hr.Dataset, name: str, value: object
) -> None:
    with flights.select("id").loader() as loader:
        state = {**loader.state_dict(), name: value}
        message(
            hr.errors.InvalidArgument, lambda: loader.load_state_dict(state), name, value
        )


def test_a_state_of_a_newer_format_is_unsupported(flights: hr.Dataset) -> None:
    with flights.select("id").loader() as loader:
        newer = {**loader.state_dict(), "format": 99}
        facts = ("format 99", "1")
        message(hr.errors.Unsupported, lambda: loader.load_state_dict(newer), *facts)


# Credentials


@pytest.fixture
def s3(path: Path) -> Iterator[Any]:
    """Serve the flights by S3; all of the credentials are secret."""
    with fake_s3.serve(path.read_bytes()) as server:
        server.options |= SECRETS
        yield server


def test_credentials_are_in_no_repr(s3: Any, capfd: pytest.CaptureFixture[str]) -> None:
    dataset = hr.open(fake_s3.URI, storage_options=s3.options).select("id")
    with dataset.loader() as loader:
        rows = sum(len(batch["id"]) for batch in loader)
        texts = [loader.stats(), loader.state_dict(), loader]
    assert rows == ROWS
    texts += [dataset, dataset.where("id < 7"), dataset.explain(), dataset.fingerprint]
    texts += [dataset.explain().to_dict(), dataset.schema, vars(dataset), loader]
    assert "s3://bucket" in repr(dataset)
    for text in texts:
        assert SECRET not in repr(text) + str(text)
    assert SECRET not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("status", "kind"), [(404, hr.errors.NotFound), (403, hr.errors.Denied)]
)
def test_credentials_are_in_no_error_of_storage(
    s3: Any,
    status: int,
    kind: type[hr.HeadraceError],
    capfd: pytest.CaptureFixture[str],
) -> None:
    dataset = hr.open(fake_s3.URI, storage_options=s3.options)
    s3.status = status
    for call in (
        lambda: hr.open(fake_s3.URI, storage_options=s3.options),
        lambda: load_id(dataset),
        lambda: read_id(dataset),
    ):
        assert SECRET not in message(kind, call, fake_s3.URI)
    assert SECRET not in "".join(capfd.readouterr())


def test_storage_that_does_not_answer_is_unavailable_and_keeps_credentials() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # never listens
        options = fake_s3.options(closed.getsockname()[1]) | SECRETS
        text = message(
            hr.errors.Unavailable,
            lambda: hr.open(fake_s3.URI, storage_options=options),
            fake_s3.URI,
            "try again",
        )
    assert SECRET not in text


@pytest.mark.parametrize(
    "options",
    [
        {"secret_key": SECRET},  # without access_key
        {"secret_key": SECRET.encode()},
        {"secret_kee": SECRET},
        {"access_key": "key", "secret_key": SECRET, "anonymous": "maybe"},
        {"access_key": "key", "secret_key": SECRET, "request_timeout": "soon"},
        [("secret_key", SECRET)],
        f"secret_key={SECRET}",
    ],
)
def test_credentials_are_in_no_error_of_arguments(options: Any) -> None:
    if isinstance(options, dict):
        options = {**options, "region": "eu-central-1"}  # else it is looked up
    text = message(
        hr.errors.InvalidArgument,
        lambda: hr.open("s3://bucket/lake", storage_options=options),
    )
    assert SECRET not in text


@pytest.mark.parametrize(
    "uri", ["http://user:{}@host/lake", "s3://bucket/x?secret_key={}"]
)
def test_credentials_in_a_uri_are_in_no_error(uri: str) -> None:
    text = message(hr.errors.InvalidArgument, lambda: hr.open(uri.format(SECRET)))
    assert SECRET not in text


def test_an_error_in_the_consumer_keeps_its_own_class_and_traceback(
    flights: hr.Dataset,
) -> None:
    def consume() -> None:
        for batch in flights.select("id").loader():
            raise ZeroDivisionError(len(batch))

    with pytest.raises(ZeroDivisionError) as caught:
        consume()
    assert caught.traceback[-1].name == "consume"


def test_an_unreadable_file_is_denied(path: Path) -> None:
    """In a process of its own, as the superuser has to give up reading everything."""
    path.chmod(0)
    everything = "-dac_override,-dac_read_search"
    drop = []
    if os.geteuid() == 0:  # who may read everything
        drop = ["setpriv", f"--bounding-set={everything}", f"--inh-caps={everything}"]
    read = "import sys, headrace; headrace.open(sys.argv[1])"
    command = [*drop, sys.executable, "-c", read, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].startswith(f"headrace.errors.Denied: {path}")


def test_a_file_that_became_a_directory_is_a_conflict(path: Path) -> None:
    pinned = hr.open(path)
    path.unlink()
    path.mkdir()
    message(hr.errors.Conflict, lambda: read_id(pinned), path)
