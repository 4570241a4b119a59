"""Bounds of three-level machines over whole factors: a minimum over the lattice of divisors.

For one keep/bypass choice and one choice of the tensors that are stationary at the middle level,
the energy is a sum over the two boundaries between the three storage levels. With e the tile of the
middle level, a what the whole array holds and t the tile of one inner instance (t | a | e, a = t s),

    energy = outer(e) + inner(a, t) [+ a stationary tensor's traffic, which also depends on e],

so all pairs (a, t) are reduced to one array over the divisors a, the minimum over a | e is a
running minimum along every rank, and adding outer(e) gives the least energy over every
factorisation. What a stationary tensor adds depends on e through one product of few values: it is
looped over. Sliding windows are counted from below (see docs/search.md), all else exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf

import numpy as np

from ..mapping.rules import TEMPORAL
from ..mapping.template import slot
from ..model.energy import gate, leakage_per_cycle
from ..workload.einsum import Tensor
from .arrays import divisors
from .cap import UNCAPPED, Cap
from .lattice import Lattice, Pairs, Tiling

#: Energy of a stationary tensor's boundary at all pairs, or at those in `keep`, from words streamed.
_Transfer = Callable[..., np.ndarray]
#: A level (3: the units), and the lattice points of its tiles.
_Place = tuple[int, np.ndarray]
#: A stationary tensor, its transfer, and its words if nothing were reused.
_Coupled = tuple[Tensor, _Transfer, np.ndarray]
#: A transfer, the words times the product that a middle tile divides them by, that product by tile.
_Held = tuple[_Transfer, np.ndarray, np.ndarray]


class LatticeBound:
    """Least objective over every factorisation and loop order of one keep/bypass choice that may lie
    within a `cap`."""

    def __init__(self, lattice: Lattice, keep: tuple[frozenset[str], ...], energy_power: int,
                 cycles_power: int, cap: Cap = UNCAPPED) -> None:
        self.l = lattice
        self.keep = keep
        self.powers = (energy_power, cycles_power)
        self.cap = cap
        self.tensors = lattice.einsum.tensors
        self.macs = float(lattice.einsum.macs)
        self.prices = lattice.prices
        self.steps = self.macs * self.prices.busy(keep)     # cycles of one unit, at the least
        self.everything = frozenset(lattice.ranks)
        self.distinct: dict[str, np.ndarray] = {}     # by tensor, at every pair
        self.whole = self.macs / lattice.product(self.everything)     # all loops above a point

    def solve(self, cutoff: float) -> tuple[float, list[Tiling]] | None:
        """(proven bound, at most `cutoff`; tilings that attain bounds below it), or None when the
        lattice is too large."""
        inner_words = self._words(2)
        outer = self._outer_costs()
        floor = min(float(cost.min()) for cost in outer.values())
        if not np.isfinite(floor):
            return cutoff, []
        base = self.prices.computes(self.keep) - self.prices.rounded_away(self.keep)
        pairs = self.l.pairs(inner_words, self._least_parallel(base + floor, cutoff))
        if pairs is None:
            return None
        self.distinct = {t.name: self.l.distinct(t, pairs.t, pairs.s) for t in self.tensors}
        best, tilings = cutoff, []
        for stationary in dict.fromkeys(self._reusers(r) for r in self.l.ranks):
            for found in self._variants(stationary, pairs, outer, base, cutoff):
                best = min(best, found[0])
                tilings.append(found)
        tilings.sort(key=lambda f: f[0])
        return best, [f[1] for f in tilings]

    def _words(self, level: int) -> np.ndarray:
        """Words that the tiles of `level` take, at every point."""
        words = np.zeros(len(self.l.points))
        for name in self.keep[level]:
            words = words + self.l.volumes[name] * self.prices.held(level, name)
        return words

    def _least_parallel(self, energy: float, cutoff: float) -> float:
        energy_power, cycles_power = self.powers
        cycles = self.cap.most_cycles
        if cycles_power and energy > 0.0:
            cycles = min(cycles, (cutoff / energy ** energy_power) ** (1 / cycles_power))
        return max(float(self.steps / cycles * (1 - 1e-9)), 1.0)

    def _reusers(self, rank: str) -> frozenset[str]:
        return frozenset(t.name for t in self.tensors if rank not in t.ranks)

    # ---- the boundary between the outer and the middle level ---------------------------------

    def _outer_costs(self) -> dict[str, np.ndarray]:
        """Energy of the outer boundary at every middle tile, by the rank innermost above it."""
        capacity = self.l.arch.levels[1].capacity_words
        fits = self._words(1) <= (inf if capacity is None else capacity)
        fits &= self.l.quotients(0, TEMPORAL, self.l.extents // self.l.points)
        limit = np.where(fits, 0.0, inf)
        every, one = np.arange(len(self.l.points)), np.ones(len(self.l.points))
        costs = {}
        for rank in self.l.ranks:
            cost = limit.copy()
            for tensor in self.tensors:
                if tensor.name not in self.keep[1]:
                    continue
                moves = rank in tensor.ranks
                times = self.whole if moves else self._relevant(tensor)
                sliders = frozenset((rank,)) if moves else self.everything
                words = self.l.volumes[tensor.name] * times * self.l.sliding(tensor, every, every, sliders)
                cost += self._transfer(tensor, (0, every), (1, every), words, words, one, one)
            costs[rank] = cost
        return costs

    def _relevant(self, tensor: Tensor) -> np.ndarray:
        """Product of the loops above a point that move `tensor`."""
        ranks = tensor.ranks & self.everything
        return float(np.prod([self.l.einsum.extent[r] for r in ranks])) / self.l.product(ranks)

    def _transfer(self, tensor: Tensor, parent: _Place, child: _Place, asked: np.ndarray, filled: np.ndarray,
                  copies: np.ndarray, instances: np.ndarray) -> np.ndarray:
        """Energy of `asked` words at `parent` (one instance) and of `filled` words at each of
        `instances` of `child`, which hold `copies` copies of every word between them.

        Level 3 as `child` stands for the compute units, which hold nothing.
        """
        network = self.l.arch.levels[parent[0]].network.ingress
        cost = asked * (0.0 if network is None else network.value * self.prices.moved(
            self.keep, parent[0], tensor.name))
        held = child[0] < 3
        if not tensor.is_output:
            cost = cost + self._access(parent, tensor, "read", asked)
            return cost + self._access(child, tensor, "fill", filled) * instances if held else cost
        cost = cost + self._access(parent, tensor, "update", asked)
        if not tensor.has_disjoint_tiles:
            return cost
        size = self.l.einsum.tensor_words(tensor.name)
        cost = cost + self._access(parent, tensor, "read", np.maximum(asked - size, 0.0))
        if not held:
            return cost
        again = np.maximum(filled - size * copies / instances, 0.0)
        return cost + self._access(child, tensor, "fill", again) * instances

    def _access(self, place: _Place, tensor: Tensor, action: str, words: np.ndarray) -> np.ndarray:
        """Energy of `words` of the dense run at one instance: whole blocks, if all of them move."""
        level, tiles = place
        size = self.l.arch.levels[level].block_words
        price = self.prices.word(self.keep, level, tensor.name, action)
        if not self.prices.sparse:
            return np.asarray((np.ceil(words / size - 1e-6) * size if size > 1 else words) * price)
        if self.prices.spares_tiles(self.keep, level, tensor.name):
            words = words * self.l.filled(tensor.name)[tiles]
        return np.asarray(words * price)

    # ---- the boundary above the inner level, for one choice of stationary tensors --------------

    def _variants(self, stationary: frozenset[str], pairs: Pairs, outer: dict[str, np.ndarray],
                  base: float, cutoff: float) -> Iterator[tuple[float, Tiling]]:
        """Bounds that together cover every mapping whose innermost middle loop is reused by
        exactly the `stationary` tensors (or whose middle level does not iterate)."""
        fixed, coupled = self._inner_costs(stationary, pairs)
        any_order = np.minimum.reduce(list(outer.values()))
        if not coupled:
            yield from self._least(pairs, base + fixed, [], any_order, self.everything, cutoff)
        elif len(coupled) == 1:
            tensor, transfer, multiply = coupled[0]
            # Some middle loop moves the tensor, or the innermost outer loop does: refetched then.
            reused = self.everything - tensor.ranks
            held = self.l.product(reused)
            yield from self._least(pairs, base + fixed, [(transfer, multiply * held[pairs.a], held)],
                                   any_order, self.everything, cutoff)
            # Neither does: the tensor stays through the outer loops as well.
            still = np.minimum.reduce([c for r, c in outer.items() if r in reused])
            relevant = self._relevant(tensor)[pairs.a] / self.whole[pairs.a]
            yield from self._least(pairs, base + fixed + transfer(multiply * relevant), [], still,
                                   reused, cutoff)
        else:
            for tensor, transfer, multiply in coupled:
                relevant = self._relevant(tensor)[pairs.a] / self.whole[pairs.a]
                fixed = fixed + transfer(multiply * relevant)
            yield from self._least(pairs, base + fixed, [], any_order, self.everything, cutoff)

    def _inner_costs(self, stationary: frozenset[str], pairs: Pairs) -> tuple[np.ndarray, list[_Coupled]]:
        """Energy at every pair without the stationary tensors, and for each of these a function
        from words streamed into one instance to energy, with the words if nothing were reused."""
        group = frozenset(r for r in self.l.ranks if self._reusers(r) == stationary)
        instances = self.l.product(self.everything)[pairs.s]
        total, coupled = np.zeros(len(pairs.t)), list[_Coupled]()
        for tensor in self.tensors:
            parent = 1 if tensor.name in self.keep[1] else 0
            distinct = self.distinct[tensor.name]
            copies = self.l.product(self.everything - tensor.ranks)[pairs.s]
            if tensor.name not in self.keep[2]:
                asked = self.macs / instances * distinct
                total += self._transfer(tensor, (parent, pairs.a), (3, pairs.t), asked, asked, copies,
                                        instances)
                continue
            total += self._at_compute(tensor, pairs.t, copies, instances)
            still = tensor.name in stationary
            share = self.l.sliding(tensor, pairs.t, pairs.a, self.everything if still else group)
            words = self.l.volumes[tensor.name][pairs.t] * self.whole[pairs.a] * share

            def transfer(words: np.ndarray, tensor: Tensor = tensor, parent: int = parent,
                         distinct: np.ndarray = distinct, instances: np.ndarray = instances,
                         copies: np.ndarray = copies, keep: np.ndarray | slice = slice(None)) -> np.ndarray:
                # The middle tile is not known here; it is at least that of the array.
                places = (parent, pairs.a[keep]), (2, pairs.t[keep])
                return self._transfer(tensor, *places, words * distinct[keep], words, copies[keep],
                                      instances[keep])

            if still:
                coupled.append((tensor, transfer, words))
            else:
                total += transfer(words)
        return total, coupled

    def _at_compute(self, tensor: Tensor, tiles: np.ndarray, copies: np.ndarray,
                    instances: np.ndarray) -> np.ndarray:
        """Energy of the inner level's accesses by the compute units."""
        words = self.macs / instances
        if not tensor.is_output:
            return self._access((2, tiles), tensor, "read", words) * instances
        cost = self._access((2, tiles), tensor, "update", words) * instances
        if not tensor.has_disjoint_tiles:
            return cost
        size = self.l.einsum.tensor_words(tensor.name)
        again = np.maximum(words - size * copies / instances, 0.0)
        return cost + self._access((2, tiles), tensor, "read", again) * instances

    # ---- the minimum ---------------------------------------------------------------------------

    def _least(self, pairs: Pairs, fixed: np.ndarray, coupled: list[_Held], outer: np.ndarray,
               free: frozenset[str], cutoff: float) -> list[tuple[float, Tiling]]:
        """The least objective below `cutoff` over pairs and middle tiles, with its tiling.

        `free`: the ranks in which the middle tile may exceed the array; `coupled`: the transfer
        function of a stationary tensor, its words times the product that the middle tile divides.
        """
        instances = self.l.product(self.everything)[pairs.s]
        budget = self._budget(instances, cutoff)
        low = fixed.copy()
        if coupled:
            transfer, words, held = coupled[0]
            low += transfer(words / float(held.max()))
        near = np.flatnonzero(low + outer.min() < budget)
        best: tuple[float, Tiling] | None = None
        values = np.unique(coupled[0][2]) if coupled else [None]
        for value in values:
            cost, where, target = fixed[near], near, outer
            if value is not None:
                cost = cost + transfer(words[near] / value, keep=near)
                target = np.where(held == value, outer, inf)
            alive = cost + target.min() < budget[near]
            cost, where = cost[alive], where[alive]
            for n in np.unique(instances[where]):
                chosen = instances[where] == n
                found = self._join(pairs, where[chosen], cost[chosen], target, free)
                if found is None:
                    continue
                energy, tiling = found
                objective = float(self._objective(energy, self.steps / n))
                if objective < cutoff and (best is None or objective < best[0]):
                    best = objective, tiling
        return [] if best is None else [best]

    def _budget(self, instances: np.ndarray, cutoff: float) -> np.ndarray:
        """Energy below which a mapping with so many instances at work beats `cutoff` within the cap."""
        energy_power, cycles_power = self.powers
        cycles = self.steps / instances
        if energy_power:
            most = (cutoff / cycles ** cycles_power) ** (1 / energy_power)
        else:
            most = np.where(cycles ** cycles_power < cutoff, inf, -inf)
        return np.asarray(np.minimum(most, self.cap.most_energy(cycles)) - self._leak(cycles))

    def _objective(self, energy: float, cycles: np.ndarray) -> np.ndarray:
        energy_power, cycles_power = self.powers
        return np.asarray((energy + self._leak(cycles)) ** energy_power * cycles ** cycles_power)

    def _leak(self, cycles: np.ndarray) -> np.ndarray:
        """Leakage of all levels, pJ: of every inner instance at work, of one instance elsewhere, and of
        what these hold switched on."""
        total = np.zeros_like(cycles)
        for i, level in enumerate(self.l.arch.levels):
            if leak := leakage_per_cycle(level) * self.prices.awake:
                switch, switched = gate(self.l.arch, i)
                spread = switch == 3 or (switch == 2 and bool(self.keep[2]))
                total = total + leak * switched * (self.steps if spread else cycles)
        return total

    def _join(self, pairs: Pairs, where: np.ndarray, cost: np.ndarray, outer: np.ndarray,
              free: frozenset[str]) -> tuple[float, Tiling] | None:
        """Least `cost + outer(e)` over the pairs `where` and the middle tiles e above their a."""
        least = np.full(len(self.l.points), inf)
        np.minimum.at(least, pairs.a[where], cost)
        table = least.reshape(self.l.shape)
        for axis, rank in enumerate(self.l.ranks):
            limits = self.l.rules.limits(slot(1, "temporal"), rank)
            if rank in free:
                table = _over_divisors(table, axis, int(self.l.extents[axis]), *limits)
            elif limits[0] > 1:
                return None
        total = table.ravel() + outer
        e = int(total.argmin())
        if not np.isfinite(total[e]):
            return None
        a_extents, e_extents = self.l.points[pairs.a[where]], self.l.points[e]
        below = (e_extents % a_extents == 0).all(axis=1)
        below &= self.l.quotients(1, TEMPORAL, e_extents // a_extents)
        for i, rank in enumerate(self.l.ranks):
            if rank not in free:
                below &= a_extents[:, i] == e_extents[i]
        pick = where[np.flatnonzero(below)[cost[below].argmin()]]
        x, y = self.l.arrays[int(pairs.s[pick])]
        tiles = (self.l.points[i].tolist() for i in (e, pairs.a[pick], pairs.t[pick]))
        middle, array, inner = map(tuple, tiles)
        return float(total[e]), Tiling(middle, array, inner, x, y)


def _over_divisors(table: np.ndarray, axis: int, extent: int, least: int, most: int) -> np.ndarray:
    """At every divisor v of `extent` along `axis` the minimum over its own divisors d for which
    v / d lies between `least` and `most`."""
    values = divisors(extent)
    rows = np.moveaxis(table, axis, 0)
    chosen = [[j for j, d in enumerate(values) if v % d == 0 and least <= v // d <= most] for v in values]
    result = np.stack([rows[own].min(axis=0, initial=inf) for own in chosen])
    return np.moveaxis(result, 0, axis)
