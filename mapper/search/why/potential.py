"""What wider mapspaces could save at most, of what the best mapping of one layer costs."""

from __future__ import annotations

from dataclasses import replace

from ..certificate import Certificate, Potential
from ..imperfect import ImperfectSearch
from ..layer import LayerSearch
from ..uneven.uneven import uneven_bound

#: Less than this share of a value is not worth a word.
WORTH = 0.01
_SOLVES = 12


def potentials(search: LayerSearch, certificate: Certificate) -> tuple[Potential, ...]:
    """What could be saved in the first objective by considering mappings that `search` does not, as far as
    more than `WORTH` of the value cannot be ruled out."""
    if (search.best is None or search.among is not None or search.limits.over(search.started)
            or search.space.rules.constraints.imperfect or search.space.architecture.sparse):
        return ()
    found = (_imperfect(search, certificate), _uneven(search))
    return tuple(x for x in found if x is not None and x.share(certificate.value) > WORTH)


def _imperfect(search: LayerSearch, certificate: Certificate) -> Potential | None:
    assert search.best is not None
    other = ImperfectSearch(search.space.architecture, search.space.einsum, search.objective,
                            constraints=replace(search.space.rules.constraints, imperfect=True))
    if not other.space.imperfect:
        return None
    return Potential("imperfect", *other.relaxed(
        replace(search.best, value=certificate.value), _SOLVES, WORTH))


def _uneven(search: LayerSearch) -> Potential | None:
    found = uneven_bound(search.space.architecture, search.space.einsum, search.objective,
                         search.space.rules.constraints)
    return None if found is None else Potential("uneven", *found)

