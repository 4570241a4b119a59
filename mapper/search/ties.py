"""Of mappings that are equal in energy or in cycles, the one with the least of the other."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from time import monotonic

from ..bounds.bound import ROUNDING
from ..mapping.nest import Mapping
from .layer import LayerSearch, Limits
from .result import Certificate

_EFFORT = Limits(bounds=100, choices=1024)


def settle(search: LayerSearch, mapping: Mapping, certificate: Certificate) -> tuple[Mapping, Certificate]:
    """The best mapping found by the other of energy and cycles among those no worse in the objective than
    what `search` has found, and the certificate of that search with the effort added.

    Among mappings with equal cycles the least energy is searched for as such; among those with equal energy
    the fewest cycles by local improvement. Not for other objectives, nor with remainders, whose evaluation
    takes too long.
    """
    best, left = search.best, search.limits.seconds - (monotonic() - search.started)
    if (search.objective not in ("energy", "latency") or best is None or search.space.imperfect
            or search.limits.stopped() or left <= 0.0):
        return mapping, certificate
    limit, started = best.value * (1.0 + 1e-12), monotonic()
    other, most = ("latency", (limit, inf)) if search.objective == "energy" else ("energy", (inf, limit))
    second = LayerSearch(search.space.architecture, search.space.einsum, other,
                         replace(_EFFORT, seconds=left, stopped=search.limits.stopped), search.seed,
                         constraints=search.space.rules.constraints, known=best, most=most)
    if other == "latency":
        second.refine()
    else:
        second.run()
    if second.best is None:
        return mapping, certificate
    found = search.explorer.best_of(second.best.keep, second.best.orders, second.best.factors[None])
    if found is None:
        return mapping, certificate
    value, proven = found.value, certificate.lower_bound >= found.value * (1.0 - ROUNDING)
    return second.mapping(found), replace(
        certificate, value=value, lower_bound=value if proven else certificate.lower_bound,
        relaxed_bound=min(certificate.relaxed_bound, value),
        status="optimal" if proven else certificate.status,
        bound_solves=certificate.bound_solves + second.solves,
        evaluated=certificate.evaluated + second.explorer.evaluated,
        seconds=certificate.seconds + monotonic() - started)
