"""Bounds over whole factors: a minimum over the lattice of divisors, for one keep/bypass choice.

The machine is cut at its array. Outside there is the level above the array, the *middle*, and perhaps the
outermost level above that; with e the tile of the middle, a what the whole array holds, t the tile of one
instance and s the shape unrolled (t s = a, a | e),

    energy = outer(e) + inner(t, s) [+ tensors whose traffic also depends on e / a].

So for every pair (t, s) the least outer cost of all e that a divides is looked up in a table, which takes a
minimum along the multiples of every divisor, rank by rank. Traffic that depends on e / a as well does so
through few ranks: those that leave a stationary tensor where it is, and the one that a window slides along.
Over their extents in e it is looped. Which tensors are stationary, and where, makes the *variants* that
together cover every loop order (see docs/search.md).
"""

from __future__ import annotations

from itertools import pairwise
from math import inf, prod
from typing import Callable

import numpy as np

from ..mapping.template import slot
from ..model.energy import gate, leakage_per_cycle
from ..workload.einsum import Tensor
from .cap import UNCAPPED, Cap
from .lattice import Lattice, Tiling
from .lattice_inside import Stream, Ways
from .lattice_least import Least
from .lattice_ports import ports
from .lattice_traffic import Costed, Pairs
from .lattice_variants import Variant, Variants

_FIRST_TOGETHER = 30_000      # pairs looked at together, at first
_MOST_TOGETHER = 1_000_000    # and at the most
_BATCHES = (0, 256, 4096, 65536)    # where to look again which of them may still be the best
_KEPT = 16                    # tilings handed on
_ARRAYS, _SHAPES, _PAIRS = 2048, 32, 500     # tiles, shapes and pairs of both that are likely to be good
_BETTER = 0.99                # told of at once: tilings with so much of the value of the last one, or less


class LatticeBound(Least):
    """Least objective over every factorisation and loop order of one keep/bypass choice that may lie
    within a `cap`."""

    def __init__(self, lattice: Lattice, keep: tuple[frozenset[str], ...], energy_power: int,
                 cycles_power: int, cap: Cap = UNCAPPED) -> None:
        super().__init__(lattice, keep)
        self.powers = (energy_power, cycles_power)
        self.cap = cap
        self.steps = self.macs * self.prices.busy(keep)     # cycles of one unit, at the least
        self.variants = Variants(lattice, frozenset(n for n, own in self.places.items() if len(own) == 3))
        self.ports = list(ports(lattice, keep))

    def quick(self) -> float:
        """What is proven by each of the tiles for itself, which takes little time; 0 when the lattice is too
        large. Where there are many ways through a pass, they are left aside."""
        if self.l.depth - self.middle > 2:
            return self._by_outside()
        ways = self.l.inside(self.keep)
        least = inf
        for own in ways or []:
            parts = [array.min() + inside.min() for array, inside in self._parts(own)]
            least = min(least, self._within_cap(min(parts) + self._by_shape()))
        return 0.0 if ways is None else least

    def _by_outside(self) -> float:
        """What is proven by the tile and the shape of the array, whatever happens inside."""
        return self._within_cap(min(array.min() for array in self._arrays()) + self._by_shape())

    def _within_cap(self, energy: np.ndarray) -> float:
        """The least objective, by what energy the shapes of the array need at the least."""
        cycles = self.steps / self.l.instances
        good = energy + self._leak(cycles) <= self.cap.most_energy(cycles)
        return float(np.where(good, self._objective(energy, cycles), inf).min(initial=inf))

    def solve(self, cutoff: float, tell: Callable[[Tiling], None] | None = None
              ) -> tuple[float, list[Tiling]] | None:
        """(proven bound, at most `cutoff`; tilings that attain bounds below it), or None when the
        lattice is too large. `tell` is handed tilings that are clearly better than any before as soon as
        they are found, long before it is proven that there is nothing better."""
        ways = self.l.inside(self.keep)
        if ways is None:
            return None
        self._begin(cutoff, tell)
        for own in ways:
            self._every_pair(own)
        self.found.sort(key=lambda found: found[0])
        return self.cutoff, [self._tiling(*found) for found in self.found[:_KEPT]]

    def _begin(self, cutoff: float, tell: Callable[[Tiling], None] | None) -> None:
        self.cutoff, self.told, self.tell = cutoff, cutoff, tell
        self.found: list[tuple[float, Variant, Ways, Pairs, tuple[int, ...]]] = []

    def glimpse(self, cutoff: float, tell: Callable[[Tiling], None]) -> None:
        """Hand `tell` tilings as `solve` does, of the pairs that are likely to be good; nothing is proven."""
        self._begin(cutoff, tell)
        for ways in self.l.inside(self.keep) or []:
            self._likely_pairs(ways)

    # ---- pairs of a pass and an array shape ---------------------------------------------------

    def _likely_pairs(self, ways: Ways) -> None:
        """Look at the pairs with these ways of which the least is proven."""
        least, unrolled, shapes = self._parts(ways), self._by_shape(), self.l.shapes
        around = np.minimum.reduce([array + inside.min(initial=inf) for array, inside in least])
        cycles = self.steps / self.l.instances
        wide = np.argsort(self._objective(around.min() + unrolled, cycles), kind="stable")[:_SHAPES]
        own = np.argsort(around, kind="stable")[:_ARRAYS]
        array, shape = np.nonzero(self.l.divides(own, shapes[wide]))
        array, shape = own[array], wide[shape]
        way, which = ways.of(self.l.ratio(array, shapes[shape]))
        array, shape = array[which], shape[which]
        energy = np.minimum.reduce([outside[array] + inside[way] for outside, inside in least])
        value = self._objective(energy + unrolled[shape], cycles[shape])
        best = np.argsort(value, kind="stable")[:_PAIRS]
        best = best[value[best] < self.cutoff]
        if len(best):
            pairs = self._pairs(ways, way[best], shapes[shape[best]], array[best])
            self._look(ways, pairs, np.ones((len(least), len(best)), dtype=bool))

    def _every_pair(self, ways: Ways) -> None:
        """Look at all pairs with these ways, by what the tile of the array costs at the least."""
        least, unrolled = self._parts(ways), self._by_shape()
        shapes, instances = self.l.shapes, self.l.instances
        around = np.minimum.reduce([array + inside.min() for array, inside in least])
        arrays = np.argsort(around, kind="stable")
        start, together = 0, _FIRST_TOGETHER
        while start < len(arrays) and len(shapes):
            own = arrays[start:start + max(together // len(shapes), 1)]
            start, together = start + len(own), min(2 * together, _MOST_TOGETHER)
            room = self._budget(instances) - unrolled
            if around[own[0]] >= room.max():
                break
            array, shape = np.nonzero((around[own][:, None] < room) & self.l.divides(own, shapes))
            array, (way, which) = own[array], ways.of(self.l.ratio(own[array], shapes[shape]))
            array, shape = array[which], shape[which]
            may = self.l.windows.hopes.may(ways.asks[way], array)
            array, shape, way = array[may], shape[may], way[may]
            near = np.stack([outside[array] + inside[way] < room[shape] for outside, inside in least])
            some = np.flatnonzero(near.any(axis=0))
            if len(some):
                pairs = self._pairs(ways, way[some], shapes[shape[some]], array[some])
                self._look(ways, pairs, near[:, some])

    def _pairs(self, ways: Ways, way: np.ndarray, shape: np.ndarray, array: np.ndarray) -> Pairs:
        return Pairs(ways.stays, way, ways.tile[way], shape, array,
                     {stream: words[way] for stream, words in ways.words.items()},
                     self.l.points[shape].prod(axis=1, dtype=float))

    def _look(self, ways: Ways, pairs: Pairs, near: np.ndarray) -> None:
        """Look at all variants of these pairs, of each class of orders at those that are `near`."""
        stays = frozenset(name for name, _ in pairs.stays)
        for (still, ranks), own in zip(self.l.classes.items(), near, strict=True):
            some = pairs.at(np.flatnonzero(own))
            full = {t.name: self._all_anew(t, some) for t in self.tensors}
            least = self._optimistic(still & stays, ranks, some, full)
            outside = self._table("", frozenset())[some.a]
            best = np.flatnonzero(least + outside < self._budget(some.instances))
            if len(best):
                costed = Costed(some, full, least).at(best)
                for variant in self.variants.of(still & stays, ranks, stays):
                    for other in (variant, *self.variants.going_on(variant)):
                        self._evaluate(other, ways, costed)

    # ---- variants ------------------------------------------------------------------------------

    def _optimistic(self, still: frozenset[str], ranks: frozenset[str], pairs: Pairs,
                    full: dict[str, np.ndarray]) -> np.ndarray:
        """Energy at the least, at every pair, but for that of the outer boundary, if a loop of one of
        `ranks` is innermost at the middle level, or outside of one that does not iterate."""
        stays = frozenset(name for name, _ in pairs.stays)
        sliding = self.variants.sliding
        slides = {**sliding(stays - still, ranks), **sliding(still, self.everything)}
        cost = np.full(len(pairs.t), self.base)
        for tensor in self.tensors:
            name = tensor.name
            if name not in still and name not in slides:
                cost += full[name]
                continue
            passes = self._passes(tensor) if name in still else self.above
            share = self._share(tensor, slides.get(name, frozenset()), pairs.t, pairs.a, None, "two")
            cost += self._streams(tensor, pairs, self._words(tensor, pairs, passes[pairs.a] * share)) \
                + self._at_compute(tensor, pairs)
        return cost

    def _evaluate(self, variant: Variant, ways: Ways, costed: Costed) -> None:
        """Find the least objective of a variant, for all extents of the ranks that are coupled."""
        pairs, least = costed.pairs, costed.least
        columns = [i for i, r in enumerate(self.l.ranks) if r in variant.coupled - variant.held]
        held = [i for i, r in enumerate(self.l.ranks) if r in variant.held]
        sizes = [self.l.shape[i] for i in columns]
        chosen = np.indices(sizes).reshape(len(columns), prod(sizes))
        table, admitted = self._table(variant.outer, variant.held | variant.coupled), self._admitted
        order = np.argsort(least, kind="stable")
        step = max(_MOST_TOGETHER // chosen.shape[1], 1)
        for start in range(0, len(order), step):
            own = order[start:start + step]
            good = np.logical_and.reduce([admitted[i].diagonal()[self.l.grid[i, pairs.a[own]]] for i in held]
                                         or [np.ones(len(own), dtype=bool)])
            own = own[good]
            fits = np.ones((len(own), chosen.shape[1]), dtype=bool)
            point = np.repeat(pairs.a[own][:, None], chosen.shape[1], axis=1)
            for i, choice in zip(columns, chosen, strict=True):
                inside = self.l.grid[i, pairs.a[own]]
                fits &= admitted[i][inside][:, choice]
                if variant.goes_on and self.l.ranks[i] in variant.slides[variant.goes_on]:
                    fits &= choice[None, :] > inside[:, None]
                if (variant.goes_on or variant.throughout) and self.l.ranks[i] == variant.outer:
                    fits &= (choice < self.l.shape[i] - 1)[None, :]
                point += (choice[None, :] - inside[:, None]) * self.l.strides[i]
            outside = np.where(fits, table[np.where(fits, point, 0)], inf)
            room = self._budget(pairs.instances[own]) - least[own]
            pair, which = np.nonzero(outside < room[:, None])
            self._best_of(variant, ways, costed, own[pair], outside[pair, which], chosen[:, which])

    def _best_of(self, variant: Variant, ways: Ways, costed: Costed, where: np.ndarray, outside: np.ndarray,
                 chosen: np.ndarray) -> None:
        """Find the least objective of a variant at the pairs `where`, each with an outer cost and the extents
        `chosen` of the ranks that are coupled, those first that may be the best."""
        least = costed.least[where] + outside
        order = np.argsort(self._objective(least, self.steps / costed.pairs.instances[where]), kind="stable")
        for start, stop in zip(_BATCHES, [*_BATCHES[1:], len(order)], strict=True):
            own = order[start:stop]
            own = own[least[own] < self._budget(costed.pairs.instances[where[own]])]
            if not len(own):
                return
            some, choice = costed.at(where[own]), chosen[:, own]
            energy, cycles = self._figures(variant, ways, some, outside[own], choice)
            good = self._objective(energy, cycles) < self.cutoff
            for finer, loose in self.variants.finer(variant, ways.asks[some.pairs.way], some.pairs.a):
                again = costed.at(np.unique(where[own][good & loose]))
                for each in finer if len(again.least) else ():
                    self._evaluate(each, ways, again)
                good &= ~loose
            if len(best := np.flatnonzero(good)):
                self._keep_best(variant, ways, some.pairs.at(best), energy[best], cycles[best],
                                choice[:, best])

    def _figures(self, variant: Variant, ways: Ways, costed: Costed, outside: np.ndarray,
                 chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energy, pJ, and cycles of pairs in a variant, with these outer costs and coupled extents."""
        columns = [i for i, r in enumerate(self.l.ranks) if r in variant.coupled - variant.held]
        moving = variant.still | variant.far | set(variant.slides) | {variant.follows}
        pairs, energy = costed.pairs, self.base + outside
        steps = {self.l.ranks[i]: self.l.divisors[i][choice] / self.l.points[pairs.a, i]
                 for i, choice in zip(columns, chosen, strict=True)}
        words: dict[Stream, np.ndarray] = {}
        for tensor in self.tensors:
            words.update(self._words(tensor, pairs, self._tiles(tensor, variant, pairs, steps)))
            if tensor.name == variant.follows:
                words.update(self._followed(tensor, variant, ways, pairs, steps))
            if tensor.name in moving:
                energy = energy + self._at_compute(tensor, pairs) + self._streams(tensor, pairs, words)
            else:
                energy = energy + costed.full[tensor.name]
        return energy, self._cycles(variant, pairs, words, self._point(variant, pairs, chosen))

    def _point(self, variant: Variant, pairs: Pairs, chosen: np.ndarray) -> np.ndarray:
        """The tile of the array, with the extents `chosen` in the ranks that are coupled."""
        columns = [i for i, r in enumerate(self.l.ranks) if r in variant.coupled - variant.held]
        point = pairs.a.copy()
        for i, choice in zip(columns, chosen, strict=True):
            point += (choice - self.l.grid[i, pairs.a]) * self.l.strides[i]
        return point

    def _cycles(self, variant: Variant, pairs: Pairs, words: dict[Stream, np.ndarray],
                point: np.ndarray) -> np.ndarray:
        """Cycles of the units and of every port, the most of them."""
        cycles = self.steps / pairs.instances
        for port in self.ports:
            own = port.of(variant.outer, variant.held | variant.coupled, point)
            for tensor in self.tensors:
                own = own + port.per_instance(port.below(tensor, pairs, words), pairs.instances)
            cycles = np.maximum(cycles, own)
        return cycles

    def _tiles(self, tensor: Tensor, variant: Variant, pairs: Pairs,
               steps: dict[str, np.ndarray]) -> np.ndarray:
        """How many times what stays of a tensor enters an instance, in a variant."""
        passes = (self._passes(tensor) if tensor.name in variant.far else self.above)[pairs.a]
        if tensor.name in variant.still:
            for rank in self.everything - tensor.ranks:
                passes = passes / steps.get(rank, 1.0)
        sliders = variant.slides.get(tensor.name, frozenset())
        if tensor.name != variant.goes_on:
            return passes * self._share(tensor, sliders, pairs.t, pairs.a, steps)
        slider, = sliders
        if self.l.windows.simple(tensor, slider):
            between = 1.0 if tensor.name in variant.still else self._between(tensor, steps)
            return passes * self.l.windows.run(tensor, slider, pairs.t, pairs.a, steps, between)
        return passes * self._share(tensor, sliders, pairs.t, pairs.a, steps, "two")

    def _words(self, tensor: Tensor, pairs: Pairs, tiles: np.ndarray) -> dict[Stream, np.ndarray]:
        """Words of the streams of a tensor: so many times what stays of it, everything else in each pass."""
        return {stream: words * (tiles if stream in pairs.stays else self.above[pairs.a])
                for stream, words in pairs.words.items() if stream[0] == tensor.name}

    def _followed(self, tensor: Tensor, variant: Variant, ways: Ways, pairs: Pairs,
                  steps: dict[str, np.ndarray]) -> dict[Stream, np.ndarray]:
        """Words of a tensor of which loops outside an instance go on with the steps inside."""
        level = self.places[tensor.name][1]
        tile = ways.chain[pairs.way, level - self.middle - 1]
        between = self._between(tensor, steps) if variant.throughout else None
        spared = self.l.windows.spared(ways.asks[pairs.way], tile, pairs.a, steps, between)
        alone = pairs.words[tensor.name, level] + ways.spare[pairs.way]
        words = alone - spared * self.l.volumes[tensor.name][tile]
        return {(tensor.name, level): words * self.above[pairs.a]}

    def _between(self, tensor: Tensor, steps: dict[str, np.ndarray]) -> np.ndarray | float:
        """Iterations of the middle loops that do not move a tensor, as far as they are known."""
        return prod([n for rank, n in steps.items() if rank not in tensor.ranks], start=1.0)

    # ---- the objective -------------------------------------------------------------------------

    def _keep_best(self, variant: Variant, ways: Ways, pairs: Pairs, energy: np.ndarray, cycles: np.ndarray,
                   chosen: np.ndarray) -> None:
        good = energy + self._leak(cycles) <= self.cap.most_energy(cycles)
        if not good.any():
            return
        value = np.where(good, self._objective(energy, cycles), inf)
        best = int(value.argmin())
        if value[best] < self.cutoff:
            self.cutoff = float(value[best])
            one = pairs.at(np.array([best]))
            self.found.append((self.cutoff, variant, ways, one, tuple(chosen[:, best])))
            if self.tell is not None and self.cutoff <= self.told * _BETTER:
                self.told = self.cutoff
                self.tell(self._tiling(*self.found[-1]))

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
                spread = switch == self.l.depth or (switch > self.middle and bool(self.keep[switch]))
                total = total + leak * switched * (self.steps if spread else cycles)
        return total

    # ---- what attains it -----------------------------------------------------------------------

    def _tiling(self, value: float, variant: Variant, ways: Ways, pairs: Pairs,
                chosen: tuple[int, ...]) -> Tiling:
        """A pair in a variant, with the middle tile of the least outer cost."""
        points, a, s, columns = self.l.points, int(pairs.a[0]), int(pairs.s[0]), self.l.columns
        e = self._middle_tile(variant, a, chosen)
        factors = np.ones((3 * self.l.depth, len(self.l.einsum.ranks)), dtype=np.int64)
        if self.middle:
            factors[slot(0, "temporal"), columns] = self.l.extents // points[e]
        factors[slot(self.middle, "temporal"), columns] = points[e] // points[a]
        x, y = self.l.arrays[s]
        factors[slot(self.middle, "x"), columns], factors[slot(self.middle, "y"), columns] = x, y
        way, unit = int(pairs.way[0]), np.zeros(1, dtype=np.int64)
        orders = [self.variants.orders(variant)]
        if self.middle:
            outer = [r for r in self.l.ranks if self.outer[r][e] == self.outer[variant.outer][e]]
            classes = dict.fromkeys(own for own in self.l.classes.values() if own & set(outer))
            orders.insert(0, tuple(o for own in classes for o in self.variants.all_sliders(own)))
        chain = np.concatenate([ways.chain[way], unit])
        for level, (outside, inside) in enumerate(pairwise(chain.tolist()), self.middle + 1):
            factors[slot(level, "temporal"), columns] = points[outside] // points[inside]
            index = int(ways.orders[way, level - self.middle - 1])
            inner = frozenset[str]() if index < 0 else list(self.l.classes.values())[index]
            orders.append(self.variants.all_sliders(inner))
        return Tiling(value, factors, tuple(orders))

    def _middle_tile(self, variant: Variant, array: int, chosen: tuple[int, ...]) -> int:
        """The middle tile of the least outer cost, for the extents `chosen` of the ranks that are coupled."""
        outer = self.outer[variant.outer].copy()
        coupled = [r for r in self.l.ranks if r in variant.coupled - variant.held]
        for i, (rank, admitted) in enumerate(zip(self.l.ranks, self._admitted, strict=True)):
            fits = admitted[self.l.grid[i, array]]
            if rank in variant.held:
                fits = np.arange(len(fits)) == self.l.grid[i, array]
            elif rank in variant.coupled:
                fits = np.arange(len(fits)) == chosen[coupled.index(rank)]
            outer[~fits[self.l.grid[i]]] = inf
        return int(outer.argmin())
