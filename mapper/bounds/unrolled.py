"""What an array may unroll: divisors of the extents along x, and others along y."""

from __future__ import annotations

from math import prod
from typing import Iterator, Sequence

import numpy as np

from ..mapping.rules import SPATIAL
from .divisors import divisors
from .scenario import Scenario

#: Iterations along x and along y, by rank that can iterate.
Sides = tuple[tuple[int, ...], tuple[int, ...]]


def unrolled(scenario: Scenario, level: int) -> Iterator[Sides]:
    """All that divides the extents, that the array below `level` has room for, and that constraints on it
    admit.

    A rank runs along one axis only, as in Timeloop's mappings, unless it is said that it may run along both.
    """
    storage, rules, columns = scenario.architecture.levels[level], scenario.rules, scenario.columns
    width, height = scenario.architecture.fanout(level)
    extents = [scenario.einsum.extent[rank] for rank in scenario.ranks]
    along_y = np.array(_within(scenario, extents, height, storage.spatial_y), dtype=np.int64)
    least, most = (own[level, SPATIAL, columns] for own in (rules.least, rules.most))
    for x in _within(scenario, extents, width, storage.spatial_x):
        both = along_y * np.array(x, dtype=np.int64)
        fits = (extents % both == 0).all(axis=1) & (least <= both).all(axis=1) & (both <= most).all(axis=1)
        if not rules.both_axes:
            fits &= ((along_y == 1) | (both == along_y)).all(axis=1)
        fits[fits] = rules.arranged(level, *_unrolls(scenario, np.array(x), along_y[fits]))
        for y in along_y[fits].tolist():
            yield x, tuple(y)


def _within(scenario: Scenario, extents: Sequence[int], most: int,
            allowed: tuple[str, ...] | None) -> list[tuple[int, ...]]:
    """Every choice of a divisor a rank whose product is at most `most`; 1 for ranks that are not allowed."""
    found: list[tuple[int, ...]] = [()]
    for rank, extent in zip(scenario.ranks, extents, strict=True):
        options = divisors(extent) if allowed is None or rank in allowed else (1,)
        found = [(*shape, d) for shape in found for d in options if prod(shape) * d <= most]
    return found


def _unrolls(scenario: Scenario, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether ranks are unrolled along x and along y, also those of extent 1, shape (ways, ranks)."""
    along_x, along_y = np.zeros((2, len(y), len(scenario.einsum.ranks)), dtype=bool)
    along_x[:, scenario.columns], along_y[:, scenario.columns] = x > 1, y > 1
    return along_x, along_y
