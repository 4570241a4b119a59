"""Cycles that bandwidths ask for, over the lattice of divisors.

A word that goes through a port of a level takes `1 / bandwidth` cycles there, as it takes energy: so
cycles are counted like energies, at other prices. The middle tile of the fewest cycles need not be that of
the least energy: each is the least for itself, which bounds both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

import numpy as np

from ...hardware.architecture import Architecture, Storage
from ...mapping.template import Keep
from ...workload.einsum import Tensor
from .lattice import Lattice
from .traffic import Load, Pairs, Traffic

_READ, _WRITE = ("read",), ("fill", "update")


@dataclass(frozen=True)
class PortPrices:
    """Cycles a word at one port of a level; the interface of `Prices` as far as traffic needs it."""

    spec: Storage
    level: int
    actions: tuple[str, ...]
    bandwidth: float
    sparse = False

    def word(self, keep: Keep, level: int, tensor: str, action: str) -> float:
        if level != self.level or action not in self.actions:
            return 0.0
        return dict(self.spec.bandwidth_scale).get(tensor, 1.0) / self.bandwidth

    def moved(self, keep: Keep, level: int, tensor: str) -> float:
        return 0.0

    def held(self, level: int, tensor: str) -> float:
        return 1.0

    def computes(self, keep: Keep) -> float:
        return 0.0

    def rounded_away(self, keep: Keep) -> float:
        return 0.0


class Port(Traffic):
    """Cycles of one port, for one keep/bypass choice."""

    blocks = False

    def __init__(self, lattice: Lattice, keep: Keep, prices: PortPrices) -> None:
        self.prices, self.figure = prices, (prices.level, prices.actions)
        self.level = prices.level
        super().__init__(lattice, keep)

    def of(self, outer: str, fixed: frozenset[str], point: np.ndarray) -> np.ndarray:
        """Cycles of what passes the boundary above the middle level, at the least (see `Traffic._table`)."""
        return self._table(outer, fixed)[point]

    def load(self, tensor: Tensor, pairs: Pairs) -> Load:
        """Cycles of what a tensor moves below the middle level, of all instances together."""
        return self._load(tensor, pairs)

    def per_instance(self, cycles: np.ndarray, instances: np.ndarray) -> np.ndarray:
        """Cycles of one instance, of those that all of them take together."""
        return cycles / instances if self.level > self.middle else cycles


def ports(lattice: Lattice, keep: Keep) -> Iterator[Port]:
    """All ports of a dense machine that have a limit."""
    for prices in () if lattice.prices.sparse else port_prices(lattice.arch):
        yield Port(lattice, keep, prices)


def port_prices(architecture: Architecture) -> Iterator[PortPrices]:
    """Cycles a word of all ports that have a limit."""
    for i, level in enumerate(architecture.levels):
        for bandwidth, actions in ((level.read_bandwidth, _READ), (level.write_bandwidth, _WRITE),
                                   (level.shared_bandwidth, _READ + _WRITE)):
            if bandwidth is not None:
                yield PortPrices(level, i, actions, bandwidth)
