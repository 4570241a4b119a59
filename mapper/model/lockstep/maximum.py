"""The expected time of groups that wait for each other: the largest of several sums of steps."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations_with_replacement
from math import comb, erf, sqrt

import numpy as np
from numpy.typing import NDArray

from .work import Floats, Work, largest, mean, total

#: Longest distribution that is worked out term by term.
_LONGEST = 1 << 21
#: Most combinations of shared states, and most terms over all of them, that are gone through; terms at a
#: time.
_COMBINATIONS, _TERMS, _HELD = 20_000, 1 << 26, 1 << 18
#: Cumulants suffice from so many steps on, up to this skewness and excess kurtosis of the sum.
_MANY, _SKEWNESS, _EXCESS = 24, 0.3, 0.3


def expected_largest(work: Work, steps: int, rows: int, columns: int) -> float | None:
    """Expected cycles until `rows * columns` groups are through `steps` steps each.

    The groups of a row are in the same state in every step; rows have nothing in common. Exact where
    that is short enough; for many steps in a single row, by `largest_by_cumulants`. None for the rest.
    """
    if columns == 1 or len(work.states) == 1:
        alone = work.alone
        if steps * len(alone) <= _LONGEST:
            return mean(largest(total(alone, steps), rows * columns))
        return largest_by_cumulants(Work(np.ones(1), alone[None]), steps, rows * columns)
    length = steps * work.cycles.shape[1]
    choices = comb(steps + len(work.states) - 1, steps)
    if choices <= _COMBINATIONS and choices * steps * length <= _TERMS:
        return mean(largest(_largest_in_row(work, steps, columns), rows))
    _, k2, k3, k4 = (float(work.states @ k) for k in cumulants(work.cycles))
    smooth = (steps >= _MANY and abs(k3) <= _SKEWNESS * k2**1.5 * sqrt(steps)
              and abs(k4) <= _EXCESS * k2**2 * steps)
    return largest_by_cumulants(work, steps, columns) if rows == 1 and smooth else None


def _largest_in_row(work: Work, steps: int, columns: int) -> Floats:
    """Distribution of the largest of `columns` sums, over all combinations of states in the steps."""
    size = steps * (work.cycles.shape[1] - 1) + 1
    length = 1 << (size - 1).bit_length()
    transforms = np.fft.rfft(work.cycles, length)
    below, together = np.zeros(size), max(_HELD // length, 1)
    chosen = np.array(list(combinations_with_replacement(range(len(work.states)), steps)))
    for start in range(0, len(chosen), together):
        rows = chosen[start:start + together]
        transform = transforms[rows[:, 0]]
        for column in rows.T[1:]:
            transform = transform * transforms[column]
        sums = np.cumsum(np.fft.irfft(transform, length)[:, :size], axis=1)
        below += _likelihood(work.states, rows) @ np.clip(sums, 0.0, 1.0) ** columns
    return np.diff(below, prepend=0.0)


def _likelihood(states: Floats, chosen: NDArray[np.int64]) -> Floats:
    """How likely each row is: states of the steps, in any order."""
    steps = chosen.shape[1]
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, steps + 1)))])
    counts = (chosen[:, :, None] == np.arange(len(states))).sum(axis=1)
    orders = factorials[steps] - factorials[counts].sum(axis=1)
    return np.asarray(states[chosen].prod(axis=1) * np.exp(orders))


def largest_by_cumulants(work: Work, steps: int, count: int) -> float:
    """Expected largest of `count` sums over many `steps`, whose states the sums have in common.

    Given the states, the sums are independent and nearly normal; Cornish and Fisher's series gives
    their quantiles from the first four cumulants (E. Cornish, R. Fisher, Moments and Cumulants in the
    Specification of Distributions, 1937), and with it the largest from the moments of the largest of
    normal numbers. The cumulants add up over the steps, so their spread over states counts for little;
    of the variance it is taken to second order.
    """
    k1, k2, k3, k4 = (work.states @ k for k in cumulants(work.cycles))
    if k2 <= 0:
        return steps * float(k1)
    spread = work.states @ (cumulants(work.cycles)[1] - k2) ** 2 / k2**2
    deviation = sqrt(steps * k2) * (1 - spread / (8 * steps))
    skew, tail = k3 / k2**1.5 / sqrt(steps), k4 / k2**2 / steps
    m1, m2, m3 = normal_largest(count)
    place = (m1 + skew * (m2 - 1) / 6 + tail * (m3 - 3 * m1) / 24
             - skew**2 * (2 * m3 - 5 * m1) / 36)
    return float(steps * k1 + deviation * place)


def cumulants(distributions: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """The first four cumulants of each row."""
    values = np.arange(distributions.shape[-1], dtype=np.float64)
    first = distributions @ values
    away = values - first[:, None]
    second, third, fourth = ((distributions * away**k).sum(axis=1) for k in (2, 3, 4))
    return first, second, third, fourth - 3 * second**2


@lru_cache(maxsize=256)
def normal_largest(count: int) -> tuple[float, float, float]:
    """First three moments of the largest of `count` standard normal numbers."""
    z = np.linspace(-9.0, 9.0, 7201)
    below = np.array([(1 + erf(x / sqrt(2))) / 2 for x in z]) ** count
    mass, middle = np.diff(below), (z[1:] + z[:-1]) / 2
    return float(mass @ middle), float(mass @ middle**2), float(mass @ middle**3)
