"""Check an explanation: solve the program of the class again, count mappings again, look at the course."""

from __future__ import annotations

from itertools import pairwise
from math import isclose
from typing import Iterator

from ..mapping.nest import Mapping
from ..search.certificate import Certificate
from ..search.objectives import OBJECTIVES, cap
from ..search.result import LayerResult, NetworkResult
from ..search.space import Mapspace
from ..search.why.explain import binding, class_of, opened
from ..search.why.explain_uneven import uneven_waterfall
from ..search.why.explanation import Explanation, Worth
from ..search.why.waterfall import waterfall

#: Differences between solutions of one program: relative ones of its value, and of elasticities in percent.
_SOLVED, _PERCENT = 1e-4, 2e-3


def explanation_faults(result: NetworkResult, layer: LayerResult) -> Iterator[str]:
    """What an explanation says that does not come out again. Not looked at: what other classes lose, seconds,
    and what bounds and lattices left of the mapspace."""
    claimed = layer.certificate
    if claimed is None or (stated := claimed.explanation) is None:
        return
    yield from _binding(*opened(result.architecture, layer.einsum, result.constraints, layer.mapping),
                        claimed, stated)
    space = Mapspace(result.architecture, layer.einsum, result.constraints)
    count = uneven_waterfall if result.constraints.uneven else waterfall
    counted = {x.step: x for x in count(space, None, claimed.value, claimed.evaluated)}
    for drop in stated.drops:
        if drop.step in counted and not isclose(drop.mappings, counted[drop.step].mappings, rel_tol=1e-9):
            yield (f"explanation: states {drop.mappings:.6g} mappings, {drop.step}; there are "
                   f"{counted[drop.step].mappings:.6g}")
    for before, after in pairwise(stated.moments):
        if after.value > before.value or after.bound < before.bound or after.evaluated < before.evaluated:
            yield f"explanation: after {after.seconds:.3g} s the best, the bound or the count goes back"


def _binding(space: Mapspace, mapping: Mapping, claimed: Certificate,
             stated: Explanation) -> Iterator[str]:
    """Where the relaxed bound of the class, or what binds it, comes out otherwise."""
    bound, worths = binding(space.relaxation(cap(claimed.among)), class_of(space, mapping),
                            OBJECTIVES[claimed.objective])
    if not isclose(bound, stated.bound, rel_tol=_SOLVED):
        yield (f"explanation: states a relaxed bound of {stated.bound:.9g} for its class, which has "
               f"{bound:.9g}")
    found = {(x.level, x.figure): x for x in worths}
    if found.keys() != {(x.level, x.figure) for x in stated.worths}:
        yield "explanation: states what binds of other figures than the machine has"
    for x in stated.worths:
        other = found.get((x.level, x.figure))
        if other is not None and not _same(x, other, bound):
            yield (f"explanation: {x.level} {x.figure} of {x.have:.6g} binds by {x.elasticity:.6g} %; it is "
                   f"{other.have:.6g}, by {other.elasticity:.6g} %")


def _same(x: Worth, other: Worth, bound: float) -> bool:
    """Whether two statements of what a figure is worth agree."""
    return (x.have == other.have and abs(x.elasticity - other.elasticity) <= _PERCENT
            and abs(x.marginal - other.marginal) <= _PERCENT * abs(bound) / x.have)
