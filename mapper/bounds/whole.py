"""The bound over whole factors that suits a machine."""

from __future__ import annotations

from ..mapping.template import Keep
from .cap import UNCAPPED, Cap
from .lattice.bound import LatticeBound
from .lattice.lattice import Lattice
from .tower.bound import TowerBound
from .tower.tower import Tower

_MOST_WAYS = 10_000_000       # of levels to keep tensors next, times lattice points


def has_whole_bound(lattice: Lattice, by_energy: bool = True) -> bool:
    """Whether there is one, where energy matters or cycles alone do."""
    return by_energy if lattice.applies else _tower(lattice).applies


def has_open_bound(lattice: Lattice, loose: Keep, by_energy: bool = True) -> bool:
    """Whether there is one while it is open what levels keep of `loose`."""
    tower = _tower(lattice)
    return by_energy and tower.applies and tower.ways_to_keep(loose) <= _MOST_WAYS


def whole_bound(lattice: Lattice, keep: Keep, energy_power: int, cycles_power: int,
                cap: Cap = UNCAPPED, loose: Keep = ()) -> LatticeBound | TowerBound:
    """The bound for one keep/bypass choice: that of a single array near the outermost level, else the one of
    any arrays; this is the one, too, for all choices in which levels keep some of `loose` besides."""
    if lattice.applies and not loose:
        return LatticeBound(lattice, keep, energy_power, cycles_power, cap)
    return TowerBound(_tower(lattice), keep, energy_power, cycles_power, cap, loose)


def _tower(lattice: Lattice) -> Tower:
    return lattice.once("tower", lambda: Tower(lattice))
