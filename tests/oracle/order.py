#!/usr/bin/env python3
"""The Order contract (docs/guide/order.md), executable: slow, obvious, without a table.

Run it: it checks the properties that the contract promises.

A block is given by its number of surviving rows. A sample is (block, index among the
block's survivors). `permutation(n, *key)` stands for the product's keyed permutation: any
bijection of range(n) that depends on the key alone; keyed.py has the product's own. The
product computes the same positions by arithmetic, with nothing held per row; this file is
the oracle for its structure, not for its numbers.
"""
# ruff: noqa: N803, N806 -- S, W, N, T are the contract's letters
# ruff: noqa: B905, RUF007 -- zip of equal lengths, and of neighbours

import itertools
import random


def permutation(n, *key):
    order = list(range(n))
    random.Random(repr(key)).shuffle(order)
    return order


def rotation(n, *key):
    return random.Random(repr(("rotate", *key))).randrange(n)


def streams_of(
    blocks, S, window_rows, seed, epoch, shuffle=True, keyed=(permutation, rotation)
):
    """The S streams of an epoch, each a list of samples; and the remainder, in order."""
    permute, rotate = keyed
    numbers = (
        permute(len(blocks), "blocks", seed, epoch) if shuffle else range(len(blocks))
    )
    rows = [(b, i) for b in numbers for i in range(blocks[b])]
    N = len(rows)
    if shuffle and N:
        turn = rotate(N, seed, epoch)
        rows = rows[turn:] + rows[:turn]
    length, w = N // S, max(1, window_rows // S)
    streams = []
    for s in range(S):
        run = rows[s * length : (s + 1) * length]
        if shuffle:
            first = -(-(s + 1) * w // S)  # ceil: streams refill in turn
            cuts = (
                [0, *range(first, length, w), length] if length > first else [0, length]
            )
            run = [
                run[a + j]
                for k, (a, b) in enumerate(zip(cuts, cuts[1:]))
                for j in permute(b - a, "window", seed, epoch, s, k)
            ]
        streams.append(run)
    return streams, rows[S * length :]


def sequence(streams):
    """The global sequence: one sample from each stream in turn."""
    return [sample for turn in zip(*streams) for sample in turn]


def deal(streams, remainder, rank, W, b, start=0, drop_last=False, pad_last=False):
    """The steps of one rank, lists of samples; padded ones hold (sample, valid) pairs."""
    S = len(streams)
    assert S % W == 0, (
        f"world size {W} does not divide streams {S}: give streams = {-(-8 // W) * W} or another multiple of {W}"
    )
    order = sequence(streams)
    T, steps, at = len(order), [], start
    while T - at >= b * W:
        steps.append([order[p] for p in range(at, at + b * W) if p % W == rank])
        at += b * W
    if pad_last:
        left = order[at:] + remainder
        for k in range(0, len(left), b * W):
            part = left[k : k + b * W]
            mine = [(x, True) for x in part[rank::W]]
            steps.append(mine + [(part[0], False)] * (-(-len(part) // W) - len(mine)))
    elif not drop_last:
        if W == 1:
            left = order[at:] + remainder
            steps += [left[k : k + b] for k in range(0, len(left), b)]
        elif (T - at) // W:
            steps.append(
                [order[p] for p in range(at, at + (T - at) // W * W) if p % W == rank]
            )
    return steps


def check(blocks, S, window_rows, seed, epoch, shuffle):
    streams, remainder = streams_of(blocks, S, window_rows, seed, epoch, shuffle)
    everything = sorted((b, i) for b, n in enumerate(blocks) for i in range(n))
    order = sequence(streams)
    assert sorted(order + remainder) == everything and len(remainder) < S
    if not shuffle and S == 1:
        assert order == everything
    for G in (S, 3 * S, 24):
        batches = {}
        for W in (w for w in range(1, S + 1) if S % w == 0 and G % w == 0):
            ranks = [
                deal(streams, remainder, r, W, G // W, drop_last=True) for r in range(W)
            ]
            assert len({len(r) for r in ranks}) == 1
            batches[W] = [sorted(itertools.chain(*step)) for step in zip(*ranks)]
            for start in (
                0,
                G,
                2 * G + 1,
            ):  # resumed at another world size, even off its beat: equal steps, nothing twice
                if start <= len(order):
                    ranks = [
                        deal(streams, remainder, r, W, G // W, start) for r in range(W)
                    ]
                    seen = [x for r in ranks for step in r for x in step]
                    assert (
                        len({len(r) for r in ranks}) == 1
                        and len({tuple(map(len, r)) for r in ranks}) == 1
                    )
                    assert len(set(seen)) == len(seen) and set(seen) <= set(
                        order[start:] + remainder
                    )
                    assert len(order[start:]) + len(remainder) - len(seen) < (
                        S + W if W > 1 else 1
                    )
            padded = [
                deal(streams, remainder, r, W, G // W, pad_last=True) for r in range(W)
            ]
            valid = [
                x[0] if isinstance(x[1], bool) else x
                for r in padded
                for step in r
                for x in step
                if not (isinstance(x[1], bool) and not x[1])
            ]
            assert (
                sorted(valid) == everything
                and len({tuple(map(len, r)) for r in padded}) == 1
            )
        assert all(batches[W] == batches[1] for W in batches)


def cases():
    for counts in ([100], [7, 5, 31, 1, 1, 60], [16] * 9, [3, 0, 250, 2]):
        blocks = [n for n in counts if n]  # a block without survivors is not in the order
        for S, window_rows, epoch, shuffle in itertools.product(
            (1, 4, 6, 8), (1, 16, 64, 1000), (0, 1), (True, False)
        ):
            yield blocks, S, window_rows, 7, epoch, shuffle


if __name__ == "__main__":
    passed = [check(*case) for case in cases()]
    print(f"{len(passed)} passed, 0 failed")
