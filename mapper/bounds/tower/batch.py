"""What some shapes of all arrays cost at the least, on machines with arrays at several levels."""

from __future__ import annotations

from functools import cached_property
from math import inf

import numpy as np

from ...mapping.template import Keep
from ...model.energy import gate, leakage_per_cycle
from ...model.network import network_cycles
from ..cap import Cap
from .cuts import CutSteps, Room
from .flow import Energy, Flows, Mixed, ports
from .steps import Pay, Steps
from .tower import Shapes, Tower

#: The index of a port of the machine (none: energy alone), and what a cycle of it weighs, pJ; infinitely much
#: where energy does not count.
Weighed = tuple[int | None, float]


class Batch:
    """Some shapes, of machines whose levels `keep` tensors for sure, and `loose` ones perhaps; with `room`
    for tiles, tensors are cut anywhere (see `CutSteps`)."""

    def __init__(self, tower: Tower, keep: Keep, shapes: Shapes,
                 loose: Keep = (), room: Room | None = None) -> None:
        self.tower, self.keep, self.shapes, self.room = tower, keep, shapes, room
        self.flows = Flows(tower, keep, loose, shapes)
        self.energy = Energy(self.flows)
        self.ports = ports(self.flows)
        #: Cycles of the units.
        self.busy = self.flows.macs / shapes.instances[:, -1]

    def steps(self, port: int | None, weights: np.ndarray, most: np.ndarray | float = inf,
              note: bool = False) -> Steps:
        """The least energy, with so many times the cycles of a port; no more than `most`."""
        pay: Pay = self.energy
        if port is not None:
            alone = np.isinf(weights).all()
            pay = self.ports[port] if alone else Mixed(self.energy, self.ports[port], weights)
        return Steps(self.flows, pay, most, note) if self.room is None else CutSteps(
            self.flows, pay, self.room, note)

    def least(self, port: int | None, weights: np.ndarray, most: np.ndarray | float = inf) -> np.ndarray:
        """What `steps` gives for every shape, inf where nothing fits."""
        return self.steps(port, weights, most).least()

    def most_energy(self, powers: tuple[int, int], value: float) -> np.ndarray:
        """The energy but for leakage at which the objective comes to a value, by shape."""
        cycles = self.busy + network_cycles(self.tower.l.arch, "exact")
        return np.asarray((value / cycles ** powers[1]) ** (1.0 / max(powers[0], 1)) - self.leak * self.busy)

    def soonest(self) -> np.ndarray:
        """Cycles if all streams bring every word but once, or less."""
        return np.max([self.busy, *(port.least() for port in self.ports)], axis=0)

    def cycles(self, port: int) -> np.ndarray:
        """The fewest cycles that the units and a port may take."""
        return np.maximum(self.busy, self.least(port, np.full_like(self.busy, np.inf)))

    def objective(self, powers: tuple[int, int], cap: Cap, energy: np.ndarray,
                  busy: np.ndarray) -> np.ndarray:
        """The objective by shape, of so much energy but for leakage, and so many cycles of work; inf where a
        cap admits none."""
        energy, cycles = energy + self.leak * busy, busy + network_cycles(self.tower.l.arch, "exact")
        value = energy ** powers[0] * cycles ** powers[1]
        return np.asarray(np.where(energy <= cap.most_energy(cycles), value, np.inf))

    @cached_property
    def leak(self) -> np.ndarray:
        """Leakage of all levels, pJ a cycle, by shape: of instances at work, and of what these switch on."""
        total, instances = np.zeros(len(self.busy)), self.shapes.instances
        for i, level in enumerate(self.tower.l.arch.levels):
            if leak := leakage_per_cycle(level):
                switch, switched = gate(self.tower.l.arch, i)
                total = total + leak * switched * instances[:, switch]
        return total
