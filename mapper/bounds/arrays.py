"""Small number theory: divisors, factorisations, and how much of an array whole factors can fill."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from math import comb, prod
from typing import Sequence

import numpy as np

from ..hardware.architecture import Architecture
from ..mapping.nest import Kind
from ..mapping.rules import SPATIAL, Rules
from ..mapping.template import slot
from ..workload.einsum import Einsum
from .region import open_slots


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


@dataclass(frozen=True)
class ArrayLimit:
    """The product of the spatial factors of `kinds` below `level` is at most `most`."""

    level: int
    kinds: tuple[Kind, ...]
    most: int


def array_limits(architecture: Architecture, einsum: Einsum, rules: Rules) -> tuple[ArrayLimit, ...]:
    """What of each fanout factors that divide the extents can use: 13 x 12 of 14 x 12, say. Ranks with
    remainders can use any number.

    A rank runs along one axis of a fanout only, as in Timeloop's mappings.
    """
    slots = open_slots(architecture, einsum, rules)
    imperfect = rules.imperfect(slots, einsum.extent)
    limits = []
    for i, level in enumerate(architecture.levels):
        x, y = architecture.fanout(i)
        if x * y == 1:
            continue
        if any(slot(i, kind) in slots[rank] for rank in imperfect for kind in ("x", "y")):
            limits += [ArrayLimit(i, ("x",), x), ArrayLimit(i, ("y",), y), ArrayLimit(i, ("x", "y"), x * y)]
            continue
        pairs = {(1, 1)}
        for column, (rank, extent) in enumerate(zip(einsum.ranks, einsum.extents, strict=True)):
            open_x = level.spatial_x is None or rank in level.spatial_x
            open_y = level.spatial_y is None or rank in level.spatial_y
            along_x = divisors(extent) if open_x and rules.may_iterate(i, "x", rank) else (1,)
            along_y = divisors(extent) if open_y and rules.may_iterate(i, "y", rank) else (1,)
            least, most = rules.least[i, SPATIAL, column], rules.most[i, SPATIAL, column]
            sides = [(p, q) for p, q in product(along_x, along_y) if least <= p * q <= most
                     and (1 in (p, q) or (rules.both_axes and extent % (p * q) == 0))]
            pairs = {(a * p, b * q) for a, b in pairs for p, q in sides if a * p <= x and b * q <= y}
        limits += [ArrayLimit(i, ("x",), max((a for a, _ in pairs), default=1)),
                   ArrayLimit(i, ("y",), max((b for _, b in pairs), default=1)),
                   ArrayLimit(i, ("x", "y"), max((a * b for a, b in pairs), default=1))]
    return tuple(limits)
