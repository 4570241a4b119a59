"""One objective after another: among mappings no worse in the first, the best in the second."""

from __future__ import annotations

from dataclasses import replace

from ..mapping.nest import Mapping
from .certificate import Certificate
from .layer import LayerSearch
from .limits import Limits
from .objectives import STATUSES, stages

#: For a second objective that nobody asked for, which only tells equal mappings apart.
_EFFORT = Limits(bounds=100, choices=1024)


def second_stage(first: LayerSearch, mapping: Mapping, certificate: Certificate, objective: str,
                 limits: Limits) -> tuple[Mapping, Certificate]:
    """Search among mappings no worse in the first stage of `objective` than what `first` has found for the
    best in its second, with the certificate of that under `Certificate.then`.

    `first` has given `mapping` and `certificate`; the `limits` are those of a stage that was asked for. One
    that was not, which follows energy and latency all the same, gets a share of the effort. Nothing is done
    where `objective` has no second stage, or when the time is up.
    """
    (_, *later), best = stages(objective), first.best
    asked = "," in objective
    if not later or best is None or limits.over(first.started):
        return mapping, unfinished(certificate, objective)
    second = type(first)(
        first.space.architecture, first.space.einsum, later[0],
        limits.left(first.started) if asked else replace(
            _EFFORT, seconds=limits.left(first.started).seconds, stopped=limits.stopped), first.seed,
        constraints=first.space.rules.constraints, known=best, among=(first.objective, best.value))
    second.go_on_from(first)
    mapping, then = second.run()
    assert second.best is not None
    found = first.explorer.values(second.best.keep, second.best.orders, second.best.factors[None])
    value = min(float(found[0]), best.value)
    return mapping, joined(certificate, value, then, asked)


def unfinished(first: Certificate, objective: str) -> Certificate:
    """The certificate where there is but the first stage of `objective`: of two that were asked for, the
    second is not proved."""
    asked = "," in objective
    return replace(first, status=max(first.status, "time_limit", key=STATUSES.index)) if asked else first


def joined(first: Certificate, value: float, then: Certificate, asked: bool) -> Certificate:
    """The certificate of both stages; `value` is what the mapping of the second has in the first."""
    both = first.about(value)
    status = max(both.status, then.status, key=STATUSES.index) if asked else both.status
    return replace(both, status=status, then=then, seconds=first.seconds + then.seconds)
