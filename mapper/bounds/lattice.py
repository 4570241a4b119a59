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

from dataclasses import dataclass
from functools import cache, cached_property
from math import inf, prod
from typing import Iterator, TypeVar

import numpy as np

from ..hardware.architecture import Architecture
from ..workload.einsum import Axis, Einsum, Tensor, Term
from .arrays import divisors, smallest_prime

Values = TypeVar("Values", float, np.ndarray)

_MOST_PAIRS = 12_000_000      # pairs (a, t) kept in memory at a time
_MOST_POINTS = 400_000        # lattice points


@dataclass(frozen=True)
class Tiling:
    """A candidate: extents by rank held by the middle level, the array, one inner instance, and
    how the array's factors split over x and y."""

    middle: tuple[int, ...]
    array: tuple[int, ...]
    inner: tuple[int, ...]
    x: tuple[int, ...]
    y: tuple[int, ...]


@dataclass(frozen=True)
class _Pairs:
    """Pairs of an inner tile and an array shape: lattice points, sorted by instances used, then a."""

    t: np.ndarray
    s: np.ndarray
    a: np.ndarray


class Lattice:
    """The divisors of all extents of one Einsum, with what depends on a single tile."""

    def __init__(self, architecture: Architecture, einsum: Einsum) -> None:
        self.arch = architecture
        self.einsum = einsum
        self.ranks = tuple(r for r in einsum.ranks if einsum.extent[r] > 1)
        self.extents = np.array([einsum.extent[r] for r in self.ranks], dtype=np.int64)
        self.shape = tuple(len(divisors(int(n))) for n in self.extents)

    @property
    def applies(self) -> bool:
        """Whether the machine has three storage levels and one fanout, below the middle one."""
        fanouts = [prod(self.arch.fanout(i)) for i in range(len(self.arch.levels))]
        return (len(self.arch.levels) == 3 and fanouts[0] == fanouts[2] == 1 and bool(self.ranks)
                and prod(self.shape) <= _MOST_POINTS)

    # ---- tables over lattice points ------------------------------------------------------------

    @cached_property
    def points(self) -> np.ndarray:
        """Extents of every lattice point, shape (points, ranks)."""
        grid = np.indices(self.shape).reshape(len(self.shape), -1)
        return np.stack([np.array(divisors(int(n)))[g] for n, g in zip(self.extents, grid)], axis=1)

    @cached_property
    def _positions(self) -> list[np.ndarray]:
        """For each rank the flat-index step of a divisor, by its value."""
        strides = [int(np.prod(self.shape[i + 1:], dtype=np.int64)) for i in range(len(self.shape))]
        tables = []
        for n, stride in zip(self.extents, strides):
            table = np.full(int(n) + 1, -1, dtype=np.int64)
            table[list(divisors(int(n)))] = stride * np.arange(len(divisors(int(n))))
            tables.append(table)
        return tables

    def index(self, extents: np.ndarray) -> np.ndarray:
        """Flat lattice index of extents that divide, shape (..., ranks) to (...)."""
        return sum(table[extents[..., i]] for i, table in enumerate(self._positions))

    def product(self, ranks: frozenset[str]) -> np.ndarray:
        """Product of the extents of `ranks` at every point, as float."""
        chosen = [i for i, r in enumerate(self.ranks) if r in ranks]
        return self.points[:, chosen].prod(axis=1).astype(float)

    def interval(self, axis: Axis) -> np.ndarray:
        """Length of the tile along `axis` at every point."""
        length = np.ones(len(self.points))
        for term in axis:
            if term.rank in self.ranks:
                length += abs(term.coefficient) * (self.points[:, self.ranks.index(term.rank)] - 1)
        return length

    @cached_property
    def volumes(self) -> dict[str, np.ndarray]:
        """Words of each tensor's tile at every point."""
        return {t.name: np.prod([self.interval(axis) for axis in t.projection], axis=0)
                for t in self.einsum.tensors}

    @cached_property
    def distinct(self) -> dict[str, np.ndarray]:
        """At most the number of different tiles when the array unrolls a point's extents."""
        multicast = self.arch.levels[1].network.multicast
        table = {}
        for tensor in self.einsum.tensors:
            count, seen = np.ones(len(self.points)), set[str]()
            for axis in tensor.projection:
                ranks = {t.rank for t in axis} & set(self.ranks)
                if not ranks & seen:
                    count = count * (1 + sum(self.points[:, self.ranks.index(r)] - 1 for r in ranks))
                seen |= ranks
            table[tensor.name] = count if multicast else self.product(frozenset(self.ranks))
        return table

    @cached_property
    def arrays(self) -> dict[int, tuple[tuple[int, ...], tuple[int, ...]]]:
        """Lattice points that fit the array, each with one way to split it over x and y."""
        level, (width, height) = self.arch.levels[1], self.arch.fanout(1)
        ways = {}
        along_x = self._within(width, level.spatial_x)
        along_y = self._within(height, level.spatial_y)
        for x in along_x:
            both = along_y * x
            # A rank runs along one axis of the array only, as in Timeloop's mappings.
            fits = (self.extents % both == 0).all(axis=1) & ((along_y == 1) | (x == 1)).all(axis=1)
            for y, point in zip(along_y[fits], self.index(both[fits])):
                ways.setdefault(int(point), (tuple(map(int, x)), tuple(map(int, y))))
        return ways

    def _within(self, most: int, allowed: tuple[str, ...] | None) -> np.ndarray:
        """Points whose product is at most `most` and whose other ranks are 1."""
        fits = self.points.prod(axis=1) <= most
        for i, rank in enumerate(self.ranks):
            if allowed is not None and rank not in allowed:
                fits &= self.points[:, i] == 1
        return self.points[fits]

    def sliding(self, tensor: Tensor, tile: np.ndarray, outer: np.ndarray,
                sliders: frozenset[str]) -> np.ndarray:
        """Least share of a tile that a step brings in when one of `sliders` steps innermost.

        `tile` and `outer` are lattice points: the tile of an instance, and the extents one step of
        the loops above moves by. The result is at most 1 and never above the true share.
        """
        share = np.ones(len(tile))
        ranks = [t.rank for axis in tensor.projection for t in axis]
        for axis in tensor.projection:
            moving = [t for t in axis if t.rank in self.ranks]
            if len(moving) < 2:
                continue
            width = self.interval(axis)[tile]
            for term in moving:
                if term.rank not in sliders or ranks.count(term.rank) > 1:
                    continue
                i = self.ranks.index(term.rank)
                held = self.points[outer, i]
                steps = self.extents[i] / held
                fresh = np.minimum(width, abs(term.coefficient) * held)
                piece = (width + (steps - 1) * fresh) / steps
                undone = self._may_undo(axis, term, outer) & (steps > 1)
                least = fresh * (1 - 1 / smallest_prime(int(self.extents[i])))
                piece = np.where(undone, least, piece)
                share = np.minimum(share, piece / width)
        return share

    def _may_undo(self, axis: Axis, slider: Term, outer: np.ndarray) -> np.ndarray:
        """Where a step of another window rank may equal steps of the slider, so that it moves
        nothing or seems to slide on: the sum of steps of either rank is then a multiple of the
        smallest step of the other."""
        others = [t for t in axis if t.rank in self.ranks and t is not slider]
        i = self.ranks.index(slider.rank)
        if len(others) > 1:
            indices = [self.ranks.index(t.rank) for t in others]
            return (self.points[outer][:, indices] < self.extents[indices]).any(axis=1)
        j = self.ranks.index(others[0].rank)
        table = _undo_table(int(self.extents[i]), abs(slider.coefficient),
                            int(self.extents[j]), abs(others[0].coefficient))
        where = [np.searchsorted(divisors(int(self.extents[k])), self.points[outer, k]) for k in (i, j)]
        return table[where[0], where[1]]

    def pairs(self, inner_words: np.ndarray, least_parallel: float) -> _Pairs | None:
        """Pairs (t, s) with t within the inner capacity, t * s dividing the extents and at least
        `least_parallel` instances at work; None when they are too many."""
        capacity = self.arch.levels[2].capacity_words
        tiles = np.flatnonzero(inner_words <= (inf if capacity is None else capacity))
        shapes = np.array([p for p in self.arrays if self.points[p].prod() >= least_parallel], dtype=np.int64)
        if len(tiles) * len(shapes) > 60 * _MOST_PAIRS:
            return None
        found_t, found_s, found_a, total = [], [], [], 0
        for s in shapes:
            both = self.points[tiles] * self.points[s]
            fits = (self.extents % both == 0).all(axis=1)
            total += int(fits.sum())
            if total > _MOST_PAIRS:
                return None
            found_t.append(tiles[fits])
            found_s.append(np.full(int(fits.sum()), s))
            found_a.append(self.index(both[fits]))
        if not total:
            return _Pairs(*(np.zeros(0, dtype=np.int64),) * 3)
        t, s, a = (np.concatenate(x) for x in (found_t, found_s, found_a))
        order = np.lexsort((a, self.points[s].prod(axis=1)))
        return _Pairs(t[order], s[order], a[order])


class LatticeBound:
    """Least objective over every factorisation and loop order of one keep/bypass choice."""

    def __init__(self, lattice: Lattice, keep: tuple[frozenset[str], ...], energy_power: int,
                 cycles_power: int) -> None:
        self.l = lattice
        self.keep = keep
        self.powers = (energy_power, cycles_power)
        self.tensors = lattice.einsum.tensors
        self.macs = float(lattice.einsum.macs)
        self.everything = frozenset(lattice.ranks)
        self.whole = self.macs / lattice.product(self.everything)     # all loops above a point

    def solve(self, cutoff: float) -> tuple[float, list[Tiling]] | None:
        """(proven bound, at most `cutoff`; tilings that attain bounds below it), or None when the
        lattice is too large."""
        inner_words = sum((self.l.volumes[n] for n in self.keep[2]), np.zeros(len(self.l.points)))
        outer = self._outer_costs()
        floor = min(float(cost.min()) for cost in outer.values())
        if not np.isfinite(floor):
            return cutoff, []
        base = self.l.arch.compute.energy["compute"].value * self.macs
        pairs = self.l.pairs(inner_words, self._least_parallel(base + floor, cutoff))
        if pairs is None:
            return None
        best, tilings = cutoff, []
        for stationary in dict.fromkeys(self._reusers(r) for r in self.l.ranks):
            for found in self._variants(stationary, pairs, outer, base, cutoff):
                best = min(best, found[0])
                tilings.append(found)
        tilings.sort(key=lambda f: f[0])
        return best, [f[1] for f in tilings]

    def _least_parallel(self, energy: float, cutoff: float) -> float:
        energy_power, cycles_power = self.powers
        if not cycles_power:
            return 1.0
        cycles = (cutoff / energy ** energy_power) ** (1 / cycles_power)
        return self.macs / cycles * (1 - 1e-9)

    def _reusers(self, rank: str) -> frozenset[str]:
        return frozenset(t.name for t in self.tensors if rank not in t.ranks)

    # ---- the boundary between the outer and the middle level ---------------------------------

    def _outer_costs(self) -> dict[str, np.ndarray]:
        """Energy of the outer boundary at every middle tile, by the rank innermost above it."""
        capacity = self.l.arch.levels[1].capacity_words
        words = sum((self.l.volumes[n] for n in self.keep[1]), np.zeros(len(self.l.points)))
        limit = np.where(words <= (inf if capacity is None else capacity), 0.0, inf)
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
                cost += self._transfer(tensor, 0, 1, words, words, one, one)
            costs[rank] = cost
        return costs

    def _relevant(self, tensor: Tensor) -> np.ndarray:
        """Product of the loops above a point that move `tensor`."""
        ranks = tensor.ranks & self.everything
        return float(np.prod([self.l.einsum.extent[r] for r in ranks])) / self.l.product(ranks)

    def _transfer(self, tensor: Tensor, parent: int, child: int, asked: Values, filled: Values,
                  copies: Values, instances: Values) -> Values:
        """Energy of `asked` words at `parent` (one instance) and of `filled` words at each of
        `instances` of `child`, which hold `copies` copies of every word between them.

        A `child` of 3 stands for the compute units, which hold nothing.
        """
        network = self.l.arch.levels[parent].network.ingress
        cost = asked * (0.0 if network is None else network.value)
        held = child < 3
        if not tensor.is_output:
            cost = cost + self._access(parent, "read", asked)
            return cost + self._access(child, "fill", filled) * instances if held else cost
        cost = cost + self._access(parent, "update", asked)
        if not _disjoint(tensor):
            return cost
        size = self.l.einsum.tensor_words(tensor.name)
        cost = cost + self._access(parent, "read", np.maximum(asked - size, 0.0))
        if not held:
            return cost
        again = np.maximum(filled - size * copies / instances, 0.0)
        return cost + self._access(child, "fill", again) * instances

    def _access(self, level: int, action: str, words: Values) -> Values:
        """Energy of `words` at one instance: whole blocks, shared by the instances of a cluster."""
        spec = self.l.arch.levels[level]
        figure = spec.energy.get(action)
        price = 0.0 if figure is None else figure.value / spec.cluster_size
        return np.ceil(words / spec.block_words - 1e-6) * price

    # ---- the boundary above the inner level, for one choice of stationary tensors --------------

    def _variants(self, stationary: frozenset[str], pairs: _Pairs, outer: dict[str, np.ndarray],
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

    def _inner_costs(self, stationary: frozenset[str], pairs: _Pairs) -> tuple[np.ndarray, list]:
        """Energy at every pair without the stationary tensors, and for each of these a function
        from words streamed into one instance to energy, with the words if nothing were reused."""
        group = frozenset(r for r in self.l.ranks if self._reusers(r) == stationary)
        instances = self.l.product(self.everything)[pairs.s]
        total, coupled = np.zeros(len(pairs.t)), []
        for tensor in self.tensors:
            parent = 1 if tensor.name in self.keep[1] else 0
            distinct = self.l.distinct[tensor.name][pairs.s]
            copies = self.l.product(self.everything - tensor.ranks)[pairs.s]
            if tensor.name not in self.keep[2]:
                asked = self.macs / instances * distinct
                total += self._transfer(tensor, parent, 3, asked, asked, copies, instances)
                continue
            total += self._at_compute(tensor, copies, instances)
            still = tensor.name in stationary
            share = self.l.sliding(tensor, pairs.t, pairs.a, self.everything if still else group)
            words = self.l.volumes[tensor.name][pairs.t] * self.whole[pairs.a] * share

            def transfer(words: np.ndarray, tensor: Tensor = tensor, parent: int = parent,
                         distinct: np.ndarray = distinct, instances: np.ndarray = instances,
                         copies: np.ndarray = copies, keep: np.ndarray | slice = slice(None)) -> np.ndarray:
                return self._transfer(tensor, parent, 2, words * distinct[keep], words, copies[keep],
                                      instances[keep])

            if still:
                coupled.append((tensor, transfer, words))
            else:
                total += transfer(words)
        return total, coupled

    def _at_compute(self, tensor: Tensor, copies: np.ndarray, instances: np.ndarray) -> np.ndarray:
        """Energy of the inner level's accesses by the compute units."""
        words = self.macs / instances
        if not tensor.is_output:
            return self._access(2, "read", words) * instances
        cost = self._access(2, "update", words) * instances
        if not _disjoint(tensor):
            return cost
        size = self.l.einsum.tensor_words(tensor.name)
        return cost + self._access(2, "read", np.maximum(words - size * copies / instances, 0.0)) * instances

    # ---- the minimum ---------------------------------------------------------------------------

    def _least(self, pairs: _Pairs, fixed: np.ndarray, coupled: list, outer: np.ndarray,
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
                objective = self._objective(energy, self.macs / float(n))
                if objective < cutoff and (best is None or objective < best[0]):
                    best = objective, tiling
        return [] if best is None else [best]

    def _budget(self, instances: np.ndarray, cutoff: float) -> np.ndarray:
        """Energy below which a mapping with so many instances at work beats `cutoff`."""
        energy_power, cycles_power = self.powers
        cycles = self.macs / instances
        return (cutoff / cycles ** cycles_power) ** (1 / energy_power) - self._leak(cycles)

    def _objective(self, energy: float, cycles: float) -> float:
        energy_power, cycles_power = self.powers
        return (energy + self._leak(cycles)) ** energy_power * cycles ** cycles_power

    def _leak(self, cycles: Values) -> Values:
        """Leakage of all levels, pJ: of every inner instance at work, of one instance elsewhere."""
        leaks = [x.energy["leak"].value if "leak" in x.energy else 0.0 for x in self.l.arch.levels]
        if self.keep[2]:
            return cycles * (leaks[0] + leaks[1]) + self.macs * leaks[2]
        return cycles * sum(leaks)

    def _join(self, pairs: _Pairs, where: np.ndarray, cost: np.ndarray, outer: np.ndarray,
              free: frozenset[str]) -> tuple[float, Tiling] | None:
        """Least `cost + outer(e)` over the pairs `where` and the middle tiles e above their a."""
        least = np.full(len(self.l.points), inf)
        np.minimum.at(least, pairs.a[where], cost)
        table = least.reshape(self.l.shape)
        for axis, rank in enumerate(self.l.ranks):
            if rank in free:
                table = _over_divisors(table, axis, int(self.l.extents[axis]))
        total = table.ravel() + outer
        e = int(total.argmin())
        if not np.isfinite(total[e]):
            return None
        a_extents, e_extents = self.l.points[pairs.a[where]], self.l.points[e]
        below = (e_extents % a_extents == 0).all(axis=1)
        for i, rank in enumerate(self.l.ranks):
            if rank not in free:
                below &= a_extents[:, i] == e_extents[i]
        pick = where[np.flatnonzero(below)[cost[below].argmin()]]
        x, y = self.l.arrays[int(pairs.s[pick])]
        return float(total[e]), Tiling(tuple(map(int, e_extents)), tuple(map(int, self.l.points[pairs.a[pick]])),
                                       tuple(map(int, self.l.points[pairs.t[pick]])), x, y)


@cache
def _undo_table(extent: int, unit: int, other_extent: int, other_unit: int) -> np.ndarray:
    """`Lattice._may_undo` for every pair of divisors held: the slider's and the other rank's.

    A rank steps at up to two levels, by unit * v and unit * w with v | w | extent, both below the
    extent. A step of one loop undoes others only if it equals their sum, in which the slider's
    innermost step counts once or twice.
    """
    table = np.zeros((len(divisors(extent)), len(divisors(other_extent))), dtype=bool)
    for i, held in enumerate(divisors(extent)):
        for j, other in enumerate(divisors(other_extent)):
            small, other_small = unit * held, other_unit * other
            large = [unit * w for w in divisors(extent) if w < extent and w % held == 0]
            other_large = [other_unit * w for w in divisors(other_extent)
                           if w < other_extent and w % other == 0]
            sums = {c * small for c in (1, 2)} | {c * small + w for c in (1, 2) for w in large}
            sums |= {w - c * small for c in (1, 2) for w in large}
            other_sums = set(other_large) | {w + other_small for w in other_large}
            other_sums |= {w - other_small for w in other_large}
            table[i, j] = (held < extent and other < other_extent
                           and any(x > 0 and x % other_small == 0 for x in sums)
                           and any(x > 0 and x % small == 0 for x in other_sums))
    return table


def _over_divisors(table: np.ndarray, axis: int, extent: int) -> np.ndarray:
    """At every divisor of `extent` along `axis` the minimum over its own divisors."""
    values = divisors(extent)
    rows = np.moveaxis(table, axis, 0)
    result = np.stack([rows[[j for j, d in enumerate(values) if v % d == 0]].min(axis=0) for v in values])
    return np.moveaxis(result, 0, axis)


def _disjoint(tensor: Tensor) -> bool:
    """Whether every axis is one rank of its own, so that tiles never overlap."""
    ranks = [t.rank for axis in tensor.projection for t in axis]
    return len(set(ranks)) == len(ranks) and all(
        len(axis) <= 1 and all(abs(t.coefficient) == 1 for t in axis) for axis in tensor.projection)
