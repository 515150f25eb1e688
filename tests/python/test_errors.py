"""The error contract: kinds, Python's own classes, and messages that say what, where, why.

Messages are tested for the facts that they must hold, not for their wording.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from erring import (
    ROWS,
    batches,
    count_odd,
    load_id,
    message,
    read_id,
    readers,
    table,
    write,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "flights.parquet", table())


@pytest.fixture
def flights(path: Path) -> hr.Dataset:
    return hr.open(path)


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
