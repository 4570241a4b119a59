"""What the classes lose that make one choice otherwise than the best mapping does."""

from __future__ import annotations

from math import inf, prod
from typing import Iterable, Iterator, Mapping, Sequence

from ...bounds.programs.bound import bound_region
from ...bounds.region import TRIVIAL, Region
from ...bounds.whole import has_whole_bound, whole_bound
from ...mapping.template import Keep, slot
from ..certificate import Certificate
from ..keeps import Decision
from ..layer import LayerSearch
from ..local import Found
from ..space import Mapspace
from ..tree import Node
from .explanation import RunnerUp
from .waterfall import leaves

#: What a class does otherwise; what is proven of it, and the best that was met in it, both inf for none.
Class = tuple[str, float, float]

_LATTICES = 24          # choices of what levels keep that are looked into,
FARTHEST = 1.1         # as far as they lose no more than ten percent
_ORDERS = 16            # innermost loops that are bounded for the classes of other orders


def runners_up(search: LayerSearch, region: Region, floor: float,
               certificate: Certificate, closely: bool) -> tuple[RunnerUp, ...]:
    """The classes that keep one tensor at one level and do not where the best does, or the other way round;
    and those that reuse other tensors in the innermost loop of one level. Those that lose least come
    first. `region` is the class of the best mapping, `floor` a bound on the energy of all mappings.

    `closely`: where the best is proven to be that, the classes next to it are bounded by their lattices,
    which takes up to as long as the search did."""
    # Where something better might turn up, the search is the place for it, not its explanation.
    able = has_whole_bound(search.lattice) and search.powers[0] > 0 and not (
        search.space.imperfect or search.space.architecture.sparse)
    farthest = FARTHEST * certificate.value if closely and able and certificate.status == "optimal" else 0.0
    classes = (*_other_keeps(search, region, farthest), *_other_orders(search, region, floor))
    return ranked(classes, certificate)


def ranked(classes: Iterable[Class], certificate: Certificate) -> tuple[RunnerUp, ...]:
    """What classes lose, those first that lose least."""
    return tuple(sorted((_runner_up(*x, certificate) for x in classes), key=lambda x: (
        not x.fits, max(x.at_least or 0.0, 0.0), inf if x.found is None else x.found)))


def _runner_up(choice: str, bound: float, found: float, certificate: Certificate) -> RunnerUp:
    value = certificate.value
    if not 0.0 < value < inf:
        return RunnerUp(choice, 0.0, None, bound < inf)
    bound = max(bound, certificate.lower_bound)      # that of all mappings
    return RunnerUp(choice, min(bound, found) / value - 1.0 if bound < inf else None,
                    found / value - 1.0 if found < inf else None, bound < inf)


def _other_keeps(search: LayerSearch, region: Region, farthest: float) -> Iterator[Class]:
    """From the regions of the search: each was bounded, or all of its mappings were evaluated; and looked
    into up to `farthest`."""
    if search.trace.root is None:
        return
    ends = [(node.region, _proven(search, node)) for node in leaves(search.trace.root)]
    if farthest:
        ends = _looked_into(search, ends, region.keep, farthest)
    yield from other_keeps(search.space, region.keep, ends, search.trace.best)


def other_keeps(space: Mapspace, best: Keep, ends: Sequence[tuple[Region, float]],
                met: Mapping[Keep, float]) -> Iterator[Class]:
    """The classes in which one level keeps one tensor and does not in `best`, or the other way round; `ends`
    are all regions with what is proven of each, `met` the least values met by what levels keep."""
    for tensor, columns in space.choices.columns.items():
        for level, name in enumerate(x.name for x in space.architecture.levels):
            if len({level in column for column in columns}) < 2:
                continue
            kept = tensor not in best[level]
            bound = min((own for other, own in ends if _may(other, (level, tensor), kept)), default=inf)
            found = min((own for keep, own in met.items() if (tensor in keep[level]) == kept), default=inf)
            yield f"{name} {'keeps' if kept else 'bypasses'} {tensor}", bound, found


def _looked_into(search: LayerSearch, ends: list[tuple[Region, float]], best: Keep,
                 farthest: float) -> list[tuple[Region, float]]:
    """The regions with their bounds, those that may hold something better than `farthest`, or than as far as
    a number of choices goes, bounded by their lattices: the search itself only asks whether they hold
    something better than the best."""
    space, count = search.space, 0
    whole = {region: prod(map(len, space.choices.left(region).values())) for region, _ in ends
             if region.open or region == space.root(region.keep)}
    for region, bound in sorted(ends, key=lambda x: x[1]):
        count += whole.get(region, 0)
        if count > _LATTICES:
            farthest = min(bound, farthest)
    found = []
    for region, bound in ends:
        if bound >= farthest or region not in whole:
            found.append((region, bound))
            continue
        for own in map(space.root, space.choices.completions(region)):
            found.append((own, bound if own.keep == best else max(bound, _by_lattice(search, own, farthest))))
    return found


def _by_lattice(search: LayerSearch, region: Region, farthest: float) -> float:
    """What no mapping of the region lies below, `farthest` at the most; mappings that attain it are noted."""
    solved = whole_bound(search.lattice, region.keep, *search.powers, search.cap).solve(farthest)
    if solved is None:
        return 0.0
    bound, tilings = solved
    options = search.space.order_options(region)
    for tiling in tilings:
        start = Found(inf, region.keep, tuple(orders[0] for orders in options), tiling.factors)
        found = search.explorer.best_order(start, options)
        search.trace.offered(found.keep, found.value, search.explorer.evaluated, False)
    return bound


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


def _other_orders(search: LayerSearch, region: Region, floor: float) -> Iterator[Class]:
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
