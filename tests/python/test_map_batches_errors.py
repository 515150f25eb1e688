"""Errors of `Dataset.map_batches`, results that are not as declared among them, and its ends."""

import functools
import gc
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pytest
from living import nothing_left
from mapping import BATCH, declare, load, write

processes = pytest.mark.parametrize("processes", [0, 1])


@pytest.fixture
def numbers(tmp_path: Path) -> hr.Dataset:
    return write(tmp_path / "table.parquet").select("id", "x")


def message(kind: type[BaseException], call: Callable[[], object], *facts: str) -> str:
    with pytest.raises(kind) as caught:
        call()
    text = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    for fact in facts:
        assert fact in text, text
    return text


Returned = Callable[[dict[str, Any]], Any]
AS_DECLARED = declare(x=("float64",), y=("float32", 2))


def good(batch: dict[str, Any]) -> dict[str, Any]:
    return {"x": batch["x"], "y": np.zeros((len(batch["x"]), 2), np.float32)}


def but(**columns: Any) -> Returned:
    """A function that returns what is declared but for some columns, and None for none."""

    def function(batch: dict[str, Any]) -> dict[str, Any]:
        rows = len(batch["x"])
        values = {n: c(rows) if callable(c) else c for n, c in columns.items()}
        return {n: c for n, c in (good(batch) | values).items() if c is not None}

    return function


@processes
@pytest.mark.parametrize(
    ("function", "facts"),
    [
        (lambda batch: None, ["NoneType", "dict of arrays"]),
        (but(y=None), ["['x']", "['x', 'y']", "['y'] are missing"]),
        (but(z=1), ["['z'] are not in its schema"]),
        (but(x=lambda n: np.zeros(n, np.float32)), ['"x"', "is float32", "float64"]),
        (but(x=lambda n: np.zeros(n, ">f8")), ['"x"', ">f8", "float64"]),
        (but(x=lambda n: np.zeros(n - 1)), ['"x"', "15 rows", "expected 16"]),
        (but(x=lambda n: np.zeros((n, 1))), ['"x"', "(16, 1)", "float64 (batch,)"]),
        (but(x=3.0), ['"x"', "()", "float64 (batch,)"]),
        (
            but(y=lambda n: np.zeros((n, 3), np.float32)),
            ['"y"', "(16, 3)", "float32 (batch, 2)"],
        ),
        (but(y=lambda n: np.zeros(n, np.float32)), ['"y"', "(16,)", "(batch, 2)"]),
        (but(x=lambda n: [[1.0]] * (n - 1) + [[1.0, 2.0]]), ['"x"', "cannot become"]),
        (but(x=lambda n: ["a"] * n), ['"x"', "float64"]),
        (but(x=lambda n: [None] * n), ['"x"', "object", "float64"]),
    ],
)
def test_results_that_are_not_as_declared_are_a_schema_mismatch(
    numbers: hr.Dataset, function: Returned, facts: list[str], processes: int
) -> None:
    mapped = numbers.map_batches(
        function, columns=["x"], schema=AS_DECLARED, processes=processes
    )
    text = message(hr.errors.SchemaMismatch, lambda: load(mapped), *facts)
    assert "map_batches(" in text
    assert "at step 0 of epoch 0 (samples 0 to 15)" in text


@pytest.mark.parametrize(
    ("values", "facts"),
    [
        (["a", b"b"], ["is binary", "string"]),
        (["a", 1], ["cannot become string"]),
        ([1, 2], ["is int64", "string"]),
        ([b"a", b"b"], ["is binary", "string"]),
        (["a", None], ["1 nulls"]),
        (["a"], ["1 rows", "expected 2"]),
    ],
)
def test_texts_that_are_not_as_declared_are_a_schema_mismatch(
    numbers: hr.Dataset, values: Any, facts: list[str]
) -> None:
    mapped = numbers.map_batches(lambda batch: {"t": values}, schema=declare(t="string"))
    call = functools.partial(load, mapped, batch_size=2)
    message(hr.errors.SchemaMismatch, call, '"t"', *facts)


@pytest.mark.parametrize("offsets", [[1, 1, 2], [0, 2, 1], [0, 1, 1], [0, 2, 3]])
def test_offsets_that_do_not_fit_are_a_schema_mismatch(
    numbers: hr.Dataset, offsets: list[int]
) -> None:
    mapped = numbers.map_batches(
        lambda batch: {"y": np.zeros(2), "y_offsets": np.array(offsets)},
        schema=declare(y=("float64", None), y_offsets="int64"),
    )
    call = functools.partial(load, mapped, batch_size=2)
    message(hr.errors.SchemaMismatch, call, '"y_offsets"', "to 2")


def test_without_a_schema_a_function_returns_what_it_got(numbers: hr.Dataset) -> None:
    for function, facts in (
        (lambda batch: {"id": batch["id"]}, ["['x'] are missing"]),
        (lambda batch: batch | {"x": batch["x"].astype("float32")}, ["float32"]),
        (lambda batch: batch | {"x": batch["x"][:, None]}, ["(16, 1)"]),
        (lambda batch: {n: c[:3] for n, c in batch.items()}, ["3 rows"]),
    ):
        call = functools.partial(load, numbers.map_batches(function))
        message(hr.errors.SchemaMismatch, call, *facts)


class OwnError(Exception):
    """An exception that pickles."""


class StubbornError(Exception):
    """An exception that pickles, and does not come back."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def failing(error: Callable[[], BaseException], at: int = 0) -> Returned:
    def function(batch: dict[str, Any]) -> dict[str, Any]:
        if batch["id"][0] >= at:
            raise error()
        return batch

    return function


@processes
def test_an_exception_comes_at_its_batch_with_traceback_and_rows(
    numbers: hr.Dataset, processes: int
) -> None:
    function = failing(lambda: OwnError("odd"), at=5 * BATCH)
    mapped = numbers.map_batches(function, processes=processes)
    with mapped.loader(batch_size=BATCH, shuffle=False) as loader:
        came = []
        with pytest.raises(OwnError, match="odd") as caught:
            for batch in loader:
                came += batch["id"].tolist()
        assert came == list(range(5 * BATCH))
        notes = caught.value.__notes__
        assert notes[-1] == (
            "In map_batches(function) at step 5 of epoch 0 (samples 80 to 95)"
        )
        if processes:
            assert re.search(
                r"In process \d+:\nTraceback.*raise error\(\)", notes[0], re.S
            )
        else:
            assert any(entry.name == "function" for entry in caught.traceback)
        # The state is at the batch that failed; a new pass is whole as far as it goes.
        assert loader.state_dict()["samples"] == 5 * BATCH
        for _ in range(2):
            batches = iter(loader)
            assert next(batches)["id"][0] == 0
            with pytest.raises(OwnError):
                list(batches)
            with pytest.raises(OwnError):
                next(batches)


@processes
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (lambda: ZeroDivisionError("z"), ZeroDivisionError),
        (lambda: SystemExit(3), SystemExit),
        (lambda: StopIteration("s"), RuntimeError),
        (lambda: hr.errors.Corrupt("c"), hr.errors.Corrupt),
        (lambda: KeyError("k"), KeyError),
    ],
)
def test_exceptions_of_any_kind_reach_the_consumer(
    numbers: hr.Dataset, error: Callable[[], BaseException], kind: Any, processes: int
) -> None:
    mapped = numbers.map_batches(failing(error), processes=processes)
    with nothing_left():
        message(kind, lambda: load(mapped), "map_batches(function) at step 0")


def test_an_exception_that_does_not_pickle_is_told_of(numbers: hr.Dataset) -> None:
    function = failing(lambda: StubbornError("one", "two"))
    message(StubbornError, lambda: load(numbers.map_batches(function)), "one")
    text = message(
        hr.errors.PeerFailed,
        lambda: load(numbers.map_batches(function, processes=1)),
        "StubbornError: one",
        "Traceback",
    )
    assert "samples 0 to 15" in text


def test_errors_of_reading_come_at_their_batch(tmp_path: Path) -> None:
    dataset = write(tmp_path / "table.parquet").select("small", "x")
    lossy = dataset.cast({"x": "int8"})  # 0.5 is no integer
    for n in (0, 1):
        mapped = lossy.map_batches(lambda batch: batch, processes=n)
        message(hr.errors.InvalidArgument, lambda m=mapped: load(m, batch_size=1), '"x"')


@pytest.mark.parametrize(
    ("arguments", "kind", "facts"),
    [
        ({"function": 3}, "InvalidArgument", ["function is 3"]),
        ({"columns": "x"}, "InvalidArgument", ["columns", "list"]),
        ({"columns": []}, "InvalidArgument", ["columns"]),
        ({"columns": ["x", "x"]}, "InvalidArgument", ["columns", "once"]),
        ({"schema": {"x": "int8"}}, "InvalidArgument", ["schema", "headrace.Schema"]),
        ({"schema": declare()}, "InvalidArgument", ["schema", "one field"]),
        ({"schema": declare(x="int7")}, "InvalidArgument", ['"x"', "int7", "int8"]),
        ({"schema": declare(x=("int8", -1))}, "InvalidArgument", ['"x"', "-1"]),
        ({"schema": declare(x=("string", 3))}, "InvalidArgument", ['"x"', "(3,)"]),
        ({"schema": declare(x="bfloat16")}, "Unsupported", ['"x"', "float32"]),
        ({"processes": -1}, "InvalidArgument", ["processes is -1"]),
        ({"processes": 1.5}, "InvalidArgument", ["processes is 1.5"]),
        ({"form": "polars"}, "InvalidArgument", ["form is 'polars'", "pandas"]),
    ],
)
def test_arguments_are_checked_at_once(
    numbers: hr.Dataset, arguments: dict[str, Any], kind: str, facts: list[str]
) -> None:
    given = {"function": len, **arguments}
    call = functools.partial(numbers.map_batches, given.pop("function"), **given)
    message(getattr(hr.errors, kind), call, *facts)


def test_a_column_that_is_not_there_is_not_found_when_a_loader_is_made(
    numbers: hr.Dataset,
) -> None:
    mapped = numbers.map_batches(len, columns=["x", "nope"])
    message(hr.errors.NotFound, mapped.loader, '"nope"', "['id', 'x']", "len")
    # As is one that a function before it leaves out.
    first = numbers.map_batches(len, schema=declare(y="int8"))
    message(hr.errors.NotFound, first.map_batches(len, columns=["x"]).loader, "['y']")


def test_bfloat16_is_unsupported_with_functions(numbers: hr.Dataset) -> None:
    mapped = numbers.cast({"x": "bfloat16"}).map_batches(lambda batch: batch)
    call = functools.partial(mapped.loader, to="torch")
    message(hr.errors.Unsupported, call, '"x"', "bfloat16", "float32")


# Ends


def test_ends_of_all_kinds_leave_no_thread(numbers: hr.Dataset) -> None:
    mapped = numbers.map_batches(lambda batch: batch)
    for end in ("pass", "close", "break", "drop"):
        with nothing_left():
            loader = mapped.loader(batch_size=2)
            batches = iter(loader)
            next(batches)
            if end == "pass":
                list(batches)
            if end == "close":
                loader.close()
                with pytest.raises(hr.errors.Conflict, match="closed"):
                    next(batches)
            if end == "break":
                next(iter(loader))
            if end != "pass":
                del loader, batches
                gc.collect()


def test_close_from_another_thread_ends_a_wait(numbers: hr.Dataset) -> None:
    running, go_on = threading.Event(), threading.Event()

    def function(batch: Any) -> Any:
        running.set()
        go_on.wait(30)
        return batch

    loader = numbers.map_batches(function).loader()
    ended: list[BaseException] = []

    def consume() -> None:
        try:
            next(iter(loader))
        except hr.HeadraceError as error:
            ended.append(error)

    with nothing_left():
        consumer = threading.Thread(target=consume)
        consumer.start()
        assert running.wait(30)
        closer = threading.Thread(target=loader.close)
        closer.start()
        consumer.join(30)  # does not wait for the function; close does
        go_on.set()
        closer.join(30)
        assert not closer.is_alive()
    assert [type(error) for error in ended] == [hr.errors.Conflict]
