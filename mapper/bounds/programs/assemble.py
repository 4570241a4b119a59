"""Puts the program of a region together, from what was compiled for its tensors before (`TensorTerms`), and
takes the variables out of it that the region fixes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import exp, log

import numpy as np

from ...model.energy import gate, leakage_per_cycle
from ..cap import Cap
from ..region import Region
from .charges import TensorTerms
from .open_prices import OpenPrices
from .program import Label, Posynomial, Program, merged
from .terms import Terms
from .variables import Variables

#: A posynomial, and the column where the helper variables in it begin.
_Piece = tuple[Posynomial, int]


@dataclass(frozen=True)
class Row:
    """`scale` times the sum of the pieces times the number of cycles to a power."""

    pieces: list[_Piece]
    scale: float = 1.0
    cycles_power: float = 0.0
    label: Label | None = None


class Assembly(Terms):
    """The program of one region. Its variables are the factors, slot by slot, the cycles, and the helpers of
    one tensor after the other."""

    def __init__(self, variables: Variables, prices: OpenPrices, region: Region, tensors: list[TensorTerms],
                 least_cycles: float, cap: Cap) -> None:
        super().__init__(variables, region)
        self.prices, self.tensors, self.least_cycles, self.cap = prices, tensors, least_cycles, cap
        *self.helpers, self.used = accumulate((len(t.ceilings) for t in tensors), initial=self.cycles + 1)
        self.rows: list[Row] = []

    def program(self, arrays: list[Row], floor: float, asked: bool) -> Program | None:
        """The program of the least energy, or without it where it is not `asked` for, fixed variables
        included; None where nothing is left. `arrays`: what these have room for. `floor`: see
        `Relaxation.program`."""
        range_of_cycles = self._cycles()
        if range_of_cycles is None:
            return None
        offset = self.prices.rounded_away(self.region) + sum(t.offset for t in self.tensors)
        energy = self._energy() if asked else []
        self.rows = [Row(energy), *arrays, *self._least_units(), *self._capacities(), *self._paces(),
                     *self._cap(energy, offset, floor)]
        for tensor, column in zip(self.tensors, self.helpers, strict=True):
            self.rows += [Row([(limit, column)]) for limit in tensor.limits]
        least, most = (np.concatenate([own[:self.cycles], [limit], np.zeros(self.used - self.cycles - 1)])
                       for own, limit in zip((self.lower, self.upper), range_of_cycles, strict=True))
        for tensor, column in zip(self.tensors, self.helpers, strict=True):
            most[column:column + len(tensor.ceilings)] = tensor.ceilings
        every = np.arange(self.cycles).reshape(3 * self.scenario.depth, -1)
        groups = tuple((every[:, i], log(extent)) for i, extent in enumerate(self.einsum.extents))
        labels = {i: row.label for i, row in enumerate(self.rows[1:]) if row.label is not None}
        return Program(*self._stacked(), least, most, groups, self.cycles, 1, 0, offset, labels)

    def _stacked(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Exponents and logarithms of all monomials, and how many each posynomial has."""
        pieces = [piece for row in self.rows for piece in row.pieces]
        sizes = np.array([sum(len(p.logs) for p, _ in row.pieces) for row in self.rows])
        exponents, first, end = np.zeros((sizes.sum(), self.used)), self.cycles + 1, 0
        for p, column in pieces:
            start, end = end, end + len(p.logs)
            exponents[start:end, :first] = p.exponents[:, :first]
            if column:
                exponents[start:end, column:column + p.exponents.shape[1] - first] = p.exponents[:, first:]
        exponents[:, self.cycles] += np.repeat([row.cycles_power for row in self.rows], sizes)
        logs = np.concatenate([p.logs for p, _ in pieces])
        return exponents, logs + np.repeat(np.log([row.scale for row in self.rows]), sizes), sizes

    # ---- energy and cycles -------------------------------------------------------------------

    def _cycles(self) -> tuple[float, float] | None:
        """Least and most of the logarithm of cycles; None where no number is left."""
        macs, prices = float(self.einsum.macs), self.prices
        least = log(self.least_cycles * prices.busy(self.region))
        if self.arch.compute.lockstep is not None:
            # What units take in a cycle is not a matter of the loops that are unrolled over them.
            least = log(max(macs * prices.effectual / self.arch.compute.instances, 1.0))
        # A range of no width would be hard on the solver.
        most = log(min(macs * exp(self._slowest()), self.cap.most_cycles)) + 1e-6
        return (least, most) if least < most else None

    def _slowest(self) -> float:
        """More than the logarithm of cycles per multiply-accumulate of any mapping."""
        figures = [b for x in self.arch.levels
                   for b in (x.read_bandwidth, x.write_bandwidth, x.shared_bandwidth) if b]
        scales = [s for x in self.arch.levels for _, s in x.bandwidth_scale]
        return 20.0 + log(max([1.0, *scales]) / min([1.0, *figures])) if figures else 0.1

    def _energy(self) -> list[_Piece]:
        """The energy of everything."""
        prices = self.prices
        found = [self.monomial(price)] if (price := prices.computes(self.region)) > 0.0 else []
        for i, level in enumerate(self.arch.levels):
            if leak := leakage_per_cycle(level) * prices.awake:
                switch, switched = gate(self.arch, i)
                held = switch == self.scenario.depth or not self.arch.sparse or self.region.keep[switch]
                rows = self.spatial(0, switch) if held else []
                at_work = self.monomial(1.0, self.factors(rows)) * self.variable(self.cycles)
                # On average more than half of the instances over which a loop is spread are at work.
                cut = sum(bool(self.scenario.rules.remainder(row, rank)) and self.may_iterate(rank, [row])
                          for rank in self.imperfect for row in rows)
                found.append(at_work.scaled(leak * switched * 0.5 ** cut))
        own = [(t.energy, column) for t, column in zip(self.tensors, self.helpers, strict=True)
               if len(t.energy.logs)]
        # Where nothing costs energy the bound is as good as zero.
        return [(p, 0) for p in found] + own or [(self.monomial(1e-300), 0)]

    # ---- constraints -------------------------------------------------------------------------

    def _least_units(self) -> list[Row]:
        if not self.scenario.rules.workers:
            return []
        least = self.scenario.rules.workers / self.rounded(0, self.scenario.depth)
        return [Row([(self.monomial(least, -self._units), 0)])]

    @property
    def _units(self) -> np.ndarray:
        return self.factors(self.spatial(0, self.scenario.depth))

    def _capacities(self) -> list[Row]:
        found = []
        for i, level in enumerate(self.arch.levels):
            held = self._of("room", i)
            if level.capacity_words is not None and held:
                found.append(Row(held, 1.0 / max(level.capacity_words, 1e-9), label=Label("capacity", i)))
        return found

    def _paces(self) -> list[Row]:
        """What takes cycles: the units, and the words of levels of limited bandwidth."""
        found = []
        if self.arch.compute.lockstep is None:
            work = self.monomial(self.einsum.macs * self.prices.busy(self.region), -self._units)
            found.append(Row([(work, 0)], cycles_power=-1.0))
        for i, level in enumerate(self.arch.levels):
            reads, writes = self._of("reads", i), self._of("writes", i)
            for words, bandwidth, name in (
                    (reads, level.read_bandwidth, "read_bandwidth"),
                    (writes, level.write_bandwidth, "write_bandwidth"),
                    (reads + writes, level.shared_bandwidth, "shared_bandwidth")):
                if words and bandwidth:
                    found.append(Row(words, 1.0 / bandwidth, -1.0, Label(name, i)))
        return found

    def _of(self, what: str, level: int) -> list[_Piece]:
        """What the tensors contribute at a level."""
        return [(own[level], column) for t, column in zip(self.tensors, self.helpers, strict=True)
                if level in (own := getattr(t, what))]

    def _cap(self, energy: list[_Piece], offset: float, floor: float) -> list[Row]:
        """Hold the energy, before the offset K, to a cap on what it is after. Where that is a product with
        cycles, the energy is at least P F / (F + K) for every P (see `bound.proven_value`)."""
        cap = self.cap
        if not cap or not cap.energy_power:
            return []
        most = float(cap.most_energy(1.0))
        if not most:        # a limit of nothing has no logarithm; without it the bound is weaker
            return []
        if not cap.cycles_power:
            return [Row(energy, 1.0 / (most + offset))]
        if floor > 0.0 or not offset:
            least = 1.0 / (1.0 + offset / floor) if offset else 1.0     # 1 for a floor of inf
            return [Row(energy, least / most, cap.cycles_power / cap.energy_power)]
        return []


def folded(program: Program) -> Program:
    """The same program with fixed variables in the constants, without unused ones and constraints that hold
    anyway, and with equal monomials merged."""
    loose = program.upper > program.lower
    logs = program.logs + program.exponents @ np.where(loose, 0.0, program.lower)
    free = np.flatnonzero(loose)
    exponents, logs, owner = merged(program.exponents[:, free], logs, program.owner)
    place = np.cumsum(loose) - 1
    groups = []
    for members, total in program.groups:
        own = loose[members]
        if own.any():
            groups.append((place[members[own]], total - program.lower[members[~own]].sum()))
    count = len(program.sizes)
    matters = np.bincount(owner[exponents.any(axis=1) | (logs > 1e-9)], minlength=count) > 0
    matters[0] = True
    labels = {int(np.count_nonzero(matters[1:i + 1])): label for i, label in program.labels.items()
              if matters[i + 1]}
    used = matters[owner]
    sizes = np.bincount(owner, minlength=count)[matters]
    return Program(exponents[used], logs[used], sizes, program.lower[free], program.upper[free],
                   tuple(groups), int(place[program.cycles]), 1, 0, program.offset, labels)
