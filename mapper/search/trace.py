"""What a search notes down on its way, so that its answer can be explained."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from ..mapping.template import Keep

if TYPE_CHECKING:
    from .tree import Node

_MOST = 400     # moments kept; the bound may rise many times


@dataclass(frozen=True)
class Moment:
    """The state of a search `seconds` after its start: mappings `evaluated`, the best `value` so far and
    the `bound` proven so far, 0 for none."""

    seconds: float
    evaluated: int
    value: float
    bound: float


@dataclass
class Trace:
    """`moments` in which the best value or the bound changed; `best` the least value found by what levels
    keep; `root` all regions, once there are any."""

    started: float = field(default_factory=monotonic)
    moments: list[Moment] = field(default_factory=list)
    best: dict[Keep, float] = field(default_factory=dict)
    root: Node | None = None

    def offered(self, keep: Keep, value: float, evaluated: int, better: bool) -> None:
        """Note a mapping that was found, `better` than all before or not."""
        self.best[keep] = min(value, self.best.get(keep, inf))
        if better:
            self._note(evaluated, value, self.bound)

    @property
    def bound(self) -> float:
        """The bound proven so far, 0 for none."""
        return self.moments[-1].bound if self.moments else 0.0

    def proven(self, evaluated: int, bound: float) -> None:
        """Note what has been proven."""
        if self.moments and bound > self.bound:
            self._note(evaluated, self.moments[-1].value, min(bound, self.moments[-1].value))

    def _note(self, evaluated: int, value: float, bound: float) -> None:
        moment = Moment(monotonic() - self.started, evaluated, value, bound)
        if len(self.moments) >= _MOST and value == self.moments[-1].value:
            self.moments.pop()
        self.moments.append(moment)
