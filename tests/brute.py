"""All mappings of small problems, for tests of what searches and bounds say of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations, product
from math import inf

import numpy as np
from tilebound.hardware.architecture import Architecture
from tilebound.mapping.template import Template, slot
from tilebound.model.batch import BatchCost, evaluate_batch
from tilebound.search.keeps import Keep
from tilebound.search.local import Explorer
from tilebound.search.objectives import OBJECTIVES
from tilebound.search.space import Mapspace
from tilebound.workload.einsum import Einsum

Order = tuple[str, ...]


def least(architecture: Architecture, einsum: Einsum) -> dict[str, float]:
    """The least of every objective."""
    best = dict.fromkeys(OBJECTIVES, inf)
    for _, _, cost in every_mapping(architecture, einsum):
        for objective, (energy_power, cycles_power) in OBJECTIVES.items():
            values = cost.energy_pj[cost.valid] ** energy_power * cost.cycles[cost.valid] ** cycles_power
            best[objective] = min(best[objective], float(values.min(initial=inf)))
    return best


def least_by_keep(space: Mapspace, objective: str) -> dict[Keep, float]:
    """By what levels keep the least objective under all orders that a mapspace knows."""
    explorer, factors = Explorer(space, *OBJECTIVES[objective]), space.enumerate(space.whole)
    return {keep: min(float(explorer.values(keep, orders, own).min()) for orders, own in in_order(
        space.einsum.ranks, space.order_options(space.root(keep)), factors)) for keep in space.keeps}


def every_mapping(architecture: Architecture,
                  einsum: Einsum) -> Iterator[tuple[Template, np.ndarray, BatchCost]]:
    """Every keep/bypass choice, loop order and factorisation: by template the factor arrays, shape
    (mappings, slots, ranks), and what they cost. The order of the innermost level does not matter."""
    space = Mapspace(architecture, einsum)
    factors = space.enumerate(space.root(space.keeps[0]))
    factors = factors[space.allowed(factors)]
    names = tuple(level.name for level in architecture.levels)
    orders = [tuple(r for r in einsum.ranks if r not in p) + p for p in permutations(space.ranks)]
    options = [*([orders] * (space.depth - 1)), orders[:1]]
    for chosen, own in in_order(einsum.ranks, options, factors):
        for keep in space.keeps:
            template = Template(names, keep, chosen)
            yield template, own, evaluate_batch(architecture, einsum, template, own)


def in_order(ranks: Sequence[str], options: Sequence[Sequence[Order]],
             factors: np.ndarray) -> Iterator[tuple[tuple[Order, ...], np.ndarray]]:
    """Each way to choose an order of the `ranks` for each level, with those of the factor arrays for which no
    way before it is the same: loops of one iteration count for nothing."""
    firsts = [_firsts(ranks, orders, factors[:, slot(level, "temporal")] > 1)
              for level, orders in enumerate(options)]
    for chosen in product(*(range(len(orders)) for orders in options)):
        own = factors[np.logical_and.reduce([first[i] for first, i in zip(firsts, chosen, strict=True)])]
        if len(own):
            yield tuple(orders[i] for orders, i in zip(options, chosen, strict=True)), own


def _firsts(ranks: Sequence[str], orders: Sequence[Order], iterates: np.ndarray) -> np.ndarray:
    """Where each order is the first of those that are the same in the loops with more than one iteration;
    `iterates` has shape (mappings, ranks), the result (orders, mappings)."""
    patterns, which = np.unique(iterates, axis=0, return_inverse=True)
    table = np.zeros((len(patterns), len(orders)), dtype=bool)
    for row, pattern in zip(table, patterns, strict=True):
        moving = {rank for rank, moves in zip(ranks, pattern, strict=True) if moves}
        loops = [tuple(rank for rank in order if rank in moving) for order in orders]
        row[[loops.index(own) for own in set(loops)]] = True
    return table[which].T
