"""bench/peers/peers.py: what is made of the readers' runs."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench/peers"))

import peers
import work


def run(seconds: float) -> dict[str, Any]:
    return {
        "version": "1.0",
        "rows": 100,
        "seconds": seconds,
        "first_batch_seconds": 0.5,
        "mixing": 0.25,
        "conversion_seconds": None,
    }


def keys_of(table: peers.Table, positions: np.ndarray) -> list[int]:
    at = np.empty(table.rows, np.int64)
    at[table.positions] = table.keys
    return [int(key) for key in at[positions]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> peers.Table:
    return peers.open_table(work.write(tmp_path_factory.mktemp("data"), 4000))


def test_ratios_are_taken_within_a_round() -> None:
    ours = peers.Outcome("headrace", [run(1), run(2), run(1)])
    peer = peers.Outcome("peer", [run(4), run(4), run(5)])
    line = peers.summarise([ours, peer], [200.0, 100.0, 100.0])[1]
    assert line.rows_per_second == peers.Spread(25.0, 20.0, 25.0)
    assert line.headrace_is == peers.Spread(4.0, 2.0, 5.0)
    assert line.of_limit == peers.Spread(0.2, 0.125, 0.25)


def test_a_peer_that_failed_stays_in_the_table() -> None:
    never = peers.Outcome("never", failure="not installed: no wheel")
    once = peers.Outcome("once", [run(2)], "no end after 9 s")
    ours = peers.Outcome("headrace", [run(1), run(1)])
    limits = [100.0, 100.0]
    text = list(peers.printed(peers.summarise([ours, never, once], limits), limits))
    assert text[3] == "never        failed: not installed: no wheel"
    assert "2.00 (2.00-2.00)" in text[4]
    assert text[5].endswith("a later round failed: no end after 9 s")


def test_an_epoch_is_checked_by_rows_and_bits(table: peers.Table) -> None:
    result = run(1) | {"rows": table.rows, "f0_sum": table.f0_sum, "keys": []}
    assert peers.checked(dict(result), table) == run(1) | {"rows": 4000, "mixing": None}
    for wrong in ({"rows": 3999}, {"f0_sum": table.f0_sum + 1}):
        with pytest.raises(peers.FailedError, match="each of 4000 rows once"):
            peers.checked(result | wrong, table)


def test_mixing_is_the_spread_of_a_batch_in_that_of_the_table(table: peers.Table) -> None:
    everywhere = keys_of(table, np.arange(0, 4000, 4))
    tenth = keys_of(table, np.arange(800, 1200))
    assert peers.mixing(table, [everywhere]) == pytest.approx(1.0, abs=0.01)
    assert peers.mixing(table, [tenth]) == pytest.approx(0.1, abs=0.01)
    assert peers.mixing(table, [everywhere, tenth, tenth]) == pytest.approx(0.1, abs=0.01)


def test_the_last_words_are_the_last_error() -> None:
    said = "Traceback\nValueError: no\n  clean up\n"
    assert peers.last_words(said) == "ValueError: no"
    assert peers.last_words("") == "it said nothing"


def test_each_peer_has_its_script_and_pins() -> None:
    for name in peers.PEERS:
        assert (peers.HERE / f"by_{name}.py").is_file()
        pins = (peers.HERE / "requirements" / f"{name}.txt").read_text().splitlines()
        assert pins[0].startswith("torch==")
        assert all("==" in pin for pin in pins)
