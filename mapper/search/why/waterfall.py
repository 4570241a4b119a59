"""Where the mapspace goes: from all mappings that could be written down to the one that is best."""

from __future__ import annotations

from math import factorial, prod
from typing import Iterator, Mapping, Sequence

import numpy as np

from ...bounds.divisors import splits_there_are
from ...bounds.programs.bound import ROUNDING
from ...mapping.template import slot
from ..space import Mapspace
from ..tree import Node
from .explanation import Drop

DRAWN = 4096            # mappings drawn to see how many fit


def waterfall(space: Mapspace, root: Node | None, best: float, evaluated: int) -> tuple[Drop, ...]:
    """What is left of the mapspace step by step; `best` is the value of the best mapping, `root` the regions
    that the search has looked at."""
    drops = [Drop("whole factors, any order, anything kept", raw_size(space), "exact")]
    if space.imperfect:
        drops = []      # there are more with remainders
    drops.append(Drop("allowed by machine and constraints", space.size, "exact"))
    share, exactness = fitting_share(space)
    drops.append(Drop("fit capacities and arrays", share * space.size, exactness))
    if root is not None:
        left = drops[-1].mappings
        for step, states in (("not ruled out by bounds", ("lattice", "enumerated", "open")),
                             ("not closed by lattices of whole factors", ("enumerated", "open")),
                             ("left open", ("open",))):
            left = min(left, _left(space, root, best, states))
            drops.append(Drop(step, left, "at most" if left else "exact"))
    drops.append(Drop("evaluated", float(evaluated), "exact"))
    return (*drops, Drop("best", 1.0, "exact"))


def raw_size(space: Mapspace) -> float:
    """Ways to write every extent as a product over all slots there are, times all loop orders, times all
    choices of what levels keep, each tensor somewhere."""
    slots = space.depth + sum(width > 1 for i in range(space.depth) for width in space.architecture.fanout(i))
    splits = prod(float(splits_there_are(extent, slots)) for extent in space.einsum.extents)
    orders = float(factorial(len(space.ranks))) ** space.ordered
    return splits * orders * float(2 ** space.depth - 1) ** len(space.einsum.tensors)


def fitting_share(space: Mapspace) -> tuple[float, str]:
    """The share of the mapspace that fits, from mappings drawn at random; where none of them does, a share
    that is not passed with 95 % confidence (three over their number)."""
    rng = np.random.default_rng(0)
    factors = space.drawn(rng, DRAWN)
    column = {name: rng.integers(0, len(columns), DRAWN) for name, columns in space.choices.columns.items()}
    kept = [{name: np.array([i in own for own in columns])[column[name]]
             for name, columns in space.choices.columns.items()} for i in range(space.depth)]
    hits = int(fitting(space, factors, kept).sum())
    return (hits / DRAWN, "about") if hits else (3.0 / DRAWN, "at most")


def fitting(space: Mapspace, factors: np.ndarray, kept: Sequence[Mapping[str, np.ndarray]]) -> np.ndarray:
    """Which factor arrays, shape (mappings, slots, ranks), fit; `kept` says by level of which tensors each
    mapping keeps a tile there, shape (mappings,)."""
    good = space.allowed(factors)
    for i in range(space.depth):
        x, y = space.architecture.fanout(i)
        good &= factors[:, slot(i, "x")].prod(axis=1) <= x
        good &= factors[:, slot(i, "y")].prod(axis=1) <= y
    for parts in space.architecture.storages:
        capacity, words = space.architecture.levels[parts[-1]].capacity_words, np.zeros(len(factors))
        if capacity is None:
            continue
        for i in parts:
            tiles = np.minimum(factors[:, 3 * i:].prod(axis=1), np.array(space.einsum.extents))
            extents = dict(zip(space.einsum.ranks, tiles.T, strict=True))
            for name, keeps in kept[i].items():
                words += keeps * space.room(i, space.einsum.tensor(name), extents)
        good &= words <= capacity
    return good


def state(node: Node, best: float) -> str:
    """How a region that was not split came to an end: "bound", "lattice", "enumerated" or "open"."""
    if node.method == "enumerated":
        return "enumerated"
    if node.value < best * (1.0 - ROUNDING):
        return "open"
    return node.method or "bound"


def leaves(node: Node) -> Iterator[Node]:
    """The regions inside `node` that were not split."""
    if not node.parts:
        yield node
    for part in node.parts:
        yield from leaves(part)


def _left(space: Mapspace, node: Node, best: float, states: tuple[str, ...]) -> float:
    """At most the mappings in regions that came to one of these ends."""
    if not node.parts:
        return _most(space, node) if state(node, best) in states else 0.0
    return min(_most(space, node), sum(_left(space, part, best, states) for part in node.parts))


def _most(space: Mapspace, node: Node) -> float:
    """At most the mappings of a region: those of its choices that are open, whatever its innermost loops."""
    fixed = dict(node.region.fixed)
    splits = prod(float(n) for rank, n in space.counts.items() if rank not in fixed)
    keeps = prod(float(len(left)) for left in space.choices.left(node.region).values())
    return splits * keeps * space.order_count
