"""Numbers drawn at random: hypergeometric and binomial probabilities, and sums of independent numbers.

Probabilities are products of ratios of neighbours, which loses no digits where a difference of
log-gammas does: at a million words that keeps 8 digits only. Products run in extended precision
where the machine has it, so results are right to the last digit but for ties of rounding.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, exp, isqrt, lgamma, log1p
from typing import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .protocol import Floats, Integers, Occupancies

Extended = NDArray[np.longdouble]
#: Probabilities below exp(-this) are 0 in a float.
_UNDERFLOW = 760
#: Longest table of probabilities that is kept.
_TABLE = 1 << 20
#: Sums shorter than this are convolved term by term, which keeps relative accuracy.
_DIRECT = 4096


@lru_cache(maxsize=256)
def hypergeometric(total: int, marked: int, drawn: int) -> Occupancies:
    """How many of `drawn` words are among the `marked` ones, out of `total`."""
    low, high = max(0, marked + drawn - total), min(marked, drawn)
    mode = (drawn + 1) * (marked + 1) // (total + 2)

    def ratio(k: Extended) -> Extended:
        return (marked - k) * (drawn - k) / ((k + 1) * (total - marked - drawn + k + 1))
    share = marked / total if total else 0.0
    return _from_ratios(low, high, mode, ceil(drawn * share * (1 - share)), ratio)


@lru_cache(maxsize=256)
def binomial(drawn: int, share: float) -> Occupancies:
    """How many of `drawn` words are non-zero when each one is with probability `share`."""
    if share in (0.0, 1.0):
        return Occupancies.exactly(round(drawn * share))
    odds = np.longdouble(share) / (1 - np.longdouble(share))

    def ratio(k: Extended) -> Extended:
        return (drawn - k) / (k + 1) * odds
    return _from_ratios(0, drawn, int((drawn + 1) * share), ceil(drawn * share * (1 - share)), ratio)


def _from_ratios(low: int, high: int, mode: int, variance: int,
                 ratio: Callable[[Extended], Extended]) -> Occupancies:
    """The distribution over `low..high` with `ratio(k)` = P(k + 1) / P(k), which is largest at `mode`."""
    mode = min(max(mode, low), high)
    reach = 60 * isqrt(variance) + 2000          # beyond it lies nothing that a float can hold
    first, last = max(low, mode - reach), min(high, mode + reach)
    up = np.cumprod(ratio(np.arange(mode, last, dtype=np.longdouble)))
    down = np.cumprod(1 / ratio(np.arange(mode - 1, first - 1, -1, dtype=np.longdouble)))
    weights = np.concatenate([down[::-1], np.ones(1, np.longdouble), up])
    shares = (weights / weights.sum()).astype(np.float64)
    values = np.arange(first, last + 1, dtype=np.int64)
    return Occupancies(values[shares > 0], shares[shares > 0])


def none_drawn(total: int, marked: int, drawn: ArrayLike) -> Floats:
    """Probability that none of the `marked` words is among those drawn; `drawn` is an array of any
    shape. Symmetric: `marked` and `drawn` may change places.
    """
    drawn = np.asarray(drawn, np.int64)
    if marked == 0:
        return np.ones(drawn.shape)
    table = _none_drawn_table(total, marked)
    if table is None:
        return _none_drawn_far(total, marked, drawn)
    return table[np.minimum(drawn, len(table) - 1)]


@lru_cache(maxsize=64)
def _none_drawn_table(total: int, marked: int) -> Floats | None:
    """`none_drawn` for 0, 1, 2... words, up to the first that gives 0; None when that is too far."""
    share = marked / total
    length = total - marked
    if share < 1:
        length = min(length, ceil(_UNDERFLOW / -log1p(-share)))
    if length > _TABLE:
        return None
    steps = np.arange(length, dtype=np.longdouble)
    kept = np.cumprod((total - marked - steps) / (total - steps))
    return np.concatenate([[1.0], kept.astype(np.float64), [0.0]])


def _none_drawn_far(total: int, marked: int, drawn: Integers) -> Floats:
    """`none_drawn` for large tensors with few non-zeros, about 13 digits.

    C(a, n) / C(N, n) with a = N - marked, each binomial coefficient through Stirling's series with
    its large parts cancelled by hand (C. Loader, Fast and Accurate Computation of Binomial
    Probabilities, 2000).
    """
    rest = total - marked
    inside = (drawn > 0) & (drawn < rest)
    n = np.where(inside, drawn, 1).astype(np.float64)
    share = n / total
    log = marked * np.log1p(-share)
    log += _stirling(rest) - _stirling(rest - n) - _stirling(total) + _stirling(total - n)
    log -= _deviance(n, rest * share) + _deviance(rest - n, rest * (1 - share))
    found = np.exp(log) * np.sqrt(rest * (total - n) / (total * (rest - n)))
    edge = np.where(drawn <= 0, 1.0, 0.0)
    last = exp(lgamma(rest + 1) + lgamma(marked + 1) - lgamma(total + 1))
    return np.where(inside, found, np.where(drawn == rest, last, edge))


def _stirling(n: Floats | float) -> Floats:
    """log(n!) less Stirling's approximation of it, for n of 1 or more."""
    from scipy.special import gammaln
    n = np.asarray(n, np.float64)
    inverse = 1 / np.maximum(n, 16.0)
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680))))
    if n.min() >= 16:
        return series
    small = np.minimum(n, 16.0)
    exact = gammaln(small + 1) - (small + 0.5) * np.log(small) + small - 0.5 * np.log(2 * np.pi)
    return np.where(n < 16, exact, series)


def _deviance(x: Floats, mean: Floats) -> Floats:
    """x log(x / mean) + mean - x, without loss where x is close to the mean."""
    from scipy.special import rel_entr
    near = np.abs(x - mean) < 0.1 * (x + mean)
    v = (x - mean) / (x + mean)
    total, power = (x - mean) * v, 2 * x * v
    for j in range(1, 12):
        power = power * v * v
        total = total + power / (2 * j + 1)
    return np.where(near, total, rel_entr(x, mean) + mean - x)


def added(first: Occupancies, second: Occupancies) -> Occupancies:
    """The sum of two independent numbers."""
    if len(first.values) == 1 or len(second.values) == 1:
        one, other = sorted((first, second), key=lambda x: len(x.values))
        return Occupancies(other.values + one.values[0], other.probabilities)
    low = int(first.values[0] + second.values[0])
    one_dense, other_dense = dense(first), dense(second)
    if min(len(one_dense), len(other_dense)) <= 64 or len(one_dense) + len(other_dense) <= _DIRECT:
        shares = np.convolve(one_dense, other_dense)
    else:
        length = len(one_dense) + len(other_dense) - 1
        shares = np.fft.irfft(np.fft.rfft(one_dense, length) * np.fft.rfft(other_dense, length), length)
        shares[shares < 1e-16] = 0.0             # below what a transform can tell from nothing
    return _from_dense(low, shares)


def repeated(number: Occupancies, times: int) -> Occupancies:
    """The sum of `times` independent numbers of the same distribution."""
    if len(number.values) == 1:
        return Occupancies.exactly(int(number.values[0]) * times)
    result = Occupancies.exactly(0)
    while times:
        if times & 1:
            result = added(result, number)
        times >>= 1
        if times:
            number = added(number, number)
    return result


def compound(number: Occupancies, times: Occupancies) -> Occupancies:
    """The sum of a random number of independent numbers, `times` of the same distribution."""
    if len(number.values) == 1:
        return Occupancies(number.values * times.values, times.probabilities) if number.values[0] \
            else Occupancies.exactly(0)
    least = int(times.values[0])
    shares, steps = dense(times), dense(Occupancies(np.append(0, number.values[number.values > 0]), np.append(
        number.empty, number.probabilities[number.values > 0])))
    length = (len(shares) - 1) * (len(steps) - 1) + 1
    if length * len(shares) <= 1 << 22:
        total = shares[-1:]
        for share in shares[-2::-1]:             # Horner's rule, with convolution for a product
            total = np.convolve(total, steps)
            total[0] += share
    else:
        turns = np.fft.rfft(steps, length)
        sums = np.zeros_like(turns)
        for share in shares[::-1]:
            sums = sums * turns + share
        total = np.fft.irfft(sums, length)
        total[total < 1e-16] = 0.0
    return added(_from_dense(0, total), repeated(number, least))


def mixed(parts: list[tuple[Occupancies, float]]) -> Occupancies:
    """One of several distributions, each with its weight."""
    if len(parts) == 1:
        return parts[0][0]
    return Occupancies.of(np.concatenate([part.values for part, _ in parts]),
                          np.concatenate([part.probabilities * weight for part, weight in parts]))


def dense(number: Occupancies) -> Floats:
    """Probabilities of every number from the smallest to the largest."""
    shares = np.zeros(int(number.values[-1] - number.values[0]) + 1)
    shares[number.values - number.values[0]] = number.probabilities
    return shares


def _from_dense(low: int, shares: Floats) -> Occupancies:
    kept = shares > 0
    return Occupancies(low + np.flatnonzero(kept).astype(np.int64), shares[kept] / shares[kept].sum())
