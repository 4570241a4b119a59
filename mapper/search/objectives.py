"""What is made least, and how a search for it may end."""

from __future__ import annotations

from ..bounds.cap import UNCAPPED, Cap
from ..bounds.programs.bound import ROUNDING
from ..spec.nodes import did_you_mean

#: What asks for the front of cycles and energy.
PARETO = "pareto"

#: Objectives, with the exponents of energy and of cycles in what is minimised.
OBJECTIVES: dict[str, tuple[int, int]] = {
    "energy": (1, 0), "latency": (0, 1), "edp": (1, 1), "ed2p": (1, 2)}


def objective_value(objective: str, energy_pj: float, cycles: float) -> float:
    """The figure that `objective` minimises: pJ, cycles, pJ x cycles or pJ x cycles^2."""
    energy_power, cycles_power = OBJECTIVES[objective]
    return energy_pj ** energy_power * cycles ** cycles_power


#: How a search may end for one layer, the best end first.
STATUSES = ("optimal", "gap_reached", "heuristic", "time_limit")


def ended(value: float, bound: float, gap: float, stopped: bool) -> tuple[float, str]:
    """How a search has ended that has found a mapping of `value` and proven that none lies below `bound`: its
    lower bound, which is the value where the two are equal but for rounding, and its status."""
    if bound >= value * (1.0 - ROUNDING):
        return value, "optimal"
    if (value - bound) / value <= gap:
        return bound, "gap_reached"
    return bound, "time_limit" if stopped else "heuristic"


#: Among mappings that are equal in an objective, the one with the least of this.
_THEN = {"energy": "latency", "latency": "energy"}


def stages(objective: str) -> tuple[str, ...]:
    """What is made least, and what among mappings that are equal in that.

    >>> stages("edp"), stages("latency"), stages("edp,energy")
    (('edp',), ('latency', 'energy'), ('edp', 'energy'))

    Raises ValueError for what is no objective, or more than two.
    """
    names = tuple(objective.split(","))
    for name in names:
        if name not in OBJECTIVES:
            raise ValueError(f"objective {objective!r}; expected one of {', '.join(OBJECTIVES)}, or two of "
                             f"them with a comma between, or {PARETO}"
                             f"{did_you_mean(name, [*OBJECTIVES, PARETO])}")
    if len(names) > 2 or len(set(names)) < len(names):
        raise ValueError(f"objectives {objective!r}; expected one, or two that differ: mappings equal in two "
                         "are equal in all")
    return names if len(names) > 1 or objective not in _THEN else (objective, _THEN[objective])


def require_objective(asked: str) -> None:
    """Raise ValueError unless a search can be asked for this: `PARETO`, or what `stages` takes."""
    if asked != PARETO:
        stages(asked)


def cap(among: tuple[str, float] | None) -> Cap:
    """The mappings of which a certificate speaks (see `Certificate.among`)."""
    return UNCAPPED if among is None else Cap(*OBJECTIVES[among[0]], among[1])
