"""A bound over numbers of tiles, for one keep/bypass choice, where the last tile of a rank may be cut off.

The machine is cut at its array, as in `lattice.bound`: with e the tile of the middle (the level above the
array), t that of an instance, s the shape of the array and a = t s what the whole array holds,

    energy = outer(e) + array(a) + inner(t, s)  [+ a stationary tensor: its words times passes of the middle].

Of each tile only the numbers count (`tiles`), and for every pair (t, s) the least outer cost of all e
around a is looked up. Cycles are those of t and s, exactly: each rank takes a whole number of steps, and
units work in step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, prod

import numpy as np

from ...mapping.template import Keep, slot
from ...model.energy import gate, leakage_per_cycle
from ...workload.einsum import Tensor
from ..cap import UNCAPPED, Cap
from ..lattice.ports import port_prices
from .around import Around, Variant, Words
from .inside import Pairs, anew_at_least
from .tiles import Tiles

_TOGETHER = 200_000           # pairs looked at together
_KEPT = 4                     # candidates handed on


@dataclass(frozen=True)
class Cut:
    """A candidate of which no less than `value` is proven, with its factors, shape (slots, ranks)."""

    value: float
    factors: np.ndarray


@dataclass(frozen=True)
class Left:
    """A pair of which no less than `value` is proven, and the ranks of innermost loops above the array (None:
    there is none) with which it may be below the cutoff."""

    value: float
    pair: Pairs
    innermost: set[int | None]


class TileBound(Around):
    """Least objective over all mappings of one keep/bypass choice, whatever their remainders, that may lie
    within a `cap`."""

    def __init__(self, tiles: Tiles, keep: Keep, energy_power: int, cycles_power: int,
                 cap: Cap = UNCAPPED) -> None:
        super().__init__(tiles, keep)
        self.powers, self.cap = (energy_power, cycles_power), cap
        self.cutoff, self.found, self.most = inf, list[tuple[float, Pairs, Variant, int | None]](), 1

    @cached_property
    def ports(self) -> list[Around]:
        """Cycles that bandwidths outside the array ask for are counted like energy, at other prices."""
        return [Around(self.l, self.keep, port) for port in port_prices(self.l.arch)
                if port.level <= self.l.middle]

    def quick(self) -> float:
        """What is proven by each shape of the array for itself, which takes little time."""
        energy, steps = self._bare + self._by_shape, self.l.quickest
        value = self.objective(energy, steps)
        good = energy + self._leak(steps) <= self.cap.most_energy(steps)
        return float(np.where(good, value, inf).min(initial=inf))

    def solve(self, cutoff: float) -> tuple[float, list[Cut]]:
        """(proven bound, at most `cutoff`; candidates that may lie below it)."""
        self._search(cutoff, 1)
        cuts = dict[bytes, Cut]()
        for found in sorted(self.found, key=lambda found: found[0]):
            if len(cuts) < _KEPT:
                cut = self._cut(*found[:3])
                cuts.setdefault(cut.factors.tobytes(), cut)
        return self.cutoff, list(cuts.values())

    def left(self, cutoff: float, most: int) -> tuple[float, list[Left]]:
        """The pairs below the cutoff, by what is proven of them, as far as these are no more than so many;
        and what is proven of all others, at most `cutoff`."""
        self._search(cutoff, most)
        pairs = dict[bytes, Left]()
        for value, pair, _, i in sorted(self.found, key=lambda found: found[0]):
            if value < self.cutoff:
                key = pair.t.tobytes() + pair.s.tobytes()
                pairs.setdefault(key, Left(value, pair, set())).innermost.add(i)
        return self.cutoff, list(pairs.values())

    def _search(self, cutoff: float, most: int) -> None:
        """Find the pairs below the cutoff, or below the `most`th of them."""
        assert self.l.shapes is not None
        self.cutoff, self.found, self.most = cutoff, [], most
        near = np.flatnonzero(self._bare + self._by_shape < self.budget(self.l.quickest))
        tiles = self._tiles() if len(near) else np.zeros((len(self.l.ranks), 0), dtype=np.int64)
        anew = {t.name: anew_at_least(self.l, t, tiles) for t in self.held}
        if len(near):
            likely = self._likely(near, tiles, anew)
            tiles, anew = tiles[:, likely], {name: words[likely] for name, words in anew.items()}
        waiting, count = list[Pairs](), 0
        for k in near[np.argsort(self.l.quickest[near], kind="stable")].tolist():
            waiting.append(self._promising(k, tiles, anew))
            count += len(waiting[-1].steps)
            if count > _TOGETHER:
                self._look(waiting)
                waiting, count = [], 0
        self._look(waiting)

    # ---- which pairs are looked at -------------------------------------------------------------

    def _tiles(self) -> np.ndarray:
        """The tiles that fit an instance, shape (ranks, tiles); where it keeps nothing, the smallest."""
        if not self.held:
            return np.array([[len(own) - 1] for own in self.l.counts])
        words = sum((self.l.volume(t) for t in self.held), np.zeros(()))
        fits = words <= (self.l.arch.levels[self.l.middle + 1].capacity_words or inf)
        return np.stack(np.nonzero(np.broadcast_to(fits, self.l.shape)))

    def _likely(self, near: np.ndarray, tiles: np.ndarray, anew: dict[str, np.ndarray]) -> np.ndarray:
        """Which tiles may be better than the cutoff with any of some shapes of the array."""
        assert self.l.shapes is not None
        shapes = self.l.shapes[near]
        rest = [np.maximum(x.alone[s], x.idle[s]).max(axis=0)[t]
                for x, s, t in zip(self.l.spreads, map(np.unique, shapes.T), tiles, strict=True)]
        least = {t.name: self._least_entering(t, shapes.T) for t in self.held}
        room = float(self.budget(self.l.quickest[near]).max()) - self._bare - self._by_shape[near].min()
        good = np.zeros(tiles.shape[1], dtype=bool)
        for still, ranks in self._classes:
            good |= self._entering(still, ranks, rest, anew, least) < room
        return good

    def _least_entering(self, tensor: Tensor, shapes: np.ndarray) -> float:
        """Energy of a word that enters an instance, at the least, with any of some shapes, by rank."""
        rates, copies = self.entering(tensor), shapes[self.l.others(tensor)].prod(axis=0, dtype=float)
        shared = np.min(self.least_shared(tensor, shapes) / copies) if self.l.multicast else 1.0
        return rates.asked * float(shared) + rates.filled

    def _entering(self, still: list[Tensor], ranks: list[int], rest: list[np.ndarray],
                  anew: dict[str, np.ndarray], least: dict[str, float]) -> np.ndarray:
        """Energy at the least of what enters instances anew while a loop of the `ranks` is innermost, more
        than if it entered once."""
        share = 1.0 - np.maximum.reduce([rest[i] for i in ranks])
        energy = np.zeros(len(share))
        for tensor in self.held:
            if tensor not in still:
                once = self.entering(tensor).word * self.l.floor(tensor)
                energy += share * np.maximum(anew[tensor.name] * least[tensor.name] - once, 0.0)
        return energy

    def _promising(self, k: int, tiles: np.ndarray, anew: dict[str, np.ndarray]) -> Pairs:
        """The tiles that may be better than the cutoff with a shape of the array."""
        assert self.l.shapes is not None
        shape, spreads = self.l.shapes[k], self.l.spreads
        steps = prod((x.steps[s][t] for x, s, t in zip(spreads, shape, tiles, strict=True)),
                     start=np.ones(tiles.shape[1]))
        low = self._bare - self.least_outside + self._by_shape[k]
        where = np.flatnonzero(low + self.least_outside < self.budget(steps))
        tiles, room = tiles[:, where], self.budget(steps[where]) - low
        anew = {name: words[where] for name, words in anew.items()}
        rest = [np.maximum(x.alone[s], x.idle[s])[t] for x, s, t in zip(spreads, shape, tiles, strict=True)]
        least = {t.name: self._least_entering(t, shape[:, None]) for t in self.held}
        array = np.zeros(len(where), dtype=np.int64)
        for x, s, t, stride in zip(spreads, shape, tiles, self.l.strides, strict=True):
            array += (x.passes[s] * stride)[t]
        near = np.zeros(len(where), dtype=bool)
        for still, ranks in self._classes:
            energy = self._entering(still, ranks, rest, anew, least)
            some = np.flatnonzero(energy + self.least_outside < room)
            outer = self._at_least(still, array[some], [own[some] for own in rest])
            near[some] |= outer + energy[some] < room[some]
        some = np.flatnonzero(near)
        shapes = np.repeat(shape[:, None], len(some), axis=1)
        return Pairs(self.l, tiles[:, some], shapes, steps[where[some]])

    def _at_least(self, still: list[Tensor], array: np.ndarray, rest: list[np.ndarray]) -> np.ndarray:
        """The least outer cost by the tile of the array, a flat index, with what a tensor costs that alone is
        stationary, less what it costs if it is loaded once."""
        kept = [t for t in still if t in self.held]
        outer = self.table("any").ravel()[array]
        if len(kept) != 1:
            return np.asarray(outer)
        tensor, own = kept[0], self.l.moving(kept[0])
        share = np.maximum.reduce([np.zeros(len(array)), *(rest[i] for i in own)])
        once = self.entering(tensor).word * self.l.floor(tensor)
        again = self.table("any still", tensor).ravel()[array] - once
        far = self.table("far", tensor).ravel()[array]
        with np.errstate(invalid="ignore"):
            least = np.where(np.isfinite(outer), (1 - share) * again + share * outer, inf)
        return np.minimum(far, least)

    @cached_property
    def _classes(self) -> list[tuple[list[Tensor], list[int]]]:
        """Tensors that stay in place while a loop of some ranks is innermost, and these ranks."""
        found: dict[tuple[str, ...], tuple[list[Tensor], list[int]]] = {}
        for i, still in enumerate(self.still):
            found.setdefault(tuple(t.name for t in still), (still, []))[1].append(i)
        return list(found.values())

    @cached_property
    def _bare(self) -> float:
        """Energy at the least of what no tile and no shape of the array spares."""
        total = self.base + self.least_outside
        for tensor in self.held:
            rates = self.entering(tensor)
            total += rates.word * self.l.floor(tensor) - rates.first * self.sizes[tensor.name]
        return total

    @cached_property
    def _by_shape(self) -> np.ndarray:
        """Energy of what the units ask, at the least, less first touches in the instances, by shape."""
        assert self.l.shapes is not None
        shapes, total = self.l.shapes, np.zeros(len(self.l.shapes))
        for tensor in self.tensors:
            if tensor in self.held:
                total += self.at_units(tensor, shapes[:, self.l.others(tensor)].prod(axis=1, dtype=float))
                continue
            rates = self.rates(tensor, self.parent(tensor), None)
            words: np.ndarray | float = float(self.l.einsum.macs)
            if self.l.multicast:
                words = self.least_shared(tensor, shapes.T) * self.extent(tensor)
                for i in self.l.others(tensor):
                    words = words * self.l.spreads[i].steps.min(axis=1)[shapes[:, i]]
            total += rates.asked * words - rates.first * self.sizes[tensor.name]
        return total

    # ---- what pairs cost -----------------------------------------------------------------------

    def _look(self, waiting: list[Pairs]) -> None:
        """Find the least objective of these pairs, for each rank whose loop may be the innermost one."""
        if not waiting:
            return
        pairs = Pairs.together(waiting)
        same = self.base + self.asked(pairs)
        words = {t.name: pairs.loads(t) for t in self.held}
        for i in [*range(len(self.l.ranks)), None]:
            iterates = (pairs.passes == 1).all(axis=0) if i is None else pairs.passes[i] > 1
            some = np.flatnonzero(iterates)
            own = {name: {k: w[some] for k, w in x.items()} for name, x in words.items()}
            self._innermost(i, pairs.at(some), same[some], own)

    def _innermost(self, i: int | None, pairs: Pairs, energy: np.ndarray, words: Words) -> None:
        """Find the least objective if the loop of a rank is the innermost one above the array, or none
        iterates there (None), looking closer at what may still be the best. `energy`: of what the units
        ask."""
        found = list[tuple[np.ndarray, Variant]]()
        for close in range(3):
            if close == 1:
                pairs = self._slowed(i, pairs, words)
            found = self.variants(i, pairs, energy, words, close)
            least = np.minimum.reduce([own for own, _ in found])
            near = np.flatnonzero(least < self.budget(pairs.steps))
            pairs, energy = pairs.at(near), energy[near]
            words = {name: {k: w[near] for k, w in x.items()} for name, x in words.items()}
            found = [(own[near], variant) for own, variant in found]
            if not len(near):
                return
        for own, variant in found:
            self._keep_best(pairs, own, variant, i)

    def _slowed(self, i: int | None, pairs: Pairs, words: Words) -> Pairs:
        """The pairs with the steps that bandwidths leave; the middle tile of the fewest cycles is chosen for
        itself."""
        steps = pairs.steps
        for port in self.ports:
            found = port.variants(i, pairs, port.asked(pairs), words, 1)
            steps = np.maximum(steps, np.minimum.reduce([own for own, _ in found]))
        return replace(pairs, steps=steps)

    # ---- the objective -------------------------------------------------------------------------

    def _keep_best(self, pairs: Pairs, energy: np.ndarray, variant: Variant, i: int | None) -> None:
        """Keep the best of the pairs that lie below the cutoff."""
        near = np.flatnonzero(energy < self.budget(pairs.steps))
        value = self.objective(energy[near], pairs.steps[near])
        for k in np.argsort(value, kind="stable")[:max(self.most, _KEPT)]:
            self.found.append((float(value[k]), pairs.at(near[k:k + 1]), variant, i))
        if len(self.found) >= self.most:
            self.found.sort(key=lambda found: found[0])
            del self.found[max(self.most, _KEPT):]
            self.cutoff = min(self.cutoff, self.found[self.most - 1][0])

    def budget(self, steps: np.ndarray) -> np.ndarray:
        """Energy below which a mapping of so many steps beats the cutoff within the cap."""
        energy_power, cycles_power = self.powers
        with np.errstate(invalid="ignore"):
            if energy_power:
                most = (self.cutoff / steps ** cycles_power) ** (1 / energy_power)
            else:
                most = np.where(steps ** cycles_power < self.cutoff, inf, -inf)
            room = np.minimum(most, self.cap.most_energy(steps)) - self._leak(steps)
        return np.where(np.isfinite(steps), room, -inf)

    def objective(self, energy: np.ndarray, steps: np.ndarray) -> np.ndarray:
        energy_power, cycles_power = self.powers
        return np.asarray((energy + self._leak(steps)) ** energy_power * steps ** cycles_power)

    def _leak(self, steps: np.ndarray) -> np.ndarray:
        """Leakage of one instance of every level outside the array, and of what these switch, pJ."""
        total = 0.0
        for i, level in enumerate(self.l.arch.levels):
            switch, switched = gate(self.l.arch, i)
            total += leakage_per_cycle(level) * switched if switch <= self.l.middle else 0.0
        return np.asarray(total * steps)

    # ---- candidates ----------------------------------------------------------------------------

    def _cut(self, value: float, pairs: Pairs, variant: Variant) -> Cut:
        """The factors of a pair, with the middle tile of the least outer cost."""
        factors = np.ones((3 * self.l.depth, len(self.l.einsum.ranks)), dtype=np.int64)
        t = [int(own[k]) for own, k in zip(self.l.least, pairs.t[:, 0], strict=True)]
        size = [a * int(b) for a, b in zip(t, pairs.s[:, 0], strict=True)]
        passes = [int(n) for n in pairs.passes[:, 0]]
        loops = self.middle_tile(size, passes, *variant)
        x, y = self.l.sides(pairs.s[:, 0])
        for i, column in enumerate(self.l.columns):
            factors[slot(self.l.middle, "temporal"), column] = loops[i]
            if self.l.middle:
                factors[slot(0, "temporal"), column] = -(-passes[i] // loops[i])
            factors[slot(self.l.middle, "x"), column], factors[slot(self.l.middle, "y"), column] = x[i], y[i]
            if self.l.inside is not None:
                factors[slot(self.l.inside, "temporal"), column] = t[i]
        return Cut(value, factors)
