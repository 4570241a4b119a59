"""The geometric program under every mapping of a `Region`: its optimum is a lower bound.

Every count is replaced by a posynomial that is never above it, in the notation of
docs/search.md; v holds the logarithm of each factor. Where a count is a difference (first
touches of partial sums) the constant part is subtracted at the end (`Program.offset`).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import exp, log, prod

import numpy as np

from ..hardware.architecture import Architecture
from ..mapping.rules import Rules
from ..mapping.template import slot
from ..model.energy import gate, leakage_per_cycle
from ..model.network import entry_price
from ..workload.einsum import Axis, Einsum, Tensor, Term
from .arrays import array_limits, smallest_prime
from .cap import UNCAPPED, Cap
from .open_prices import OpenPrices
from .prices import Prices
from .program import Posynomial, Program
from .region import TRIVIAL, Region, open_slots
from .terms import Terms


class Relaxation:
    """Builds the programs of the regions of one Einsum on one architecture; `least_steps`: cycles that
    every mapping takes; `cap`: only mappings within it are asked for."""

    def __init__(self, architecture: Architecture, einsum: Einsum, rules: Rules | None = None,
                 least_steps: float = 1.0, cap: Cap = UNCAPPED) -> None:
        self.architecture = architecture
        self.einsum = einsum
        self.rules = rules or Rules(architecture, einsum)
        self.cap = cap
        self.slots = open_slots(architecture, einsum, self.rules)
        self.imperfect = self.rules.imperfect(self.slots, einsum.extent)
        self.limits = array_limits(architecture, einsum, self.rules)
        self.depth = len(architecture.levels)
        self.size = 3 * self.depth * len(einsum.ranks)
        self.prices = OpenPrices(Prices(architecture, einsum), einsum)
        most_parallel = prod(x.most for x in self.limits if len(x.kinds) == 2)
        self.least_cycles = max(einsum.macs / most_parallel, least_steps)
        self.products: dict[tuple[tuple[int, ...], frozenset[str] | None], np.ndarray] = {}      # of factors
        self._last: tuple[tuple[Region, float], Program | None] | None = None

    def program(self, region: Region, energy_power: int, cycles_power: int,
                floor: float = 0.0) -> Program | None:
        """The program whose optimum bounds `log(energy^energy_power * cycles^cycles_power)` of
        every mapping in `region`, `Program.offset` left aside; None where its choices conflict. `floor`,
        a proven lower bound on the energy, pJ, matters where a product of energy and cycles is capped."""
        # All objectives are asked of the same constraints, and mostly one after the other.
        key = region, floor if self.cap.energy_power and self.cap.cycles_power else 0.0
        if self._last is None or self._last[0] != key:
            builder = _Builder(self, region)
            empty = np.any(builder.lower > builder.upper + 1e-12)
            self._last = key, None if empty else builder.build(key[1])
        program = self._last[1]
        return None if program is None else replace(
            program, objective=program.objective if energy_power else None, energy_power=energy_power,
            cycles_power=cycles_power)

    def point(self, region: Region, solution: np.ndarray) -> np.ndarray:
        """A solution of the region's program as logarithms of factors, shape (slots, ranks)."""
        builder = _Builder(self, region)
        full = builder.lower[:self.size].copy()
        free = np.flatnonzero(builder.upper[:self.size] > builder.lower[:self.size])
        full[free] = solution[:len(free)]
        return full.reshape(3 * self.depth, len(self.einsum.ranks))


class _Builder(Terms):
    # ---- traffic -------------------------------------------------------------------------------

    def stream(self, tensor: Tensor, child: int) -> Posynomial:
        """At most the words that enter (or leave) one instance of `child` over the whole nest.

        `child` equal to the number of levels stands for the compute units, which ask for a word
        of every tensor at each temporal iteration.
        """
        key = tensor.name, child
        if key not in self.streams:
            self.streams[key] = self._stream(tensor, child)
        return self.streams[key]

    def _stream(self, tensor: Tensor, child: int) -> Posynomial:
        if child == self.r.depth:
            return self.monomial(1.0, self.factors([slot(i, "temporal") for i in range(child)]))
        if tensor.has_shared_ranks:
            return self.once(tensor, child)     # its steps may undo each other in many ways
        swept = self.swept(tensor, child)
        counted, slider, sure = self.refetched(tensor, child, bool(swept))
        outer = [slot(i, "temporal") for i in range(child)]
        words, divided = self.monomial(), np.zeros(self.width)
        for axis in tensor.projection:
            moving = [t for t in axis if self.may_iterate(t.rank, outer)]
            if axis in swept:
                # |A + B| >= |A| + |B| - 1 words, for the sets of coordinates that the loops run over.
                words = words * self.axis(tuple(Term(t.rank) for t in axis), [*outer, *self.inside(child)])
                divided = divided + self.factors(outer, frozenset(t.rank for t in axis))
                continue
            if len(axis) == 1 or not moving or (sure and slider not in {t.rank for t in axis}):
                words = words * self.axis(axis, self.inside(child))
            elif sure and not self.r.imperfect & {t.rank for t in axis}:
                piece, used = self.sliding(axis, slider, child)
                words, divided = words * piece, divided + used
            else:
                words = words * self.exposed(axis, child)
            if len(moving) > 1 and (not sure or slider in {t.rank for t in axis}):
                # A step of one window rank may undo a step of the other (see evaluate): such
                # steps move nothing, which spares at most one of n passes of the inner loop.
                ranks = [slider] if sure else [t.rank for t in moving]
                words = words.scaled(1 - 1 / min(smallest_prime(self.einsum.extent[r]) for r in ranks))
        return words * self.monomial(1.0, counted - divided)

    def once(self, tensor: Tensor, child: int) -> Posynomial:
        """At most the words of one tile of a tensor with ranks that move several axes. Where such tiles
        may be cut off, each rank counts in one axis only (see `affine`)."""
        if not self.r.imperfect & tensor.ranks:
            return self.tile(tensor, child)
        words, seen = self.monomial(), set[str]()
        for axis in tensor.projection:
            ranks = {t.rank for t in axis}
            if not ranks & seen:
                words = words * self.axis(axis, self.inside(child))
            seen |= ranks
        return words

    def swept(self, tensor: Tensor, child: int) -> list[Axis]:
        """The axes of `tensor` along which several ranks move, some with remainders: which steps
        undo each other is not known, but in the end everything has been loaded once."""
        outer = [slot(i, "temporal") for i in range(child)]
        return [axis for axis in tensor.projection if self.r.imperfect & {t.rank for t in axis}
                and sum(self.may_iterate(t.rank, outer) for t in axis) > 1]

    def steady(self, level: int, rank: str, child: int) -> bool:
        """Whether the temporal loop of `rank` at `level` has the same iterations in every pass of every
        instance of `child`: none of the loops from there to `child` has a remainder, which the outermost
        loop over a rank never has."""
        rows = range(slot(level, "temporal"), 3 * child)
        return rank not in self.r.imperfect or not any(
            self.r.rules.remainder(row, rank) and self.may_iterate(rank, [row])
            and self.may_iterate(rank, list(range(row))) for row in rows)

    def refetched(self, tensor: Tensor, child: int, once: bool) -> tuple[np.ndarray, str, bool]:
        """(exponents of the loops that surely multiply the traffic, rank of the innermost of them,
        whether that rank is known). `once`: only the loops of the tensor's own ranks are sure to."""
        counted, slider, known, everything = np.zeros(self.width), "", False, False
        undecided = False
        for level in range(child - 1, -1, -1):
            rows = [slot(level, "temporal")]
            inner = self.region.innermost[level]
            if (inner and inner in tensor.ranks and not everything and not once
                    and self.steady(level, inner, child)):
                everything = True
                if not undecided:
                    slider, known = inner, True
            undecided = undecided or inner != TRIVIAL
            counted += self.factors(rows, None if everything else tensor.ranks)
        return counted, slider, known

    def sliding(self, axis: Axis, slider: str, child: int) -> tuple[Posynomial, np.ndarray]:
        """Words of `axis` fetched while its rank `slider` slides, and the factors that includes.

        Tile extents p (of the slider, coefficient u) and w (of all other ranks together): n steps
        touch n*p*u + w - u words when the steps overlap (w >= u), n tiles otherwise. That holds for
        one loop alone: where other loops of the axis iterate outside the tile, their steps may
        bring the window back or let it slide on, and only the p*u words of each step are sure.
        """
        level = next(i for i in range(child - 1, -1, -1) if self.region.innermost[i] == slider)
        rows, outer = self.inside(child), [slot(i, "temporal") for i in range(child) if i != level]
        others = tuple(t for t in axis if t.rank != slider)
        unit = next(abs(t.coefficient) for t in axis if t.rank == slider)
        width = 1.0
        for term in others:
            value = self.constant_value(self.factors(rows, frozenset((term.rank,))), term.rank)
            if value is None:
                return self.exposed(axis, child), np.zeros(self.width)
            width += abs(term.coefficient) * (value - 1)
        if width < unit:
            return self.axis(axis, rows), np.zeros(self.width)
        here = [slot(level, "temporal")]
        if any(self.may_iterate(t.rank, outer) for t in axis) or any(
                self.may_iterate(t.rank, here) for t in others):
            fresh = self.factors(rows, frozenset((slider,)))
            return self.monomial(unit, fresh), np.zeros(self.width)
        steps = self.factors([slot(level, "temporal")], frozenset((slider,)))
        return self.axis(axis, rows, {slider: steps}), steps

    def exposed(self, axis: Axis, child: int) -> Posynomial:
        """At most the words of `axis` that one step of any of its ranks brings in: the least over
        the moving ranks of the step, or the whole interval where steps do not overlap."""
        rows, outer = self.inside(child), [slot(i, "temporal") for i in range(child)]
        moving = [t for t in axis if self.may_iterate(t.rank, outer)]
        if len(moving) == 1:
            others = [t for t in axis if t is not moving[0]]
            values = [self.constant_value(self.factors(rows, frozenset((t.rank,))), t.rank) for t in others]
            unit = abs(moving[0].coefficient)
            width = 1.0 + sum(abs(t.coefficient) * ((v or 1) - 1)
                              for t, v in zip(others, values, strict=True))
            if None not in values and width < unit:
                return self.axis(axis, rows)
            scale = min(unit, width) if None not in values else 1.0
            return self.monomial(scale, self.factors(rows, frozenset((moving[0].rank,))))
        return self.monomial()

    def distinct(self, tensor: Tensor, level: int) -> Posynomial:
        """At most the number of different tiles of `tensor` among the instances below `level`."""
        key = tensor.name, level
        if key not in self.tiles:
            self.tiles[key] = self._distinct(tensor, level)
        return self.tiles[key]

    def _distinct(self, tensor: Tensor, level: int) -> Posynomial:
        rows = self.spatial(level, level + 1)
        if not self.arch.levels[level].network.multicast:
            return self.monomial(1.0, self.factors(rows))
        count, seen = self.monomial(), set[str]()
        for axis in tensor.projection:
            ranks = {t.rank for t in axis}
            if not ranks & seen:    # axes that move together do not multiply
                # |A + B| >= |A| + |B| - 1: the sums of two sets of offsets.
                count = count * self.axis(tuple(Term(t.rank) for t in axis), rows)
            seen |= ranks
        return count

    # ---- the program ---------------------------------------------------------------------------

    def build(self, floor: float) -> Program | None:
        """The program of the least energy; see `Relaxation.program` for `floor`."""
        self._fanouts()
        self._capacities()
        macs = float(self.einsum.macs)
        prices, units = self.r.prices, self.factors(self.spatial(0, self.r.depth))
        busy = prices.busy(self.region)
        self.lower[self.cycles] = log(self.r.least_cycles * busy)
        # A range of no width would be hard on the solver.
        self.upper[self.cycles] = log(min(macs * exp(self._slowest()), self.r.cap.most_cycles)) + 1e-6
        if self.arch.compute.lockstep is None:
            self.at_most(self.monomial(macs * busy, -units), self.cycles)
        else:       # what units take in a cycle is not a matter of the loops that are unrolled over them
            self.lower[self.cycles] = log(max(macs * prices.effectual / self.arch.compute.instances, 1.0))
        if self.lower[self.cycles] >= self.upper[self.cycles]:
            return None
        self._charge(prices.computes(self.region), self.monomial())
        self.offset += prices.rounded_away(self.region)
        for tensor in self.einsum.tensors:
            self._tensor(tensor)
        self._bandwidths()
        for i, level in enumerate(self.arch.levels):
            if leak := leakage_per_cycle(level) * prices.awake:
                switch, switched = gate(self.arch, i)
                rows = self.spatial(0, switch) if switch == self.r.depth or self.region.keep[switch] else []
                at_work = self.monomial(1.0, self.factors(rows))
                # On average more than half of the instances over which a loop is spread are at work.
                cut = sum(bool(self.r.rules.remainder(row, rank)) and self.may_iterate(rank, [row])
                          for rank in self.r.imperfect for row in rows)
                self._charge(leak * switched * 0.5 ** cut, self.variable(self.cycles) * at_work)
        # Where nothing costs energy the bound is as good as zero.
        self.energy = self.energy or [self.monomial(1e-300)]
        energy = Posynomial(np.concatenate([p.exponents for p in self.energy]),
                            np.concatenate([p.logs for p in self.energy]))
        self._cap(energy, floor)
        return self._compact(energy)

    def _cap(self, energy: Posynomial, floor: float) -> None:
        """Hold `energy`, before the offset K, to a cap on what it is after. Where that is a product with
        cycles, the energy is at least P F / (F + K) for every P (see `bound.proven_value`)."""
        cap = self.r.cap
        if not cap or not cap.energy_power:
            return
        most = float(cap.most_energy(1.0))
        if not most:        # a limit of nothing has no logarithm; without it the bound is weaker
            return
        if not cap.cycles_power:
            self.constraints.append(energy.scaled(1.0 / (most + self.offset)))
        elif floor > 0.0 or not self.offset:
            least = 1.0 / (1.0 + self.offset / floor) if self.offset else 1.0     # 1 for a floor of inf
            power = cap.cycles_power / cap.energy_power
            self.constraints.append((energy * self.variable(self.cycles, power)).scaled(least / most))

    def _slowest(self) -> float:
        """More than the logarithm of cycles per multiply-accumulate of any mapping."""
        figures = [b for x in self.arch.levels
                   for b in (x.read_bandwidth, x.write_bandwidth, x.shared_bandwidth) if b]
        scales = [s for x in self.arch.levels for _, s in x.bandwidth_scale]
        return 20.0 + log(max([1.0, *scales]) / min([1.0, *figures])) if figures else 0.1

    def _charge(self, price: float, words: Posynomial) -> None:
        if price > 0.0:
            self.energy.append(words.scaled(price))

    def _fanouts(self) -> None:
        for limit in self.r.limits:
            rows = [slot(limit.level, kind) for kind in limit.kinds]
            self.constraints.append(self.monomial(1.0 / limit.most, self.factors(rows)))
            self.label("array", limit.level, "".join(limit.kinds))
        if self.r.rules.workers:
            every = self.factors(self.spatial(0, self.r.depth))
            least = self.r.rules.workers / self._rounded(0, self.r.depth)
            self.constraints.append(self.monomial(least, -every))

    def _rounded(self, first: int, last: int, ranks: frozenset[str] | None = None) -> float:
        """At most the ratio of the spatial factors of `ranks` (default all) at the levels first to last - 1
        to what stands for them in the program: the outermost loop over a rank is rounded up, which is
        less than twice."""
        rows = self.spatial(first, last)
        return 2.0 ** sum(self.may_iterate(rank, rows) for rank in self.r.imperfect
                          if ranks is None or rank in ranks)

    def _capacities(self) -> None:
        for i, level in enumerate(self.arch.levels):
            if level.capacity_words is None:
                continue
            kept = [self.tile(t, i).scaled(share) for t in self.einsum.tensors
                    if t.name in self.region.keep[i] and (share := self.r.prices.held(i, t.name)) > 0.0]
            for words in kept[1:]:
                kept[0] = kept[0] + words
            if kept:
                self.constraints.append(kept[0].scaled(1.0 / max(level.capacity_words, 1e-9)))
                self.label("capacity", i)

    def _segments(self, tensor: Tensor) -> list[tuple[list[int], list[int]]]:
        """For each level that surely keeps `tensor`: itself with the levels further inside that may, up
        to the next that surely does; and what stands inside each of these (at last the compute)."""
        kept, loose = self.region.levels(tensor.name)
        found = []
        for level, end in pairwise((*kept, self.r.depth)):
            parents = [level, *(i for i in loose if level < i < end)]
            found.append((parents, [*parents[1:], end]))
        return found

    def _requests(self, tensor: Tensor, parent: int, child: int) -> Posynomial:
        """At most the words asked of ALL instances of `parent`, after multicast."""
        words = self.stream(tensor, child) * self.monomial(1.0, self.factors(self.spatial(0, parent)))
        for level in range(parent, child):
            if prod(self.arch.fanout(level)) > 1:
                words = words * self.distinct(tensor, level)
        return words

    def _price(self, level: int, tensor: Tensor, action: str) -> float:
        """pJ a word of the dense run, at the least."""
        return self.r.prices.word(self.region, level, tensor.name, action)

    def _moved(self, level: int, tensor: Tensor) -> float:
        """Share of the words that the dense run moves at or below `level` that surely move."""
        return self.r.prices.moved(self.region, level, tensor.name)

    def _sent(self, level: int, tensor: Tensor, action: str) -> float:
        """pJ of a word that is asked of a level, and of the network below it."""
        entry = entry_price(self.arch.levels[level].network)
        return self._price(level, tensor, action) + (entry and entry * self._moved(level, tensor))

    def _tensor(self, tensor: Tensor) -> None:
        for parents, children in self._segments(tensor):
            action = "update" if tensor.is_output else "read"
            shares = _shares([self._sent(i, tensor, action) for i in parents])
            for share, child in zip(shares, children, strict=True):
                self._charge(share, self._requests(tensor, parents[0], child))
            if tensor.is_output:
                self._partial_sums(tensor, parents, children)
            elif children[-1] < self.r.depth:
                self._charge(self._price(children[-1], tensor, "fill"), self._filled(tensor, children[-1]))

    def _filled(self, tensor: Tensor, child: int) -> Posynomial:
        """At most the words that enter ALL instances of `child`."""
        return self.stream(tensor, child) * self.monomial(1.0, self.factors(self.spatial(0, child)))

    def _partial_sums(self, tensor: Tensor, parents: list[int], children: list[int]) -> None:
        """Reads and fills of an output, less the first touch of every word in every instance."""
        if not tensor.has_disjoint_tiles:
            return      # first touches of overlapping outputs are not bounded here
        size, first, end = self.einsum.tensor_words(tensor.name), parents[0], children[-1]
        reused = frozenset(self.einsum.ranks) - tensor.ranks
        # Instances that hold the same word: requests - size * copies >= requests / copies - size.
        shares = _shares([self._price(i, tensor, "read") for i in parents])
        for share, parent, child in zip(shares, parents, children, strict=True):
            # With multicast, requests / copies is the same for every parent.
            cast = all(self.arch.levels[i].network.multicast for i in range(first, parent))
            copies = self.factors(self.spatial(0, first if cast else parent), reused)
            self._refetch(share, size, copies, self._requests(tensor, first, child),
                          self._rounded(0, parent, reused), at_mac=child == self.r.depth and not any(
                              self.may_iterate(r, self.spatial(first, child)) for r in reused))
        if end < self.r.depth:
            copies = self.factors(self.spatial(0, end), reused)
            self._refetch(self._price(end, tensor, "fill"), size, copies, self._filled(tensor, end),
                          self._rounded(0, end, reused))

    def _refetch(self, price: float, size: int, copies: np.ndarray, words: Posynomial,
                 rounded: float, at_mac: bool = False) -> None:
        """Charge `price * (words - size * copies)`; there may be `rounded` times as many copies."""
        if price <= 0.0:
            return
        most = float(np.exp(copies @ self.upper)) if np.any(copies * self.upper) else 1.0
        most = min(most, float(self.arch.compute.instances), self.einsum.macs / size)
        if rounded > 1.0:
            words, at_mac = words.scaled(1.0 / rounded), False
        if at_mac and most > 1.0:
            # words is macs: log(macs - size * e^x) is concave in x, so its chord lies below.
            start, end = self.einsum.macs - size, self.einsum.macs - size * most
            if end > 0.0:
                self._charge(price * start, self.monomial(1.0, copies * (log(end / start) / log(most))))
            return
        self._charge(price, words * self.monomial(1.0, -copies))
        self.offset += price * size

    def _bandwidths(self) -> None:
        for i, level in enumerate(self.arch.levels):
            scale, rounded = dict(level.bandwidth_scale), self._rounded(0, i)
            reads, writes = list[Posynomial](), list[Posynomial]()
            for tensor in self.einsum.tensors:
                for parents, children in self._segments(tensor):
                    weight = scale.get(tensor.name, 1.0)
                    if parents[0] == i and weight > 0.0:
                        share = weight / rounded * self._moved(i, tensor)
                        spread = self.monomial(share, -self.factors(self.spatial(0, i)))
                        (writes if tensor.is_output else reads).append(
                            self._requests(tensor, i, children[0]) * spread)
                    if children[-1] == i and weight > 0.0 and not tensor.is_output:
                        share = weight / rounded * self._moved(i, tensor)
                        writes.append(self.stream(tensor, i).scaled(share))
            for words, bandwidth, name in (
                    (reads, level.read_bandwidth, "read_bandwidth"),
                    (writes, level.write_bandwidth, "write_bandwidth"),
                    (reads + writes, level.shared_bandwidth, "shared_bandwidth")):
                if words and bandwidth:
                    total = words[0]
                    for more in words[1:]:
                        total = total + more
                    self.at_most(total.scaled(1.0 / bandwidth), self.cycles)
                    self.label(name, i)

    def _compact(self, objective: Posynomial) -> Program:
        """Fold fixed variables into the constants, drop unused ones, merge equal monomials."""
        free = np.flatnonzero(self.upper > self.lower)
        position = {int(v): i for i, v in enumerate(free)}

        def fold(p: Posynomial) -> Posynomial:
            logs = p.logs + p.exponents @ np.where(self.upper > self.lower, 0.0, self.lower)
            exponents = p.exponents[:, free]
            merged: dict[bytes, int] = {}
            where = [merged.setdefault(row.tobytes(), len(merged)) for row in exponents]
            if len(merged) == len(logs):
                return Posynomial(exponents, logs)
            top = logs.max()
            sums = np.bincount(where, weights=np.exp(logs - top))
            first = np.unique(where, return_index=True)[1]
            return Posynomial(exponents[first], np.log(sums) + top)

        groups = []
        for rank, extent in zip(self.einsum.ranks, self.einsum.extents, strict=True):
            members = [self.index(s, rank) for s in range(3 * self.r.depth)]
            loose = [position[m] for m in members if m in position]
            if loose:
                fixed = sum(self.lower[m] for m in members if m not in position)
                groups.append((np.array(loose), log(extent) - fixed))
        folded = [(self.labels.get(i), fold(c)) for i, c in enumerate(self.constraints)]
        constraints = [(label, c) for label, c in folded if np.any(c.exponents) or c.logs.max() > 1e-9]
        return Program(fold(objective), tuple(c for _, c in constraints),
                       self.lower[free], self.upper[free], tuple(groups), position[self.cycles],
                       1, 0, self.offset,
                       {i: label for i, (label, _) in enumerate(constraints) if label is not None})


def _shares(prices: list[float]) -> list[float]:
    """What a word surely pays at each of the boundaries inside the levels that may be its parents, the
    first of which surely is one, outermost first. `prices` are theirs.

    Words that cross several boundaries at once, since levels between do not keep them, are no fewer than
    those that would cross any of these, and pay the price of the outermost level they come from: no less
    than the sum of what falls to these boundaries, differences of the least price of all levels outside.
    """
    least = np.minimum.accumulate(prices)
    return [float(x) for x in least - np.append(least[1:], 0.0)]
