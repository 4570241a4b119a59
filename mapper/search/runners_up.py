"""What the classes lose that make one choice otherwise than the best mapping does."""

from __future__ import annotations

from math import inf
from typing import Iterator

from ..bounds.bound import bound_region
from ..bounds.region import TRIVIAL, Region
from ..mapping.template import slot
from .explanation import RunnerUp
from .keeps import Decision
from .layer import LayerSearch, Node
from .result import Certificate
from .waterfall import leaves

_ORDERS = 16            # innermost loops that are bounded for the classes of other orders


def runners_up(search: LayerSearch, region: Region, floor: float,
               certificate: Certificate) -> tuple[RunnerUp, ...]:
    """The classes that keep one tensor at one level and do not where the best does, or the other way round;
    and those that reuse other tensors in the innermost loop of one level. Those that lose least come
    first. `region` is the class of the best mapping, `floor` a bound on the energy of all mappings."""
    found = [_runner_up(*x, certificate) for x in (
        *_other_keeps(search, region), *_other_orders(search, region, floor))]
    return tuple(sorted(found, key=lambda x: (not x.fits, max(x.at_least or 0.0, 0.0),
                                              inf if x.found is None else x.found)))


def _runner_up(choice: str, bound: float, found: float, certificate: Certificate) -> RunnerUp:
    """`bound` is what is proven of the class, `found` the best that was met in it, both inf for none."""
    value = certificate.value
    if not 0.0 < value < inf:
        return RunnerUp(choice, 0.0, None, bound < inf)
    bound = max(bound, certificate.lower_bound)      # that of all mappings
    return RunnerUp(choice, min(bound, found) / value - 1.0 if bound < inf else None,
                    found / value - 1.0 if found < inf else None, bound < inf)


def _other_keeps(search: LayerSearch, region: Region) -> Iterator[tuple[str, float, float]]:
    """From the regions of the search: each was bounded, or all of its mappings were evaluated."""
    if search.trace.root is None:
        return
    names = [level.name for level in search.space.architecture.levels]
    ends = [(node.region, _proven(search, node)) for node in leaves(search.trace.root)]
    for tensor, columns in search.space.choices.columns.items():
        for level, name in enumerate(names):
            if len({level in column for column in columns}) < 2:
                continue
            kept = tensor not in region.keep[level]
            bound = min((own for other, own in ends if _may(other, (level, tensor), kept)), default=inf)
            best = min((own for keep, own in search.trace.best.items() if (tensor in keep[level]) == kept),
                       default=inf)
            yield f"{name} {'keeps' if kept else 'bypasses'} {tensor}", bound, best


def _may(region: Region, decision: Decision, kept: bool) -> bool:
    """Whether mappings of a region may keep a tensor at a level, or (`kept` false) not keep it."""
    level, tensor = decision
    loose = bool(region.open) and tensor in region.open[level]
    return loose or (tensor in region.keep[level]) == kept


def _proven(search: LayerSearch, node: Node) -> float:
    """What no mapping of a region that was not split lies below."""
    if node.method == "enumerated":
        return max(node.bound.value, search.trace.best.get(node.region.keep, inf))
    return node.value


def _other_orders(search: LayerSearch, region: Region,
                  floor: float) -> Iterator[tuple[str, float, float]]:
    """Bounded anew, with what levels keep as it is; the tiling of the best mapping is tried as well."""
    space, left = search.space, _ORDERS
    for level, inner in enumerate(region.innermost):
        if inner is None or inner == TRIVIAL:
            continue
        groups: dict[frozenset[str], list[str]] = {}
        for rank in sorted({order[-1] for order in space.orders[level]} & set(space.ranks)):
            if space.reused_by[rank] != space.reused_by[inner]:
                groups.setdefault(space.reused_by[rank], []).append(rank)
        for reused, ranks in groups.items():
            left -= len(ranks)
            if left < 0:
                return
            parts = [space.root(region.keep).with_innermost(level, rank) for rank in ranks]
            bound = min(bound_region(search.relaxation, part, *search.powers, floor).value for part in parts)
            tried = min((_reordered(search, region, level, rank) for rank in ranks), default=inf)
            what = f"{', '.join(sorted(reused))} reused" if reused else "nothing reused"
            name = space.architecture.levels[level].name
            yield f"{name} innermost loop {'/'.join(ranks)}, {what}", bound, tried


def _reordered(search: LayerSearch, region: Region, level: int, rank: str) -> float:
    """The objective of the best mapping with the loop of `rank` innermost at a level; inf where it has none,
    or where that takes long to say."""
    best = search.best
    if best is None or best.keep != region.keep or search.space.imperfect:
        return inf
    if best.factors[slot(level, "temporal"), search.space.einsum.ranks.index(rank)] < 2:
        return inf
    order = (*(r for r in best.orders[level] if r != rank), rank)
    found = search.explorer.best_of(best.keep, (*best.orders[:level], order, *best.orders[level + 1:]),
                                    best.factors[None])
    return inf if found is None else found.value
