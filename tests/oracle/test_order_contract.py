"""The executable contract holds what it promises, and gives the orders pinned in C++."""

import re
from pathlib import Path

import keyed
import order
import pytest

HERE = Path(__file__).parent
GOLDENS = HERE.parents[1] / "src/plan/epoch_order_test.cc"


@pytest.mark.parametrize("streams", [1, 4, 6, 8])
def test_holds_its_promises(streams: int) -> None:
    chosen = [case for case in order.cases() if case[1] == streams]
    assert len(chosen) == 64
    for case in chosen:
        order.check(*case)


@pytest.mark.parametrize("fault", ["a row lost", "a row twice", "unequal steps"])
def test_fails_when_a_deal_is_wrong(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    right = order.deal

    def wrong(streams, remainder, rank, *rest, **options):
        steps = right(streams, remainder, rank, *rest, **options)
        if rank == 0 and steps and fault == "a row lost":
            steps[-1] = steps[-1][:-1]
        if rank == 0 and steps and fault == "a row twice":
            steps[-1] = [*steps[-1][:-1], steps[0][0]]
        if rank == 1 and fault == "unequal steps":
            steps = steps[:-1]
        return steps

    monkeypatch.setattr(order, "deal", wrong)
    with pytest.raises(AssertionError):
        order.check([7, 5, 31, 1, 1, 60], 4, 16, 7, 0, True)


@pytest.mark.parametrize("n", [0, 1, 2, 16, 1000])
def test_products_permutations_are_permutations(n: int) -> None:
    for kind, key in (("blocks", (7, 0)), ("window", (7, 0, 3, 12))):
        assert sorted(keyed.permutation(n, kind, *key)) == list(range(n))


def test_generator_is_split_mix_64() -> None:
    random = keyed.KeyedRandom(1234567)
    assert [random.next() for _ in range(2)] == [6457827717110365317, 3203168211198807973]


@pytest.mark.parametrize(
    ("streams", "window_rows", "seed", "epoch"),
    [(4, 12, 7, 0), (4, 12, 7, 1), (4, 12, 2**64 - 1, 1), (1, 1 << 20, 0, 0)],
)
def test_gives_the_golden_orders(
    streams: int, window_rows: int, seed: int, epoch: int
) -> None:
    # The C++ goldens are of survivors {5, 0, 7, 3, 11}.
    stored = {0: 5, 2: 7, 3: 3, 4: 11}
    numbers = list(stored)
    runs, remainder = order.streams_of(
        list(stored.values()), streams, window_rows, seed, epoch, keyed=keyed.PRODUCT
    )
    text = " | ".join(
        " ".join(f"{numbers[block]}.{row}" for block, row in samples)
        for samples in (order.sequence(runs), remainder)
    )
    pinned = re.sub(r'"\s*"', "", GOLDENS.read_text())
    assert f'"{text}"' in pinned
