"""What wider mapspaces could save at most, of what the best mapping of one layer costs."""

from __future__ import annotations

from dataclasses import replace

from .imperfect import ImperfectSearch
from .layer import LayerSearch
from .result import Certificate, Potential

#: Less than this share of a value is not worth a word.
WORTH = 0.01
_SOLVES = 12


def potentials(search: LayerSearch, certificate: Certificate) -> tuple[Potential, ...]:
    """What could be saved in the first objective by considering mappings that `search` does not, as far as
    more than `WORTH` of the value cannot be ruled out."""
    best, constraints = search.best, search.space.rules.constraints
    if (best is None or search.among is not None or search.limits.stopped()
            or constraints.imperfect or search.space.architecture.sparse):
        return ()
    other = ImperfectSearch(search.space.architecture, search.space.einsum, search.objective,
                            constraints=replace(constraints, imperfect=True))
    if not other.space.imperfect:
        return ()
    bound, dual = other.relaxed(replace(best, value=certificate.value), _SOLVES, WORTH)
    found = Potential("imperfect", bound, dual)
    return (found,) if found.share(certificate.value) > WORTH else ()

