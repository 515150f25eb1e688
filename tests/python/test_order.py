"""The Order contract, end to end: what loaders deliver is what tests/oracle/order.py says."""

import importlib.util
import itertools
from pathlib import Path
from types import ModuleType

import headrace as hr
import pytest


def load(name: str) -> ModuleType:
    path = Path(__file__).parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lakes = load("ordering")
deliver, deliver_ranks, flat = lakes.deliver, lakes.deliver_ranks, lakes.flat
FILTERS, PARTITION = lakes.FILTERS, lakes.PARTITION


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_CACHE_DIR", "")
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory):
    return lakes.make_plain(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def hive(tmp_path_factory: pytest.TempPathFactory):
    return lakes.make_hive(tmp_path_factory.mktemp("hive"))


def check_order(lake, where, shuffle: bool) -> None:
    dataset, blocks = lake.open(where), lake.survivors(where)
    for streams, window, (seed, epoch) in itertools.product(
        (1, 4, 8), (1, 16, 70, 1000, 2**40), ((0, 0), (7, 1), (2**64 - 1, 2**40))
    ):
        order = {
            "streams": streams,
            "shuffle_window_rows": window,
            "seed": seed,
            "epoch": epoch,
            "shuffle": shuffle,
        }
        expected = lakes.expected_order(blocks, **order)
        steps = deliver(dataset, batch_size=8, **order)
        assert flat(steps) == expected.rows, order
        assert steps == expected.deal(0, 1, 8), order


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("where", FILTERS)
def test_delivers_exactly_the_contracts_order(plain, where: str, shuffle: bool) -> None:
    check_order(plain, FILTERS[where], shuffle)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("where", [FILTERS["none"], FILTERS["both"], PARTITION])
def test_delivers_exactly_the_contracts_order_of_partitions(
    hive, where, shuffle: bool
) -> None:
    check_order(hive, where, shuffle)
