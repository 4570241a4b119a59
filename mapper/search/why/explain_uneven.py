"""Why an uneven mapping is the best, from the search that has found it."""

from __future__ import annotations

from itertools import islice, permutations
from math import fsum, inf
from typing import Iterator

from ...bounds.chains.costs import Order
from ...bounds.programs.bound import ROUNDING
from ...hardware.architecture import Architecture
from ...hardware.parts import passes_freely
from ...mapping.nest import Mapping
from ...mapping.parts import is_uneven
from ...workload.einsum import Einsum
from ..certificate import Certificate
from ..space import Mapspace
from ..uneven.cut_bounds import ByNests
from ..uneven.cuts import CutSearch, Place
from ..uneven.space import UnevenSpace
from ..uneven.uneven import UnevenSearch
from .explain import binding, class_of, opened
from .explanation import Drop, Explanation
from .runners_up import FARTHEST, Class, other_keeps, ranked

_CHAINS = 60        # looked at for other choices of what levels keep, or as many as the search needed,
_SHAPES = 10        # (so many where they are found shape by shape),
_ORDERS = 12        # and for so many other orders of cuts, each
_FEW = 8            # as many


def explained_uneven(search: UnevenSearch, mapping: Mapping, certificate: Certificate,
                     closely: bool = False) -> Explanation:
    """What binds the class of `mapping`, what other classes lose, where the mapspace went and when what was
    found; `closely`: where the best is proven to be that, the classes next to it are bounded by chains of
    their own, which takes about as long as the search did."""
    chains = search.chains or search.shapes
    drops = uneven_waterfall(search.space, chains, certificate.value, certificate.evaluated)
    space, parts = opened(search.architecture, search.einsum, search.constraints, mapping)
    relaxation = space.relaxation(search.cap)
    able = search.powers[0] > 0 and certificate.status == "optimal"
    classes = [*_level_by_level(search, mapping, certificate, closely and able),
               *_by_chains(search, mapping, closely and able)]
    return Explanation(*binding(relaxation, class_of(space, parts), search.powers),
                       ranked(classes, certificate), drops, tuple(search.trace.moments))


def _level_by_level(search: UnevenSearch, mapping: Mapping, certificate: Certificate,
                    closely: bool) -> Iterator[Class]:
    """The mappings that are cut level by level, with each rank along one axis of an array; `closely`: these
    are searched."""
    if is_uneven(search.architecture, mapping) or certificate.value < search.even < inf:
        bound = search.level_by_level() if closely else 0.0
        yield "mappings that are not uneven", max(bound, certificate.lower_bound), search.even


def _by_chains(search: UnevenSearch, mapping: Mapping, closely: bool) -> Iterator[Class]:
    """The classes that keep one tensor at one level and do not where the best does, or the other way round;
    `closely`: looked into, and also those in which other tiles stay longer."""
    chains, farthest = search.chains or search.shapes, FARTHEST * search.best
    if chains is None:
        return
    few = max(_CHAINS, chains.chains) if chains is search.chains else _SHAPES
    for leaf in chains.beyond(farthest, few) if closely else ():
        for cuts in leaf.cuts:
            search.offer(leaf.keep, cuts)
    if closely and isinstance(chains.by, ByNests):
        yield from _other_orders(search, chains.by, mapping, farthest)
    bounds = chains.bounds
    for keep, bound in search.shapes.bounds.items() if search.shapes is not None else ():
        bounds[keep] = max(bound, bounds[keep])
    ends = [(search.space.root(keep), bound) for keep, bound in bounds.items()]
    yield from other_keeps(search.space, search.kept(mapping), ends, search.trace.best)


def _other_orders(search: UnevenSearch, by: ByNests, mapping: Mapping,
                  farthest: float) -> Iterator[Class]:
    """The classes in which tiles stay in place for as long as others, or longer, that are replaced before
    these in `mapping`."""
    names = [level.name for level in search.architecture.levels]
    for first, second in islice(_replaced_before(search, mapping), _ORDERS):
        own = CutSearch(search.space, by.ordered((first, second)), _FEW, keeps=[search.kept(mapping)])
        met = inf
        for cuts in (cuts for leaf in own.leaves([farthest]) for cuts in leaf.cuts):
            value, made = search.offer(search.kept(mapping), cuts) or (inf, mapping)
            places = stays(search.architecture, search.einsum, made)
            met = min(met, value if places[first] <= places[second] else inf)
        (i, a), (j, b) = first, second
        yield f"{names[i]} {a} stay no shorter than {names[j]} {b}", own.bound, met


def _replaced_before(search: UnevenSearch, mapping: Mapping) -> Iterator[Order]:
    """Pairs of tensors at levels side by side; tiles of the first are replaced while those of the second stay
    in place, and might be the other way round."""
    architecture, places = search.architecture, stays(search.architecture, search.einsum, mapping)
    for (i, a), (j, b) in permutations(places, 2):
        zone = next(zone for zone in architecture.zones if i in zone)
        if (places[i, a] > places[j, b] and a != b and j in zone
                and (i <= j or passes_freely(architecture, zone))):
            yield (i, a), (j, b)


def stays(architecture: Architecture, einsum: Einsum, mapping: Mapping) -> dict[Place, int]:
    """By level and tensor how many of the loops in time, the outermost first, may run before a tile is
    replaced."""
    outside: list[str] = []
    found = {}
    for block in mapping:
        i = architecture.level_index(block.level)
        for name in sorted(block.keep) if i else ():
            moving = [k for k, rank in enumerate(outside) if rank in einsum.tensor(name).ranks]
            found[i, name] = max(moving, default=-1) + 1
        outside += [loop.rank for loop in block.temporal if loop.factor > 1]
    return found


def uneven_waterfall(space: Mapspace, chains: CutSearch | None, best: float,
                     evaluated: int) -> tuple[Drop, ...]:
    """What is left of the mapspace step by step, as `waterfall` says it of mappings cut level by level."""
    uneven = UnevenSpace(space)
    drops = []
    if uneven.counted:
        size, (share, exactness) = uneven.size, uneven.fitting_share()
        drops = [Drop("allowed by machine and constraints, cut anywhere", size, "exact"),
                 Drop("fit capacities and arrays", share * size, exactness)]
        if chains is not None:
            left, bounds = share * size, chains.bounds
            below = {keep for keep, bound in bounds.items() if bound < best * (1.0 - ROUNDING)}
            for step, keeps in (("not ruled out by quick bounds", bounds.keys() - chains.pruned(best)),
                                ("left open by chains of cuts", below)):
                left = min(left, fsum(map(uneven.size_of, keeps)))     # in any order
                drops.append(Drop(step, left, "at most" if left else "exact"))
    return (*drops, Drop("evaluated", float(evaluated), "exact"), Drop("best", 1.0, "exact"))
