"""Small number theory: divisors, primes and factorisations."""

from __future__ import annotations

from functools import cache
from math import comb, prod
from typing import Sequence

import numpy as np


@cache
def divisors(n: int) -> tuple[int, ...]:
    """All divisors of `n`, ascending.

    >>> divisors(12)
    (1, 2, 3, 4, 6, 12)
    """
    small = [d for d in range(1, int(n ** 0.5) + 1) if n % d == 0]
    return tuple(small + [n // d for d in reversed(small) if d * d != n])


@cache
def prime_factors(n: int) -> tuple[int, ...]:
    """Prime factors of `n` with repetition, ascending; empty for 1."""
    found, d = [], 2
    while d * d <= n:
        while n % d == 0:
            found.append(d)
            n //= d
        d += 1
    return tuple([*found, n] if n > 1 else found)


def smallest_prime(n: int) -> int:
    """The smallest prime factor of `n`; 1 for 1."""
    return prime_factors(n)[0] if n > 1 else 1


def splits_there_are(n: int, slots: int) -> int:
    """How many ordered ways there are to write `n` as a product of `slots` factors.

    >>> splits_there_are(12, 3)
    18
    """
    primes = prime_factors(n)
    return prod(comb(primes.count(p) + slots - 1, slots - 1) for p in set(primes)) if slots else int(n == 1)


@cache
def factorizations(n: int, slots: int) -> np.ndarray:
    """Every ordered way to write `n` as a product of `slots` factors; shape (ways, slots)."""
    if slots == 1:
        return np.array([[n]], dtype=np.int64)
    parts = []
    for d in divisors(n):
        rest = factorizations(n // d, slots - 1)
        parts.append(np.concatenate([np.full((len(rest), 1), d, dtype=np.int64), rest], axis=1))
    return np.concatenate(parts)


def factorizations_within(n: int, limits: Sequence[tuple[int, int]]) -> np.ndarray:
    """Those of `factorizations` in which every factor is within its least and most, in the same order.

    >>> factorizations_within(12, [(1, 3), (2, 12)]).tolist()
    [[1, 12], [2, 6], [3, 4]]
    """
    known: dict[tuple[int, int], np.ndarray] = {}

    def rows(left: int, first: int) -> np.ndarray:
        if (left, first) not in known:
            least, most = limits[first]
            if first == len(limits) - 1:
                known[left, first] = np.full((int(least <= left <= most), 1), left, dtype=np.int64)
            else:
                parts = [np.zeros((0, len(limits) - first), dtype=np.int64)]
                for d in divisors(left):
                    if least <= d <= most:
                        rest = rows(left // d, first + 1)
                        parts.append(np.concatenate([np.full((len(rest), 1), d), rest], axis=1))
                known[left, first] = np.concatenate(parts)
        return known[left, first]

    return rows(n, 0) if limits else np.ones((int(n == 1), 0), dtype=np.int64)


def splits_within(n: int, limits: Sequence[tuple[int, int]]) -> int:
    """How many rows `factorizations_within` has."""
    ways = {n: 1}
    for least, most in limits:
        rest: dict[int, int] = {}
        for left, count in ways.items():
            for d in divisors(left):
                if least <= d <= most:
                    rest[left // d] = rest.get(left // d, 0) + count
        ways = rest
    return ways.get(1, 0)
