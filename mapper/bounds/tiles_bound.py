"""A bound over numbers of tiles, for one keep/bypass choice, where the last tile of a rank may be cut off.

The machine is cut at its array, as in `lattice_bound`: with e the tile of the middle (the level above the
array), t that of an instance, s the shape of the array and a = t s what the whole array holds,

    energy = outer(e) + array(a) + inner(t, s)  [+ a stationary tensor: its words times passes of the middle].

Of each tile only the numbers count (`tiles`), and for every pair (t, s) the least outer cost of all e
around a is looked up. Cycles are those of t and s, exactly: each rank takes a whole number of steps, and
units work in step. """

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, nan, prod

import numpy as np

from ..mapping.template import slot
from ..model.energy import gate, leakage_per_cycle
from ..workload.einsum import Tensor
from .cap import UNCAPPED, Cap
from .lattice_ports import PortPrices, port_prices
from .tiles import Tiles
from .tiles_inside import Pairs, anew_at_least
from .tiles_outside import Outside

_TOGETHER = 200_000           # pairs looked at together
_KEPT = 4                     # candidates handed on
_LITTLE = 0.1                 # shares of words that may rest that are not looked at apart
_CLOSE = 1000                 # pairs together that are looked at with all numbers of middle tiles
_MOST_NUMBERS = 400           # of these

#: Words that tiles load, by tensor and by the rank along which windows slide (see `Pairs.loads`).
_Words = dict[str, dict[int | None, np.ndarray]]
#: How a middle tile is chosen for a candidate (see `Outside.middle_tile`).
_Variant = tuple[str, Tensor | None, float]

#: Of middle tiles around a stationary tensor (see `Outside.table`), the share of it that rests.
_Case = tuple[str, int | None, int | None, np.ndarray]


@dataclass(frozen=True)
class Cut:
    """A candidate of which no less than `value` is proven, with its factors, shape (slots, ranks)."""

    value: float
    factors: np.ndarray


class TileBound(Outside):
    """Least objective over all mappings of one keep/bypass choice, whatever their remainders, that may lie
    within a `cap`."""

    def __init__(self, tiles: Tiles, keep: tuple[frozenset[str], ...], energy_power: int, cycles_power: int,
                 cap: Cap = UNCAPPED, port: PortPrices | None = None) -> None:
        super().__init__(tiles, keep, port)
        self.powers, self.cap = (energy_power, cycles_power), cap
        self.cutoff, self.found = inf, list[tuple[float, Pairs, _Variant]]()

    @cached_property
    def _ports(self) -> list[TileBound]:
        """Cycles that bandwidths outside the array ask for are counted like energy, at other prices."""
        return [TileBound(self.l, self.keep, 1, 0, UNCAPPED, port)
                for port in port_prices(self.l.arch) if port.level <= self.l.middle]

    def quick(self) -> float:
        """What is proven by each shape of the array for itself, which takes little time."""
        energy, steps = self._bare + self._by_shape, self.l.quickest
        value = self._objective(energy, steps)
        good = energy + self._leak(steps) <= self.cap.most_energy(steps)
        return float(np.where(good, value, inf).min(initial=inf))

    def solve(self, cutoff: float) -> tuple[float, list[Cut]]:
        """(proven bound, at most `cutoff`; candidates that may lie below it)."""
        assert self.l.shapes is not None
        self.cutoff, self.found = cutoff, []
        near = np.flatnonzero(self._bare + self._by_shape < self._budget(self.l.quickest))
        tiles = self._tiles() if len(near) else np.zeros((len(self.l.ranks), 0), dtype=np.int64)
        anew = {t.name: anew_at_least(self.l, t, tiles) for t in self.held}
        waiting, count = list[Pairs](), 0
        for k in near[np.argsort(self.l.quickest[near], kind="stable")].tolist():
            waiting.append(self._promising(k, tiles, anew))
            count += len(waiting[-1].steps)
            if count > _TOGETHER:
                self._look(waiting)
                waiting, count = [], 0
        self._look(waiting)
        cuts = dict[bytes, Cut]()
        for found in sorted(self.found, key=lambda found: found[0]):
            if len(cuts) < _KEPT:
                cut = self._cut(*found)
                cuts.setdefault(cut.factors.tobytes(), cut)
        return self.cutoff, list(cuts.values())

    # ---- which pairs are looked at -------------------------------------------------------------

    def _tiles(self) -> np.ndarray:
        """The tiles that fit an instance, shape (ranks, tiles); where it keeps nothing, the smallest."""
        if not self.held:
            return np.array([[len(own) - 1] for own in self.l.counts])
        words = sum((self.l.volume(t) for t in self.held), np.zeros(()))
        fits = words <= (self.l.arch.levels[self.l.middle + 1].capacity_words or inf)
        return np.stack(np.nonzero(np.broadcast_to(fits, self.l.shape)))

    def _promising(self, k: int, tiles: np.ndarray, anew: dict[str, np.ndarray]) -> Pairs:
        """The tiles that may be better than the cutoff with a shape of the array."""
        assert self.l.shapes is not None
        shape, spreads = self.l.shapes[k], self.l.spreads
        steps = prod((x.steps[s][t] for x, s, t in zip(spreads, shape, tiles, strict=True)),
                     start=np.ones(tiles.shape[1]))
        low = self._bare - self.least_outside + self._by_shape[k]
        where = np.flatnonzero(low + self.least_outside < self._budget(steps))
        tiles, room = tiles[:, where], self._budget(steps[where]) - low
        rest = [np.maximum(x.alone[s], x.idle[s])[t] for x, s, t in zip(spreads, shape, tiles, strict=True)]
        array = np.zeros(len(where), dtype=np.int64)
        for x, s, t, stride in zip(spreads, shape, tiles, self.l.strides, strict=True):
            array += (x.passes[s] * stride)[t]
        near = np.zeros(len(where), dtype=bool)
        for still, ranks in self._classes:
            energy = self._at_least(still, array, rest)
            share = np.maximum.reduce([rest[i] for i in ranks])
            for tensor in self.held:
                if tensor not in still:
                    rates, copies = self.entering(tensor), float(np.prod(shape[self.l.others(tensor)]))
                    least = self._least_shared(tensor, shape) / copies if self.l.multicast else 1.0
                    words = anew[tensor.name][where] * (rates.asked * least + rates.filled)
                    energy = energy + (1 - share) * np.maximum(words - rates.word * self.l.floor(tensor), 0.0)
            near |= energy < room
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
        for i, still in enumerate(self._still):
            found.setdefault(tuple(t.name for t in still), (still, []))[1].append(i)
        return list(found.values())

    @cached_property
    def _still(self) -> list[list[Tensor]]:
        return [[t for t in self.tensors if rank not in t.ranks] for rank in self.l.ranks]

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
                total += self._at_units(tensor, shapes[:, self.l.others(tensor)].prod(axis=1, dtype=float))
                continue
            rates = self.rates(tensor, self.parent(tensor), None)
            words: np.ndarray | float = float(self.l.einsum.macs)
            if self.l.multicast:
                words = self._least_shared(tensor, shapes.T) * self._extent(tensor)
                for i in self.l.others(tensor):
                    words = words * self.l.spreads[i].steps.min(axis=1)[shapes[:, i]]
            total += rates.asked * words - rates.first * self.sizes[tensor.name]
        return total

    def _at_units(self, tensor: Tensor, copies: np.ndarray) -> np.ndarray:
        """Energy of what the units ask of an instance that keeps a tensor, less first touches there."""
        inside, enters = self.rates(tensor, self.l.middle + 1, None), self.entering(tensor)
        return inside.asked * self.l.einsum.macs \
            - (inside.first + enters.copied) * self.sizes[tensor.name] * copies

    def _extent(self, tensor: Tensor) -> float:
        """Points of the ranks that move a tensor."""
        return prod((float(self.l.extents[i]) for i in self.l.moving(tensor)), start=1.0)

    def _least_shared(self, tensor: Tensor, shape: np.ndarray) -> np.ndarray | float:
        """`Pairs.shared` of any tiles, at the least; `shape` by rank."""
        share: np.ndarray | float = 1.0
        for (p, _), (r, _) in self.l.windows(tensor):
            m, n = shape[p], shape[r]
            share = share * (m + n - 1) / (m * n) / np.where((m > 1) & (n > 1), 2, 1)
        return share

    # ---- what pairs cost -----------------------------------------------------------------------

    def _look(self, waiting: list[Pairs]) -> None:
        """Find the least objective of these pairs, for each rank whose loop may be the innermost one."""
        if not waiting:
            return
        pairs = Pairs(self.l, np.concatenate([x.t for x in waiting], axis=1), np.concatenate(
            [x.s for x in waiting], axis=1), np.concatenate([x.steps for x in waiting]))
        same = self.base + self._asked(pairs)
        words = {t.name: pairs.loads(t) for t in self.held}
        for i in [*range(len(self.l.ranks)), None]:
            iterates = (pairs.passes == 1).all(axis=0) if i is None else pairs.passes[i] > 1
            some = np.flatnonzero(iterates)
            own = {name: {k: w[some] for k, w in x.items()} for name, x in words.items()}
            self._innermost(i, pairs.at(some), same[some], own)

    def _asked(self, pairs: Pairs) -> np.ndarray:
        """Energy of what the units ask, less first touches in the instances."""
        total = np.zeros(len(pairs.steps))
        for tensor in self.tensors:
            if tensor in self.held:
                total += self._at_units(tensor, pairs.copies(tensor))
                total -= self.entering(tensor).first * self.sizes[tensor.name]
                continue
            rates = self.rates(tensor, self.parent(tensor), None)
            words: np.ndarray | float = float(self.l.einsum.macs)
            if self.l.multicast:
                words = pairs.shared(tensor) * self._extent(tensor)
                for i in self.l.others(tensor):
                    words = words * self.l.spreads[i].steps[pairs.s[i], pairs.t[i]]
            total += rates.asked * words - rates.first * self.sizes[tensor.name]
        return total

    def _innermost(self, i: int | None, pairs: Pairs, energy: np.ndarray, words: _Words) -> None:
        """Find the least objective if the loop of a rank is the innermost one above the array, or none
        iterates there (None), looking closer at what may still be the best. `energy`: of what the units
        ask."""
        found = list[tuple[np.ndarray, _Variant]]()
        for close in range(3):
            if close == 1:
                pairs = self._slowed(i, pairs, words)
            found = self._variants(i, pairs, energy, words, close)
            least = np.minimum.reduce([own for own, _ in found])
            near = np.flatnonzero(least < self._budget(pairs.steps))
            pairs, energy = pairs.at(near), energy[near]
            words = {name: {k: w[near] for k, w in x.items()} for name, x in words.items()}
            found = [(own[near], variant) for own, variant in found]
            if not len(near):
                return
        for own, variant in found:
            self._keep_best(pairs, own, variant)

    def _slowed(self, i: int | None, pairs: Pairs, words: _Words) -> Pairs:
        """The pairs with the steps that bandwidths leave; the middle tile of the fewest cycles is chosen for
        itself."""
        steps = pairs.steps
        for port in self._ports:
            found = port._variants(i, pairs, port._asked(pairs), words, 1)
            steps = np.maximum(steps, np.minimum.reduce([own for own, _ in found]))
        return replace(pairs, steps=steps)

    def _variants(self, i: int | None, pairs: Pairs, energy: np.ndarray, words: _Words,
                  close: int) -> list[tuple[np.ndarray, _Variant]]:
        """Energy at the least, for classes of mappings that together are all."""
        if i is None:
            return self._around_the_array(None, pairs, energy, list(self.tensors), words, close)
        rest = np.maximum(pairs.alone[i], pairs.idle[i])
        rests: list[tuple[int | None, np.ndarray]] = [(None, rest)]
        apart = pairs.alone[i] > np.maximum(pairs.idle[i], _LITTLE)
        if close and apart.any():
            rests = [(None, np.where(apart, pairs.idle[i], rest)), (i, rest)]
        still = self._still[i]
        moved = {t.name: self._moved(i, t, pairs, words[t.name]) for t in self.held if t not in still}
        found = list[tuple[np.ndarray, _Variant]]()
        for cut, share in rests:
            total = energy
            for anew, once in moved.values():
                total = total + (1 - share) * anew + share * once
            own = self._around_the_array(cut, pairs, total, still, words, close)
            found += own if cut is None else [(np.where(apart, x, inf), variant) for x, variant in own]
        much = rest > _LITTLE
        if close and much.any():
            energy = sum((self._once(t, pairs, words[t.name]) for t in self.held if t in still), energy)
            for name, (anew, once) in moved.items():
                others = [(1 - rest) * x + rest * y for other, (x, y) in moved.items() if other != name]
                outer = self._resting(self.l.einsum.tensor(name), i, pairs, rest, once)
                least = sum(others, energy + (1 - rest) * anew + outer)
                found = [(np.where(much, np.maximum(own, least), own), variant) for own, variant in found]
        return found

    def _resting(self, tensor: Tensor, i: int, pairs: Pairs, rest: np.ndarray,
                 once: np.ndarray) -> np.ndarray:
        """The least outer cost with what words cost that rest while the innermost loop makes a pass, `once`
        for all of them: these enter anew whenever the middle changes, unless neither the innermost outer
        loop nor any of the middle moves the tensor then."""
        at, own = tuple(pairs.a), [k for k in self.l.moving(tensor) if k != i]
        both = np.maximum(pairs.alone[own], pairs.idle[own]).max(axis=0, initial=0.0)
        least = self.table("bare", tensor, None, i)[at] + rest * once
        for kind, share in (("moved", rest), ("bare", rest * (1 - both))):
            bare, still = self.table(kind, tensor)[at], self.table(f"{kind} still", tensor)[at]
            with np.errstate(invalid="ignore"):
                outer = (1 - share) * bare + share * still + (rest - share) * once
            least = np.minimum(least, np.where(np.isfinite(bare), outer, inf))
        return least

    def _around_the_array(self, cut: int | None, pairs: Pairs, energy: np.ndarray, still: list[Tensor],
                          words: _Words, close: int) -> list[tuple[np.ndarray, _Variant]]:
        """Energy at the least where tensors stay in place while the innermost loop above the array runs."""
        kept, at = [t for t in still if t in self.held], tuple(pairs.a)
        once = sum((self._once(t, pairs, words[t.name]) for t in kept), energy)
        if len(kept) != 1:      # counted with the fewest words of all
            return [(once + self.table("any", None, cut)[at], ("any", None, 0.0))]
        tensor, = kept
        price, energy = self._stationary(tensor, pairs, energy, words[tensor.name])
        cases = self._rests(tensor, cut, pairs, close)
        others = [self.l.shape[i] for i in self.l.others(tensor)]
        if close < 2 or self.l.is_constant(tensor) or prod(others) > _MOST_NUMBERS:
            outer = [self._again(tensor, pairs, *case) for case in cases]
        else:
            outer = [self._at_numbers(tensor, pairs, price, *case) for case in cases]
        return [(once + self.table("far", tensor, cut)[at], ("far", tensor, 0.0)),
                (energy + np.fmin.reduce(outer), ("any", tensor, float(price.min(initial=inf))))]

    def _moved(self, i: int, tensor: Tensor, pairs: Pairs,
               words: dict[int | None, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Energy of a tensor that the innermost loop moves, that of rank `i`, and what it costs at the least
        while that loop has one iteration in a pass: words that may rest are loaded once and for all."""
        others, rates = self.l.others(tensor), self.entering(tensor)
        anew, least = words.get(i, words[None]), np.minimum.reduce(list(words.values()))
        passes, entered = pairs.passes[others].prod(axis=0), pairs.tiles[others].prod(axis=0)
        return (rates.asked * pairs.asked(tensor, anew, passes, entered) + rates.filled * anew * entered,
                rates.asked * pairs.asked(tensor, least, 1.0, 1.0) + rates.filled * least)

    def _once(self, tensor: Tensor, pairs: Pairs, words: dict[int | None, np.ndarray]) -> np.ndarray:
        """Energy of a tensor that enters every instance that needs it once."""
        rates, copies = self.entering(tensor), pairs.copies(tensor)
        least = np.minimum.reduce(list(words.values()))
        return rates.asked * pairs.asked(tensor, least, 1.0, copies) + rates.filled * least * copies

    def _stationary(self, tensor: Tensor, pairs: Pairs, energy: np.ndarray,
                    words: dict[int | None, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """What a tensor costs in each pass of the middle if it enters anew whenever that changes, and
        `energy` with what it costs besides.

        Instances along a rank that have the same words, s of them, in n passes of the middle load these n +
        s - 1 times at least, and so in the product over ranks."""
        rates, copies = self.entering(tensor), pairs.copies(tensor)
        least = np.minimum.reduce(list(words.values()))
        price = least * (rates.asked * (pairs.shared(tensor) if self.l.multicast else 1.0) + rates.filled)
        return price, energy + (rates.filled if self.l.multicast else rates.word) * least * (copies - 1)

    def _rests(self, tensor: Tensor, cut: int | None, pairs: Pairs, close: int) -> list[_Case]:
        """Which share of a stationary tensor may rest through outer loops, and with which of these: where all
        loops of the middle that move it have one iteration, of which one or several may have more
        elsewhere. A share is nan where another case is enough; what is said of a pair depends on no other."""
        cases: list[_Case] = [("moved", cut, None, np.zeros(len(pairs.steps)))]
        shares = {i: (pairs.idle[i], pairs.alone[i]) for i in self.l.moving(tensor)}
        most = {i: np.maximum(*own) for i, own in shares.items()}
        if not close:
            return [*cases, ("bare", cut, None, np.max(list(most.values()), axis=0, initial=0.0))]
        none = np.zeros(len(pairs.steps))
        together = np.sort(np.stack([*most.values(), none, none]), axis=0)[-2:].prod(axis=0)
        for i, (idle, alone) in shares.items():
            little = most[i] <= _LITTLE
            together = np.maximum(together, np.where(little, most[i], 0.0))
            if little.all():
                continue
            cases.append(("bare", None, i, np.where(little, nan, idle)))
            cut_off = (alone > idle) & ~little
            if cut_off.any():
                cases.append(("bare", i, i, np.where(cut_off, most[i], nan)))
        return [*cases, ("bare", cut, None, together)]

    def _again(self, tensor: Tensor, pairs: Pairs, kind: str, cut: int | None, but: int | None,
               rest: np.ndarray) -> np.ndarray:
        """The least outer cost with what a stationary tensor costs, at the least, of which a part rests."""
        still = self.table(f"{kind} still", tensor, cut, but)[tuple(pairs.a)]
        if not rest.any():
            return np.asarray(still)
        bare = self.table(kind, tensor, cut, but)[tuple(pairs.a)]
        once = self.entering(tensor).word * self.l.floor(tensor)
        with np.errstate(invalid="ignore"):
            return np.where(np.isfinite(bare), bare + rest * once + (1 - rest) * (still - bare), inf)

    def _at_numbers(self, tensor: Tensor, pairs: Pairs, price: np.ndarray, kind: str, cut: int | None,
                    but: int | None, rest: np.ndarray) -> np.ndarray:
        """The same over all numbers of middle tiles in the ranks that do not move the tensor, which costs
        `price` a pass of the middle."""
        others = self.l.others(tensor)
        chosen = np.indices([self.l.shape[i] for i in others]).reshape(len(others), -1 if others else 1)
        at: list[np.ndarray] = [own[:, None] for own in pairs.a]
        times = np.ones((1, chosen.shape[1]))
        for i, places in zip(others, chosen, strict=True):
            at[i], times = places[None, :], times * self.l.counts[i][places]
        table, again = self.table(f"{kind} at", tensor, cut, but), (1 - rest) * price
        found = list[np.ndarray]()
        for start in range(0, len(again), _CLOSE):
            part = slice(start, start + _CLOSE)
            own = [x[part] if i not in others else x for i, x in enumerate(at)]
            good = np.ones((1, 1), dtype=bool)
            for i in others:
                good = good & (at[i] <= pairs.a[i][part][:, None])
            outer = np.where(good, table[tuple(own)], inf)
            found.append((outer + again[part][:, None] * times).min(axis=1, initial=inf))
        return np.concatenate([np.zeros(0), *found]) + rest * price

    # ---- the objective -------------------------------------------------------------------------

    def _keep_best(self, pairs: Pairs, energy: np.ndarray, variant: _Variant) -> None:
        """Keep the best of the pairs that lie below the cutoff."""
        near = np.flatnonzero(energy < self._budget(pairs.steps))
        value = self._objective(energy[near], pairs.steps[near])
        for k in np.argsort(value, kind="stable")[:_KEPT]:
            self.found.append((float(value[k]), pairs.at(near[k:k + 1]), variant))
        self.cutoff = min(self.cutoff, float(value.min(initial=inf)))

    def _budget(self, steps: np.ndarray) -> np.ndarray:
        """Energy below which a mapping of so many steps beats the cutoff within the cap."""
        energy_power, cycles_power = self.powers
        with np.errstate(invalid="ignore"):
            if energy_power:
                most = (self.cutoff / steps ** cycles_power) ** (1 / energy_power)
            else:
                most = np.where(steps ** cycles_power < self.cutoff, inf, -inf)
            room = np.minimum(most, self.cap.most_energy(steps)) - self._leak(steps)
        return np.where(np.isfinite(steps), room, -inf)

    def _objective(self, energy: np.ndarray, steps: np.ndarray) -> np.ndarray:
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

    def _cut(self, value: float, pairs: Pairs, variant: _Variant) -> Cut:
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
