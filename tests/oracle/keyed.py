"""The product's keyed permutation and rotation (src/base/random.h), for order.py.

A second implementation, on Python's integers: with it, order.py gives the very order that a
loader delivers, `streams_of(..., keyed=PRODUCT)`.
"""

MASK = (1 << 64) - 1
BLOCKS, ROTATION, WINDOW = 1, 2, 3


def split_mix(state: int) -> int:
    """The number that SplitMix64 draws once its state has been advanced to this one."""
    z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class KeyedRandom:
    """A sequence that is a pure function of its key."""

    def __init__(self, key: int) -> None:
        self.state = key

    def next(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        return split_mix(self.state)

    def below(self, bound: int) -> int:
        """Uniform in range(bound): the high word of a product, low words too low drawn again."""
        threshold = (1 << 64) % bound
        while True:
            high, low = divmod(self.next() * bound, 1 << 64)
            if low >= threshold:
                return high


def mix_key(*values: int) -> int:
    """The key of a purpose and its coordinates."""
    key = 0
    for value in values:
        key = KeyedRandom(key ^ KeyedRandom(value).next()).next()
    return key


def drawn(n: int, key: int) -> list[int]:
    """Fisher-Yates, inside out."""
    random, values = KeyedRandom(key), []
    for i in range(n):
        j = random.below(i + 1)
        values.append(i)
        values[i], values[j] = values[j], i
    return values


def permutation(n: int, kind: str, *coordinates: int) -> list[int]:
    """What order.py asks for: which number comes at each place."""
    if kind == "blocks":
        return drawn(n, mix_key(BLOCKS, *coordinates))
    # Of a window the product draws the place that each row goes to: the inverse.
    place = drawn(n, mix_key(WINDOW, *coordinates))
    return sorted(range(n), key=place.__getitem__)


def rotation(n: int, *coordinates: int) -> int:
    """By how many rows the sequence is turned."""
    return KeyedRandom(mix_key(ROTATION, *coordinates)).below(n)


PRODUCT = (permutation, rotation)
