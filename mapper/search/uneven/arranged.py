"""Uneven mappings of any machine, as mappings that are cut level by level of machines with more levels.

An *arrangement* says in which order tensors are cut: it gives each tensor of each level a part of its own
(see `hardware.parts`). Every uneven mapping is a mapping of one of these machines, in which each part keeps
its tensor or does without. So the least of the bounds of all arrangements bounds all uneven mappings, and
mappings of arrangements are improved like any other.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from math import inf, prod
from time import monotonic
from typing import Any, Iterator, Sequence

import numpy as np

from ...bounds.programs.bound import ROUNDING
from ...hardware.architecture import Architecture
from ...hardware.parts import arranged, passes_freely
from ...mapping.constraints import Constraints, LevelConstraints, LoopRules
from ...mapping.nest import Block, Mapping
from ...mapping.splits import TooManySplits
from ...mapping.template import Keep, slot
from ...mapping.validate import check_mapping
from ...workload.einsum import Einsum
from ..imperfect import layer_search
from ..layer import LayerSearch
from ..limits import Limits
from ..local import Found
from ..space import Mapspace

#: A level and the tensor that is cut there; None: whatever it keeps.
Place = tuple[int, str | None]

#: Arrangements, and if it is decided what levels keep; programs for all; arrangements in which mappings are
#: improved.
_MOST, _DECIDED = 256, 2000
_SOLVES = 1200
_CLIMBS = 8


@dataclass(frozen=True)
class Arrangement:
    """A machine with a level for each of `places`, and what is asked of it; what each level of the
    architecture keeps, where that is `decided`."""

    architecture: Architecture
    einsum: Einsum
    places: tuple[Place, ...]
    machine: Architecture
    constraints: Constraints
    decided: Keep | None = None

    def ordered(self, asked: Constraints) -> Constraints:
        """What is asked of its mappings, also of temporal loops. Proofs go without that: a part that keeps
        nothing may stand anywhere, so that loops may belong to other levels than they do here."""
        order = [self.architecture.levels[i].name for i, _ in self.places]
        return asked_of_parts(self.architecture, self.machine, order, asked)

    def mapping(self, found: Mapping) -> Mapping | None:
        """A mapping of the machine as one of the levels of the architecture; None where it is not known."""
        names = [self.architecture.levels[i].name for i, _ in self.places]
        ends = {zone[-1] for zone in self.machine.zones}
        blocks: list[Block] = []
        for k, (block, name) in enumerate(zip(found, names, strict=True)):
            if blocks and not block.keep and k not in ends and (names.count(name) > 1):
                blocks[-1] = replace(blocks[-1], temporal=blocks[-1].temporal + block.temporal)
                names[k] = ""
            else:
                blocks.append(replace(block, level=name))
        mapping = Mapping(tuple(blocks))
        return None if check_mapping(self.architecture, self.einsum, mapping) else mapping

    def known(self, mapping: Mapping) -> Found:
        """A mapping, uneven or not, as one of the machine, for a start; of no value yet. Loops of blocks that
        stand in another order here go as near to their tensors as may be."""
        own, levels = self._blocks(mapping), [level.name for level in self.architecture.levels]
        zones = list(zip(self.architecture.zones, self.machine.zones, strict=True))
        decided = self.decided is not None
        keep = tuple(mapping.blocks[0].keep if i == 0 else frozenset({name} if name and (decided or n >= 0)
                     else ()) for (i, name), n in zip(self.places, own, strict=True))
        factors = np.ones((3 * len(self.places), len(self.einsum.ranks)), dtype=np.int64)
        for n, block in enumerate(mapping):
            i = levels.index(block.level)
            zone = next(inner for outer, inner in zones if i in outer)
            at = max((k for k in zone if max(own[zone[0]:k + 1]) <= n), default=zone[0])
            rows = slot(at, "temporal"), slot(zone[-1], "x"), slot(zone[-1], "y")
            for row, loops in zip(rows, (block.temporal, block.spatial_x, block.spatial_y), strict=True):
                for loop in loops:
                    factors[row, self.einsum.ranks.index(loop.rank)] *= loop.factor
        return Found(inf, keep, (), factors)

    def holds(self, mapping: Mapping) -> bool:
        """Whether the mapping cuts its tensors in this order."""
        own = [n for n, (_, name) in zip(self._blocks(mapping), self.places, strict=True) if name is not None]
        cuts = sum(len(block.keep) for block in mapping.blocks[1:])
        if self.decided is not None and (-1 in own or cuts != len(own)):
            return False
        found = [n for n in own if n >= 0]
        return found == sorted(found)

    def _blocks(self, mapping: Mapping) -> list[int]:
        """For each place the block of `mapping` that keeps its tensor; -1 where none does."""
        levels = self.architecture.levels
        found = {(block.level, name): n for n, block in enumerate(mapping) for name in block.keep}
        return [0 if i == 0 else found.get((levels[i].name, name or ""), -1) for i, name in self.places]


def asked_of_parts(architecture: Architecture, machine: Architecture, order: Sequence[str],
                   asked: Constraints) -> Constraints:
    """What is asked of the parts of levels that `machine` has in this `order`: of the temporal loops of a
    level of all its parts, and of spatial loops of the last part of each zone."""
    levels = [LevelConstraints(part.name, temporal=asked.level(name).temporal)
              for part, name in zip(machine.levels, order, strict=True)]
    for zone, parts in zip(architecture.zones, machine.zones, strict=True):
        own = asked.level(architecture.levels[zone[-1]].name)
        levels[parts[-1]] = replace(levels[parts[-1]], spatial=own.spatial, no_multicast=own.no_multicast)
    return Constraints(tuple(levels), asked.min_utilization, imperfect=asked.imperfect, uneven=True)


def arrangements(space: Mapspace) -> list[Arrangement] | None:
    """All of them, of each choice of what levels keep for itself where these are few; else of all that levels
    may keep, and do without. None where they are too many."""
    decided = _decided(space)
    if decided is not None:
        return decided
    may = [[name for name, columns in space.choices.columns.items() if any(i in own for own in columns)]
           for i in range(space.depth)]
    every = _every_order(space, may, _MOST)
    return None if every is None else [_arrangement(space, places) for places in every]


def _decided(space: Mapspace) -> list[Arrangement] | None:
    """Those of each choice of what levels keep; None where they are too many."""
    found: list[Arrangement] = []
    if space.choices.count > _DECIDED:
        return None
    for keep in space.keeps:
        every = _every_order(space, [sorted(names) for names in keep], _DECIDED - len(found))
        if every is None:
            return None
        found += [_arrangement(space, places, keep) for places in every]
    return found


def _every_order(space: Mapspace, may: Sequence[Sequence[str]], most: int) -> list[tuple[Place, ...]] | None:
    """The orders in which tensors may be cut that levels `may` keep; None for more than `most`."""
    options: list[list[tuple[Place, ...]]] = []
    for zone in space.architecture.zones:
        orders: list[tuple[Place, ...]] = []
        for order in _orders(space, zone, may):
            orders.append(order)
            if len(orders) * prod(map(len, options)) > most:
                return None
        options.append(orders)
    return [sum(chosen, ()) for chosen in product(*options)]


def _orders(space: Mapspace, zone: Sequence[int],
            may: Sequence[Sequence[str]]) -> Iterator[tuple[Place, ...]]:
    """Those of a zone, where each tensor is cut further out than at inner levels."""
    items: list[Place] = []
    for i in zone:
        items += [(i, name) for name in may[i]] if i and may[i] else [(i, None)]
    free = passes_freely(space.architecture, zone)

    def after(done: tuple[Place, ...], left: list[Place]) -> Iterator[tuple[Place, ...]]:
        if not left:
            yield done
        for place in left:
            level, name = place
            before = [x for x in left if x[0] < level and (not free or None in (name, x[1]) or x[1] == name)]
            if not before:
                yield from after((*done, place), [x for x in left if x != place])

    return after((), items)


def _arrangement(space: Mapspace, places: tuple[Place, ...], decided: Keep | None = None) -> Arrangement:
    """What makes each part keep nothing but its tensor, if it is `decided` what levels keep just that, and
    asks of the last part of a zone what is asked of the loops that are unrolled there."""
    architecture, rules = space.architecture, space.rules
    names = frozenset(t.name for t in space.einsum.tensors)
    machine = arranged(architecture, [architecture.levels[i].name for i, _ in places])
    levels, asked = [], []
    for level, (i, name) in zip(machine.levels, places, strict=True):
        own, said = architecture.levels[i], rules.by_level[i]
        keep, bypass = own.keep | said.keep, own.bypass | said.bypass
        if decided is not None:
            keep, bypass = decided[i], names - decided[i]
        only = names if name is None else frozenset({name})
        levels.append(replace(level, keep=keep & only, bypass=bypass | (names - only)))
    machine = replace(machine, levels=tuple(levels))
    for zone, inner in zip(architecture.zones, machine.zones, strict=True):
        said = rules.by_level[zone[-1]]
        asked.append(LevelConstraints(machine.levels[inner[-1]].name, spatial=said.spatial,
                                      no_multicast=said.no_multicast))
    constraints = Constraints(tuple(asked), rules.constraints.min_utilization, uneven=True,
                              imperfect=bool(space.imperfect))
    return Arrangement(architecture, space.einsum, places, machine, constraints, decided)


class ArrangedSearch:
    """Bounds uneven mappings by those of all arrangements, and improves one; with remainders where the
    constraints allow some."""

    def __init__(self, space: Mapspace, objective: str, limits: Limits,
                 among: tuple[str, float] | None) -> None:
        self.objective, self.limits, self.among = objective, limits, among
        self.every, self.asked = arrangements(space) or [], space.rules.constraints
        self.least_steps = least_steps(space)
        self.bounds = [0.0] * len(self.every)
        self.started = monotonic()
        self.solves = self.evaluated = 0

    def prove(self, best: float, mapping: Mapping) -> tuple[float, list[dict[str, Any]]]:
        """A bound on all uneven mappings, no more than `best`, and what re-derives it."""
        proofs = []
        for n, arrangement in enumerate(self.every):
            if self.limits.over(self.started):
                return 0.0, []
            share = 2 * (len(self.every) - n)      # half of the time is for good mappings
            search = self._search(arrangement, arrangement.constraints, share)
            known = replace(arrangement.known(mapping), value=best)
            self.bounds[n], proof = search.relaxed(known, max(1, _SOLVES // len(self.every)), 0.0)
            proofs.append(proof)
            self.solves += search.solves
        return min(self.bounds, default=0.0), proofs

    def improve(self, value: float, best: Mapping) -> Iterator[tuple[float, Mapping]]:
        """Good mappings of the order that the best one has, which is of this value, and of those with the
        least bounds below it, and their values; from each better one on."""
        order = sorted((not arrangement.holds(best), bound, n) for n, (arrangement, bound) in enumerate(
            zip(self.every, self.bounds, strict=True)) if bound < value * (1.0 - ROUNDING))
        for *_, n in order[:_CLIMBS]:
            if self.limits.over(self.started):
                return
            arrangement = self.every[n]
            search = self._search(arrangement, arrangement.ordered(self.asked))
            if not _has_ways(search.space):
                continue
            search.known = replace(arrangement.known(best), orders=tuple(o[0] for o in search.space.orders))
            found = search.refine()
            self.evaluated += search.evaluated
            mapping = None if found is None else arrangement.mapping(search.mapping(found))
            if found is not None and mapping is not None:
                yield found.value, mapping
                value, best = min((value, best), (found.value, mapping), key=lambda x: x[0])

    def _search(self, arrangement: Arrangement, constraints: Constraints, share: int = 1) -> LayerSearch:
        """A search that takes that share of the time that is left; it bounds the whole in any case."""
        limits = self.limits.left(self.started)
        limits = replace(limits, seconds=limits.seconds / share)
        search = layer_search(arrangement.machine, arrangement.einsum, self.objective, limits,
                              constraints=constraints, among=self.among)
        search.space.least_steps = self.least_steps
        return search


def least_steps(space: Mapspace) -> float:
    """Steps in time that every uneven mapping takes: loops of a zone that follow upon each other take those
    of one loop, whatever is asked of single ones."""
    asked = space.rules.constraints
    free = replace(asked, imperfect=bool(space.imperfect), levels=tuple(
        replace(level, temporal=LoopRules()) for level in asked.levels))
    return space.least_steps if free == asked else Mapspace(
        space.architecture, space.einsum, free).least_steps


def _has_ways(space: Mapspace) -> bool:
    """Whether all that ranks may be split into can be listed."""
    with suppress(TooManySplits):
        space.require_ways()
        return True
    return False
