"""Distributions of cycles: quanta of non-zeros, matches of masks, sums over steps.

A distribution of whole numbers is an array with the probability of 0, 1, 2, ...
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from math import isqrt, prod
from typing import Sequence

import numpy as np
from numpy.typing import NDArray

from ...workload.density import Occupancies

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Part:
    """One operand of a step: the non-zeros of a tile of `words` words, `width` of which are taken a
    cycle. Between two barriers, a group meets `tiles` of them for each tile of the other operands."""

    nonzeros: Occupancies
    words: int
    width: int = 1
    tiles: int = 1

    @property
    def ceilings(self) -> Floats:
        """Distribution of `ceil(non-zeros / width)` of one tile."""
        quanta = -(-self.nonzeros.values // self.width)
        return np.bincount(quanta, self.nonzeros.probabilities).astype(np.float64)

    @property
    def dense(self) -> int:
        """Quanta of a tile without zeros."""
        return -(-self.words // self.width)


@dataclass(frozen=True, eq=False)
class Work:
    """What a group does in a step (or in several that share an operand): `cycles[s, c]` is the
    probability of c cycles given the state s of what groups share, which has the probability
    `states[s]`. Without anything shared there is one state."""

    states: Floats
    cycles: Floats

    @property
    def alone(self) -> Floats:
        """Distribution of the cycles of one group."""
        return np.asarray(self.states @ self.cycles)


def mean(distribution: Floats) -> float:
    """Expected number."""
    return float(np.arange(len(distribution)) @ distribution)


def total(distribution: Floats, count: int) -> Floats:
    """Distribution of the sum of `count` independent numbers; also row by row."""
    if count == 1:
        return distribution
    size = (distribution.shape[-1] - 1) * count + 1
    length = 1 << (size - 1).bit_length()
    found = np.fft.irfft(np.fft.rfft(distribution, length) ** count, length)[..., :size]
    return np.asarray(np.maximum(found, 0.0))


def product(first: Floats, second: Floats) -> Floats:
    """Distribution of the product of two independent numbers."""
    found = np.zeros((len(first) - 1) * (len(second) - 1) + 1)
    np.add.at(found, np.outer(np.arange(len(first)), np.arange(len(second))), np.outer(first, second))
    return found


def expected_product(distributions: Sequence[Floats], least: int) -> float:
    """Expected product of independent numbers, where one below `least` counts as that."""
    # Whether a product is below a number, and which one it is, numbers cut off there tell as well.
    short = products([np.append(x[:least], x[least:].sum()) for x in distributions])[:least]
    return prod(map(mean, distributions)) + float((least - np.arange(len(short))) @ short)


def products(distributions: Sequence[Floats]) -> Floats:
    """Distribution of the product of independent numbers; of none of them, 1."""
    return reduce(product, distributions, np.array([0.0, 1.0]))


def largest(distribution: Floats, count: int) -> Floats:
    """Distribution of the largest of `count` independent numbers."""
    below = np.minimum(np.cumsum(distribution), 1.0) ** count
    return np.diff(below, prepend=0.0)


def at_least(distribution: Floats, least: int) -> Floats:
    """Numbers below `least` raised to it; also row by row."""
    if least == 0:
        return distribution
    room = [(0, 0)] * (distribution.ndim - 1) + [(0, max(0, least + 1 - distribution.shape[-1]))]
    found = np.pad(distribution, room)
    found[..., least] += found[..., :least].sum(axis=-1)
    found[..., :least] = 0.0
    return found


def matched(part: Part, positions: NDArray[np.int64]) -> Floats:
    """`[i, k]`: the probability that k of `positions[i]` places, spread at random over the words of a
    tile, fall on non-zeros of `part`: hypergeometric, over the numbers of non-zeros it may have."""
    words, m = part.words, positions[:, None]
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, words + 1)))])

    def choose(n: NDArray[np.int64], r: NDArray[np.int64]) -> Floats:
        inside = (r >= 0) & (r <= n)
        r = np.where(inside, r, 0)
        return np.asarray(np.where(inside, logs[n] - logs[r] - logs[n - r], -np.inf))

    reach = 5 * isqrt(words) + 20           # 20 standard deviations at least
    found = np.zeros((len(positions), words + 1))
    for count, share in zip(part.nonzeros.values.tolist(), part.nonzeros.probabilities, strict=True):
        low, high = (int(n) * count // words for n in (positions.min(), positions.max()))
        k = np.arange(max(low - reach, 0), min(high + reach, words) + 1)
        likely = choose(m, k) + choose(words - m, count - k) - choose(np.array(words), np.array(count))
        found[:, k] += share * np.exp(likely)
    return found


def meeting(parts: Sequence[Part]) -> Part:
    """The positions at which all of `parts` are non-zero, as a part."""
    def pair(first: Part, second: Part) -> Part:
        held = coarse(first.nonzeros)
        hits = held.probabilities @ matched(replace(second, nonzeros=coarse(second.nonzeros)), held.values)
        return replace(second, nonzeros=Occupancies.of(np.arange(len(hits)), hits))
    return reduce(pair, parts)


def coarse(nonzeros: Occupancies, limit: int = 96) -> Occupancies:
    """A distribution over at most about twice `limit` numbers, with the same mean: neighbours are
    put together at the two whole numbers around their mean."""
    values, shares = nonzeros.values, nonzeros.probabilities
    if len(values) <= 2 * limit:
        return nonzeros
    likely = np.flatnonzero(shares > 1e-15)
    if len(likely) <= 2 * limit:
        return Occupancies.of(values[likely], shares[likely])
    groups = np.array_split(likely, limit)
    weights = np.array([shares[group].sum() for group in groups])
    centres = np.array([values[group] @ shares[group] for group in groups]) / weights
    low = np.floor(centres).astype(np.int64)
    upper = centres - low
    return Occupancies.of(np.concatenate([low, low + 1]),
                          np.concatenate([weights * (1 - upper), weights * upper]))


def quantised(distribution: Floats, width: int) -> Floats:
    """Distribution of `ceil(number / width)`; also row by row."""
    if width == 1:
        return distribution
    starts = np.concatenate([[0], np.arange(1, distribution.shape[-1], width)])
    return np.asarray(np.add.reduceat(distribution, starts, axis=-1))


def product_work(parts: Sequence[Part], shared: Sequence[bool], least: int) -> Work:
    """A step of products of quanta, of which the parts that are `shared` are the same for all groups.

    Between barriers a group meets every tile of a part with every tile of the others, so that its sum
    of products is the product of the parts' sums.
    """
    sums = [total(part.ceilings, part.tiles) for part in parts]
    same = products([x for x, together in zip(sums, shared, strict=True) if together])
    own = products([x for x, together in zip(sums, shared, strict=True) if not together])
    values = np.flatnonzero(same)
    cycles = np.zeros((len(values), values[-1] * (len(own) - 1) + 1))
    for row, value in zip(cycles, values.tolist(), strict=True):
        np.add.at(row, np.arange(len(own)) * value, own)
    return Work(same[values], at_least(cycles, least))


def match_work(own: Sequence[Part], shared: Sequence[Part], width: int, least: int) -> Work:
    """A step of matches, `width` of which are taken a cycle. All groups have the parts `shared`, which
    have one tile each; of their `own` parts one may have several if there are no more than two in all.

    Given the number of non-zeros of one mask, the numbers of matches with others are independent.
    """
    if shared:
        held, rest = meeting(shared), list(own)
    else:
        held, *rest = sorted(own, key=lambda part: part.tiles)
    states = coarse(held.nonzeros)
    hits = np.eye(held.words + 1)[states.values]
    if rest:
        others = meeting(rest)
        hits = matched(replace(others, nonzeros=coarse(others.nonzeros)), states.values)
    cycles = at_least(quantised(hits, width), least)
    cycles = total(cycles, max(part.tiles for part in own))
    if shared:
        return Work(states.probabilities, cycles)
    return Work(np.ones(1), (states.probabilities @ cycles)[None])
