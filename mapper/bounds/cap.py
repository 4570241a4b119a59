"""A limit on one figure, under which another one is made least."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

#: Share by which a figure may pass its limit: sums are taken in different orders.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Cap:
    """Only mappings count with `energy^energy_power * cycles^cycles_power` no more than `most` (pJ and
    cycles)."""

    energy_power: int
    cycles_power: int
    most: float

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.most < inf)

    def admits(self, energy_pj: Any, cycles: Any) -> Any:
        """Whether mappings with these figures count; arrays of one shape, or numbers."""
        limit = self.most * (1.0 + _ROUNDING)
        with np.errstate(over="ignore"):
            return energy_pj ** self.energy_power * cycles ** self.cycles_power <= limit

    @property
    def most_cycles(self) -> float:
        """Cycles that no mapping that counts exceeds; inf where that depends on its energy."""
        return inf if self.energy_power else (self.most * (1.0 + _ROUNDING)) ** (1.0 / self.cycles_power)

    def most_energy(self, cycles: Any) -> Any:
        """Energy, pJ, that no mapping that counts and takes `cycles` (or more) exceeds, and a little more."""
        if not self.energy_power:
            return np.where(np.asarray(cycles) <= self.most_cycles, inf, -inf)
        return (self.most * (1.0 + 1e-9) / cycles ** self.cycles_power) ** (1.0 / self.energy_power)


#: All mappings count.
UNCAPPED = Cap(0, 1, inf)
