"""Errors of columns, filters, values and arguments, and none that shows a credential."""

import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_s3
import headrace as hr
import numpy as np
import pyarrow.compute as pc
import pytest
from erring import (
    ROWS,
    SECRET,
    SECRETS,
    batches,
    load_id,
    message,
    read_id,
    table,
    write,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "flights.parquet", table())


@pytest.fixture
def flights(path: Path) -> hr.Dataset:
    return hr.open(path)


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


@pytest.mark.parametrize("to", ["torch", "jax", "tensorflow"])
def test_a_framework_that_is_not_installed_is_unsupported(
    flights: hr.Dataset, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, to, None)
    monkeypatch.delitem(sys.modules, f"headrace.{to}", raising=False)
    monkeypatch.delattr(hr, to, raising=False)
    facts = ("is not installed", f"pip install 'headrace[{to}]'")
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
