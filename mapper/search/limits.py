"""When a search stops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from time import monotonic
from typing import Callable


def never() -> bool:
    """For `Limits.stopped`: nobody stops the search."""
    return False


@dataclass(frozen=True)
class Limits:
    """When a search stops: `gap` reached, `bounds` regions bounded in which it is decided what levels
    keep and more, or `choices` in which no more than that is, `seconds` passed, or `stopped()` true. The
    first three do not depend on the clock."""

    gap: float = 0.0
    bounds: int = 400
    choices: int = 8192
    dives: int = 3               # how often what levels keep is decided all the way before bounds lead
    draws: int = 2               # how often a gap that is left is tried to be closed from mappings drawn anew
    climbs: int = 24             # in regions that `bounds` counts, and so many in others
    seconds: float = inf
    stopped: Callable[[], bool] = never

    def over(self, started: float) -> bool:
        """Whether the time of a search that has `started` then is up, or it is stopped from outside."""
        return self.stopped() or monotonic() - started >= self.seconds

    def left(self, started: float) -> Limits:
        """What is left of them for a search that follows one that has `started` then."""
        return replace(self, seconds=max(self.seconds - (monotonic() - started), 0.0))


NO_LIMITS = Limits()
