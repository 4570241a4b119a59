"""What there is to say about why a mapping is the best."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..trace import Moment


@dataclass(frozen=True)
class Worth:
    """What one more of a figure of the machine is worth, to the first order, in the relaxed bound of the
    class of the mapping. `figure` is "capacity" (words), a bandwidth (words a cycle and instance) or
    "array x", "array y" (instances); there is `have` of it at `level`. The bound changes by `elasticity`
    percent for one percent more, and by `marginal` (the unit of the objective) for one more."""

    level: str
    figure: str
    have: float
    elasticity: float
    marginal: float


@dataclass(frozen=True)
class RunnerUp:
    """The class of all mappings that make one choice otherwise than the best does. Relative to the best value
    they lose `at_least` (proven; below 0 where that is open, None where none of them fits), and the best of
    them that was met loses `found` (None: none was met)."""

    choice: str
    at_least: float | None
    found: float | None
    fits: bool = True


@dataclass(frozen=True)
class Drop:
    """How many mappings are left after a step of the search. `exactness`: "exact", "about" (estimated from a
    sample) or "at most"."""

    step: str
    mappings: float
    exactness: str


@dataclass(frozen=True)
class Explanation:
    """`bound` is the relaxed bound of the class that keeps what the mapping keeps and has its innermost
    loops. `moments` depend on the clock, all else does not."""

    bound: float
    worths: tuple[Worth, ...]
    runners_up: tuple[RunnerUp, ...]
    drops: tuple[Drop, ...]
    moments: tuple[Moment, ...] = field(default=(), compare=False)
