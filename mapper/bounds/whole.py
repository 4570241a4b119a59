"""The bound over whole factors that suits a machine."""

from __future__ import annotations

from .cap import UNCAPPED, Cap
from .lattice import Lattice
from .lattice_bound import LatticeBound
from .tower import Tower
from .tower_bound import TowerBound


def has_whole_bound(lattice: Lattice, by_energy: bool = True) -> bool:
    """Whether there is one, where energy matters or cycles alone do."""
    return by_energy if lattice.applies else _tower(lattice).applies


def whole_bound(lattice: Lattice, keep: tuple[frozenset[str], ...], energy_power: int, cycles_power: int,
                cap: Cap = UNCAPPED) -> LatticeBound | TowerBound:
    """The bound for one keep/bypass choice: that of a single array near the outermost level, else the one of
    any arrays."""
    if lattice.applies:
        return LatticeBound(lattice, keep, energy_power, cycles_power, cap)
    return TowerBound(_tower(lattice), keep, energy_power, cycles_power, cap)


def _tower(lattice: Lattice) -> Tower:
    return lattice.once("tower", lambda: Tower(lattice))
