"""What pairs of a pass and an array shape cost with every middle tile around them, in every variant.

A variant tells how many tiles of a tensor enter an instance, by the tile of the array and by the extents of
the middle tile in a few ranks: these are a *cell*. Of a window it tells two numbers: how many tiles, and how
many of the parts that single steps bring in. So cells are gone through by tile of the array, not by pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, prod
from typing import Callable, Iterator

import numpy as np

from ...mapping.template import Keep
from ...model.energy import gate, leakage_per_cycle
from ...workload.einsum import Tensor
from ..cap import UNCAPPED, Cap
from .lattice import Lattice
from .least import Least
from .ports import ports
from .traffic import Load, Pairs
from .variants import Variant, Variants
from .ways import Ways
from .windows import Parts

_CELLS = 1_000_000                  # looked at together
_BATCHES = (0, 256, 4096, 65536)    # where to look again which pairs may still be the best

#: How many tiles enter: the rank along which a window slides ("": none does), how many in any case, and how
#: many for each part of a tile that a step brings in.
_Tiles = tuple[str, np.ndarray, np.ndarray]

#: A pair of a variant that is the best so far: its objective, what it is, and the extents that are coupled.
Best = tuple[float, Variant, Ways, Pairs, tuple[int, ...]]


@dataclass(frozen=True)
class Batch:
    """Pairs that are looked at together, those with the same tile of the array one after another, and what
    tensors cost there below the middle level: energy (`full`: if each pass loads all anew), and cycles of
    each port; `fresh` by tensor and rank: parts of tiles that steps bring in."""

    ways: Ways
    pairs: Pairs
    loads: dict[str, Load]
    full: dict[str, np.ndarray]
    ports: list[dict[str, Load]]
    fresh: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Rows:
    """Some pairs of a batch, and what they need at the least, but for the outer boundary, pJ."""

    batch: Batch
    rows: np.ndarray
    least: np.ndarray

    @property
    def arrays(self) -> np.ndarray:
        return self.batch.pairs.a[self.rows]

    @property
    def instances(self) -> np.ndarray:
        return self.batch.pairs.instances[self.rows]

    def at(self, where: np.ndarray) -> Rows:
        """Some of them."""
        return Rows(self.batch, self.rows[where], self.least[where])


@dataclass(frozen=True)
class Cells:
    """Tiles of the array (`which` of those asked for, and their lattice points), each with extents of the
    middle tile in the ranks that are coupled: the cost of the outer boundary, the lattice point with these
    extents, which divisors are `chosen`, and by rank how many steps to them."""

    which: np.ndarray
    array: np.ndarray
    outside: np.ndarray
    point: np.ndarray
    chosen: np.ndarray
    steps: dict[str, np.ndarray]

    def at(self, where: np.ndarray) -> Cells:
        """Some of them."""
        return Cells(self.which[where], self.array[where], self.outside[where], self.point[where],
                     self.chosen[:, where], {rank: n[where] for rank, n in self.steps.items()})


class Middle(Least):
    """The least objective of pairs, for one keep/bypass choice, of what may lie within a `cap`: none below
    `cutoff`, that of the last one `found`."""

    def __init__(self, lattice: Lattice, keep: Keep, energy_power: int,
                 cycles_power: int, cap: Cap = UNCAPPED) -> None:
        super().__init__(lattice, keep)
        self.powers = (energy_power, cycles_power)
        self.cap = cap
        self.steps = self.macs * self.prices.busy(keep)     # cycles of one unit, at the least
        self.variants = Variants(lattice, frozenset(n for n, own in self.places.items() if len(own) == 3))
        self.ports = list(ports(lattice, keep))
        self.cutoff = inf
        self.found: list[Best] = []
        self.tell: Callable[[Best], None] = lambda best: None

    def _look(self, ways: Ways, pairs: Pairs, near: np.ndarray) -> None:
        """Look at all variants of these pairs, of each class of orders at those that are `near`."""
        stays = frozenset(name for name, _ in pairs.stays)
        loads = {t.name: self._load(t, pairs) for t in self.tensors}
        batch = Batch(ways, pairs, loads,
                      {name: load.of(self.above[pairs.a]) for name, load in loads.items()},
                      [{t.name: port.load(t, pairs) for t in self.tensors} for port in self.ports])
        for (still, ranks), own in zip(self.l.classes.items(), near, strict=True):
            some = self._optimistic(still & stays, ranks, batch, np.flatnonzero(own))
            outside = self._table("", frozenset())[some.arrays]
            some = some.at(np.flatnonzero(some.least + outside < self._budget(some.instances)))
            if len(some.rows):
                for variant in self.variants.of(still & stays, ranks, stays):
                    for other in (variant, *self.variants.going_on(variant)):
                        self._evaluate(other, some)

    def _optimistic(self, still: frozenset[str], ranks: frozenset[str], batch: Batch,
                    rows: np.ndarray) -> Rows:
        """What some `rows` of a batch need at the least, but for the outer boundary, if a loop of one of
        `ranks` is innermost at the middle level, or outside of one that does not iterate."""
        stays, a = frozenset(name for name, _ in batch.pairs.stays), batch.pairs.a[rows]
        sliding = self.variants.sliding
        slides = {**sliding(stays - still, ranks), **sliding(still, self.everything)}
        cost = np.full(len(rows), self.base)
        for tensor in self.tensors:
            name = tensor.name
            if name not in still and name not in slides:
                cost += batch.full[name][rows]
                continue
            passes, share = (self._passes(tensor) if name in still else self.above)[a], np.ones(len(rows))
            for rank in slides.get(name, frozenset()):
                whole, part = self._least_parts(tensor, rank)
                share = np.minimum(share, whole[a] + part[a] * self._fresh(batch, tensor, rank)[rows])
            cost += batch.loads[name].of(passes * share, rows)
        return Rows(batch, rows, cost)

    def _least_parts(self, tensor: Tensor, rank: str) -> Parts:
        """At every point, `Windows.parts` of a window that slides along `rank` as often as is best."""
        every, i = np.arange(len(self.l.points)), self.l.ranks.index(rank)
        return self.l.once(("least parts", tensor.name, rank), lambda: _if_it_slides(
            self.l.extents[i] / self.l.points[:, i], self.l.windows.parts(tensor, rank, every, None, "two")))

    def _fresh(self, batch: Batch, tensor: Tensor, rank: str) -> np.ndarray:
        """By pair, the part of a tile that one step along `rank` brings in."""
        key = tensor.name, rank
        if key not in batch.fresh:
            batch.fresh[key] = self.l.windows.fresh(tensor, rank, batch.pairs.t, batch.pairs.a)
        return batch.fresh[key]

    # ---- one variant ---------------------------------------------------------------------------

    def _evaluate(self, variant: Variant, some: Rows) -> None:
        """Find the least objective of a variant, for all extents of the ranks that are coupled, those first
        that may be the best."""
        moving = [t for t in self.tensors if t.name in variant.moves]
        room = self._budget(some.instances) - some.least
        first = np.flatnonzero(np.diff(some.arrays, prepend=-1))
        count = np.diff(first, append=len(room))
        for cells in self._cells(variant, some.arrays[first], np.maximum.reduceat(room, first)):
            tiles = {t.name: self._tiles(t, variant, cells) for t in moving}
            cell, row = spread(first[cells.which], count[cells.which])
            good = np.flatnonzero(cells.outside[cell] < room[row])
            cell, row = cell[good], row[good]
            value = self._objective(some.least[row] + cells.outside[cell], self.steps / some.instances[row])
            order = np.argsort(value, kind="stable")
            for start, stop in zip(_BATCHES, [*_BATCHES[1:], len(order)], strict=True):
                own = order[start:stop]
                own = own[some.least[row[own]] + cells.outside[cell[own]] < self._budget(
                    some.instances[row[own]])]
                if not len(own):
                    break
                self._best_of(variant, some.at(row[own]), cells, cell[own], tiles)

    def _cells(self, variant: Variant, arrays: np.ndarray, most: np.ndarray) -> Iterator[Cells]:
        """Cells around tiles of the array, of each those with an outer cost below its `most`."""
        columns = [i for i, r in enumerate(self.l.ranks) if r in variant.coupled - variant.held]
        held = [i for i, r in enumerate(self.l.ranks) if r in variant.held]
        sizes = [self.l.shape[i] for i in columns]
        chosen = np.indices(sizes).reshape(len(columns), prod(sizes))
        table, admitted = self._table(variant.outer, variant.held | variant.coupled), self._admitted
        order = np.flatnonzero(np.logical_and.reduce(
            [admitted[i].diagonal()[self.l.grid[i, arrays]] for i in held] or [np.ones(len(arrays), bool)]))
        order = order[np.argsort(-most[order], kind="stable")]
        step = max(_CELLS // chosen.shape[1], 1)
        for start in range(0, len(order), step):
            own = order[start:start + step]
            fits = np.ones((len(own), chosen.shape[1]), dtype=bool)
            point = np.repeat(arrays[own][:, None], chosen.shape[1], axis=1)
            for i, choice in zip(columns, chosen, strict=True):
                inside = self.l.grid[i, arrays[own]]
                fits &= admitted[i][inside][:, choice]
                if variant.goes_on and self.l.ranks[i] in variant.slides[variant.goes_on]:
                    fits &= choice[None, :] > inside[:, None]
                if (variant.goes_on or variant.throughout) and self.l.ranks[i] == variant.outer:
                    fits &= (choice < self.l.shape[i] - 1)[None, :]
                point += (choice[None, :] - inside[:, None]) * self.l.strides[i]
            outside = np.where(fits, table[np.where(fits, point, 0)], inf)
            which, cell = np.nonzero(outside < most[own][:, None])
            array = arrays[own][which]
            steps = {self.l.ranks[i]: self.l.divisors[i][choice[cell]] / self.l.points[array, i]
                     for i, choice in zip(columns, chosen, strict=True)}
            yield Cells(own[which], array, outside[which, cell], point[which, cell], chosen[:, cell], steps)

    def _tiles(self, tensor: Tensor, variant: Variant, cells: Cells) -> list[_Tiles]:
        """How many times what stays of a tensor enters an instance: the least of these."""
        passes = (self._passes(tensor) if tensor.name in variant.far else self.above)[cells.array]
        if tensor.name in variant.still:
            for rank in self.everything - tensor.ranks if variant.through is None else variant.through:
                passes = passes / cells.steps.get(rank, 1.0)
        found = [] if tensor.name == variant.goes_on else [("", passes, passes)]
        for rank in sorted(variant.slides.get(tensor.name, frozenset())):
            found += [(rank, passes * whole, passes * part)
                      for whole, part in self._parts_of(tensor, rank, variant, cells)]
        return found

    def _parts_of(self, tensor: Tensor, rank: str, variant: Variant, cells: Cells) -> list[Parts]:
        """`Windows.parts` of a tensor that slides along a rank in a variant."""
        windows, i, goes_on = self.l.windows, self.l.ranks.index(rank), tensor.name == variant.goes_on
        if goes_on and windows.simple(tensor, rank):
            between = 1.0 if tensor.name in variant.still else self._between(tensor, cells)
            return windows.run(tensor, rank, cells.array, cells.steps, between)
        n = cells.steps.get(rank, self.l.extents[i] / self.l.points[cells.array, i])
        idle = self.everything if tensor.name == variant.alone else variant.held
        others = {**cells.steps, **dict.fromkeys(idle, np.ones(len(n)))} if rank in cells.steps else {}
        return [_if_it_slides(n, windows.parts(tensor, rank, cells.array, n, "two" if goes_on else "level",
                                               others))]

    def _between(self, tensor: Tensor, cells: Cells) -> np.ndarray | float:
        """Iterations of the middle loops that do not move a tensor, as far as they are known."""
        return prod([n for rank, n in cells.steps.items() if rank not in tensor.ranks], start=1.0)

    def _best_of(self, variant: Variant, some: Rows, cells: Cells, cell: np.ndarray,
                 tiles: dict[str, list[_Tiles]]) -> None:
        """Find the least objective of a variant at pairs, each in a cell."""
        energy, cycles = self._figures(variant, some, cells, cell, tiles)
        good = self._objective(energy, cycles) < self.cutoff
        asks = some.batch.ways.asks[some.batch.pairs.way[some.rows]]
        for finer, loose in self.variants.finer(variant, asks, some.arrays):
            again = np.flatnonzero(good & loose)
            again = again[np.unique(some.rows[again], return_index=True)[1]]
            for each in finer if len(again) else ():
                self._evaluate(each, some.at(again))
            good &= ~loose
        if len(best := np.flatnonzero(good)):
            self._keep_best(variant, some.at(best), energy[best], cycles[best], cells.chosen[:, cell[best]])

    def _figures(self, variant: Variant, some: Rows, cells: Cells, cell: np.ndarray,
                 tiles: dict[str, list[_Tiles]]) -> tuple[np.ndarray, np.ndarray]:
        """Energy, pJ, and cycles of a variant at pairs, each in a cell."""
        batch, rows, entering = some.batch, some.rows, dict[str, np.ndarray]()
        for name, options in tiles.items():
            tensor = self.l.einsum.tensor(name)
            if name == variant.follows:
                entering[name] = self._followed(tensor, variant, some, cells.at(cell))
                continue
            entering[name] = np.minimum.reduce([
                whole[cell] + part[cell] * self._fresh(batch, tensor, rank)[rows] if rank else whole[cell]
                for rank, whole, part in options])
        energy = self.base + cells.outside[cell]
        for name, load in batch.loads.items():
            energy = energy + (load.of(entering[name], rows) if name in entering else batch.full[name][rows])
        cycles = self.steps / some.instances
        for port, loads in zip(self.ports, batch.ports, strict=True):
            own = port.of(variant.outer, variant.held | variant.coupled, cells.point[cell])
            for name, load in loads.items():
                every = entering[name] if name in entering else self.above[some.arrays]
                own = own + port.per_instance(load.of(every, rows), some.instances)
            cycles = np.maximum(cycles, own)
        return energy, cycles

    def _followed(self, tensor: Tensor, variant: Variant, some: Rows, cells: Cells) -> np.ndarray:
        """How many times the words of a pass enter of a tensor of which loops outside an instance go on with
        the steps inside."""
        ways, level = some.batch.ways, self.places[tensor.name][1]
        way, words = some.batch.pairs.way[some.rows], some.batch.pairs.words[tensor.name, level][some.rows]
        tile = ways.chain[way, level - self.middle - 1]
        between = self._between(tensor, cells) if variant.throughout else None
        spared = self.l.windows.spared(ways.asks[way], tile, cells.array, cells.steps, between,
                                       variant.in_order)
        alone = words + ways.spare[way]
        return (alone - spared * self.l.volumes[tensor.name][tile]) / words * self.above[cells.array]

    # ---- the objective -------------------------------------------------------------------------

    def _keep_best(self, variant: Variant, some: Rows, energy: np.ndarray, cycles: np.ndarray,
                   chosen: np.ndarray) -> None:
        good = energy + self._leak(cycles) <= self.cap.most_energy(cycles)
        if not good.any():
            return
        value = np.where(good, self._objective(energy, cycles), inf)
        best = int(value.argmin())
        if value[best] < self.cutoff:
            self.cutoff = float(value[best])
            pair = some.batch.pairs.at(some.rows[best:best + 1])
            self.found.append((self.cutoff, variant, some.batch.ways, pair, tuple(chosen[:, best])))
            self.tell(self.found[-1])

    def _budget(self, instances: np.ndarray) -> np.ndarray:
        """Energy below which a mapping with so many instances at work beats the cutoff within the cap."""
        energy_power, cycles_power = self.powers
        cycles = self.steps / instances
        if energy_power:
            most = (self.cutoff / cycles ** cycles_power) ** (1 / energy_power)
        else:
            most = np.where(cycles ** cycles_power < self.cutoff, inf, -inf)
        return np.asarray(np.minimum(most, self.cap.most_energy(cycles)) - self._leak(cycles))

    def _objective(self, energy: np.ndarray, cycles: np.ndarray) -> np.ndarray:
        energy_power, cycles_power = self.powers
        return np.asarray((energy + self._leak(cycles)) ** energy_power * cycles ** cycles_power)

    def _leak(self, cycles: np.ndarray) -> np.ndarray:
        """Leakage of all levels, pJ: of every inner instance at work, of one instance elsewhere, and of
        what these hold switched on."""
        total = np.zeros_like(cycles)
        for i, level in enumerate(self.l.arch.levels):
            if leak := leakage_per_cycle(level) * self.prices.awake:
                switch, switched = gate(self.l.arch, i)
                awake = bool(self.keep[switch]) if self.l.arch.sparse and switch < self.l.depth else True
                spread = switch > self.middle and awake
                total = total + leak * switched * (self.steps if spread else cycles)
        return total


def _if_it_slides(n: np.ndarray, parts: Parts) -> Parts:
    """The parts of a share if there are several steps; all of it elsewhere."""
    return np.where(n > 1, parts[0], 1.0), np.where(n > 1, parts[1], 0.0)


def spread(first: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of the `first` these follow, and numbers from each of them on, so many."""
    which = np.repeat(np.arange(len(first)), count)
    return which, np.arange(len(which)) + np.repeat(first - np.cumsum(count) + count, count)
