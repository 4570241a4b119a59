"""The geometric program under every mapping of a `Region`: its optimum is a lower bound.

Every count is replaced by a posynomial that is never above it, in the notation of
docs/search.md; v holds the logarithm of each factor. Where a count is a difference (first
touches of partial sums) the constant part is subtracted at the end (`Program.offset`).
"""

from __future__ import annotations

from math import exp, log, prod

import numpy as np

from ..hardware.architecture import Architecture, Figure
from ..mapping.rules import Rules
from ..mapping.template import slot
from ..workload.einsum import Axis, Einsum, Tensor, Term
from .arrays import array_limits, smallest_prime
from .program import Posynomial, Program
from .region import TRIVIAL, Region, open_slots

_AUXILIARY = 64     # room for helper variables; unused ones are dropped


class Relaxation:
    """Builds the programs of the regions of one Einsum on one architecture."""

    def __init__(self, architecture: Architecture, einsum: Einsum, rules: Rules | None = None) -> None:
        self.architecture = architecture
        self.einsum = einsum
        self.rules = rules or Rules(architecture, einsum)
        self.slots = open_slots(architecture, einsum, self.rules)
        self.limits = array_limits(architecture, einsum, self.rules)
        self.depth = len(architecture.levels)
        self.size = 3 * self.depth * len(einsum.ranks)
        self.most_parallel = prod(x.most for x in self.limits if len(x.kinds) == 2)

    def program(self, region: Region, energy_power: int, cycles_power: int) -> Program | None:
        """The program whose optimum bounds `log(energy^energy_power * cycles^cycles_power)` of
        every mapping in `region`, `Program.offset` left aside; None where its choices conflict."""
        builder = _Builder(self, region)
        if np.any(builder.lower > builder.upper + 1e-12):
            return None
        return builder.build(energy_power, cycles_power)


    def point(self, region: Region, solution: np.ndarray) -> np.ndarray:
        """A solution of the region's program as logarithms of factors, shape (slots, ranks)."""
        builder = _Builder(self, region)
        full = builder.lower[:self.size].copy()
        free = np.flatnonzero(builder.upper[:self.size] > builder.lower[:self.size])
        full[free] = solution[:len(free)]
        return full.reshape(3 * self.depth, len(self.einsum.ranks))


class _Builder:
    def __init__(self, relaxation: Relaxation, region: Region) -> None:
        self.r = relaxation
        self.arch = relaxation.architecture
        self.einsum = relaxation.einsum
        self.region = region
        self.fixed = dict(region.fixed)
        self.column = {rank: i for i, rank in enumerate(self.einsum.ranks)}
        self.cycles = relaxation.size
        self.width = relaxation.size + 1 + _AUXILIARY
        self.used = relaxation.size + 1
        self.lower = np.zeros(self.width)
        self.upper = np.zeros(self.width)
        self.constraints: list[Posynomial] = []
        self.energy: list[Posynomial] = []
        self.offset = 0.0
        self.streams: dict[tuple[str, int], Posynomial] = {}
        self.axes: dict[tuple[Axis, bytes], Posynomial] = {}
        self._ranges()
        self.loose = self.upper > self.lower

    # ---- variables -------------------------------------------------------------------------

    def _ranges(self) -> None:
        for rank in self.einsum.ranks:
            for s in self.r.slots[rank]:
                least, most = self.r.rules.limits(s, rank)
                self.lower[self.index(s, rank)] = log(least)
                self.upper[self.index(s, rank)] = log(most)
            if rank in self.fixed:
                for s, factor in enumerate(self.fixed[rank]):
                    i = self.index(s, rank)
                    self.lower[i] = self.upper[i] = log(factor)
        for level, inner in enumerate(self.region.innermost):
            for rank in self.einsum.ranks if inner == TRIVIAL else ():
                self.upper[self.index(slot(level, "temporal"), rank)] = 0.0
            for rank in self.r.rules.inside(level, inner) if inner else ():
                self.upper[self.index(slot(level, "temporal"), rank)] = 0.0     # none runs inside `inner`
            if inner:
                i = self.index(slot(level, "temporal"), inner)
                self.lower[i] = max(self.lower[i], log(smallest_prime(self.einsum.extent[inner])))

    def index(self, row: int, rank: str) -> int:
        return row * len(self.einsum.ranks) + self.column[rank]

    def monomial(self, value: float = 1.0, exponents: np.ndarray | None = None) -> Posynomial:
        row = np.zeros((1, self.width)) if exponents is None else exponents.reshape(1, -1)
        return Posynomial(row, np.array([log(value)]))

    def variable(self, index: int, power: float = 1.0) -> Posynomial:
        row = np.zeros((1, self.width))
        row[0, index] = power
        return Posynomial(row, np.zeros(1))

    def at_most(self, posynomial: Posynomial, index: int) -> None:
        """Constrain `posynomial <= exp(v[index])`."""
        self.constraints.append(posynomial * self.variable(index, -1.0))

    def at_least_all(self, candidates: list[Posynomial], ceiling: float) -> Posynomial:
        """A helper variable that is at least each of the candidates."""
        if len(candidates) == 1:
            return candidates[0]
        i, self.used = self.used, self.used + 1
        self.upper[i] = log(ceiling)
        for candidate in candidates:
            self.at_most(candidate, i)
        return self.variable(i)

    # ---- products of factors ---------------------------------------------------------------

    def factors(self, rows: list[int], ranks: frozenset[str] | None = None) -> np.ndarray:
        """Exponents of the product of the factors of `ranks` (default all) in the slots `rows`."""
        exponents = np.zeros(self.width)
        table = exponents[:self.r.size].reshape(-1, len(self.einsum.ranks))
        if ranks is None:
            table[rows] = 1.0
        else:
            for rank in ranks:
                table[rows, self.column[rank]] = 1.0
        return exponents

    def inside(self, level: int) -> list[int]:
        """Slots of `level` and of all levels inside it."""
        return list(range(3 * level, 3 * self.r.depth))

    @staticmethod
    def spatial(first: int, last: int) -> list[int]:
        """Spatial slots of the levels first to last - 1."""
        return [slot(i, kind) for i in range(first, last) for kind in ("y", "x")]

    def constant_value(self, exponents: np.ndarray) -> float | None:
        """The value of a product whose variables are all fixed, else None."""
        if np.any(exponents[self.loose]):
            return None
        return round(exp(exponents @ self.lower))

    def may_iterate(self, rank: str, rows: list[int]) -> bool:
        """Whether `rank` may have a factor above 1 in one of the slots."""
        return any(self.upper[self.index(row, rank)] > 0 for row in rows)

    # ---- extents of tensor axes --------------------------------------------------------------

    def axis(self, axis: Axis, rows: list[int], times: dict[str, np.ndarray] | None = None) -> Posynomial:
        """At most the length of the interval that `axis` sweeps over the loops in `rows`.

        `times` multiplies the extents of a rank by more factors (a window that slides over them).
        """
        parts = [self.factors(rows, frozenset((t.rank,))) for t in axis]
        if times:
            parts = [p + times[t.rank] if t.rank in times else p for p, t in zip(parts, axis, strict=True)]
        key = axis, b"".join(p.tobytes() for p in parts)
        if key not in self.axes:
            self.axes[key] = self._sum(axis, parts)
        return self.axes[key]

    def _sum(self, axis: Axis, parts: list[np.ndarray]) -> Posynomial:
        constant, free = 1.0, []
        for term, exponents in zip(axis, parts, strict=True):
            value = self.constant_value(exponents)
            if value is None:
                free.append((exponents, abs(term.coefficient), self.einsum.extent[term.rank]))
            else:
                constant += abs(term.coefficient) * (value - 1)
        if not free:
            return self.monomial(constant)
        ceiling = constant + sum(c * (extent - 1) for _, c, extent in free)
        return self.at_least_all([self.affine(constant, *x) for x in free], ceiling)

    def affine(self, constant: float, exponents: np.ndarray, coefficient: int, extent: int) -> Posynomial:
        """At most `constant + coefficient * (p - 1)`, p the product of `exponents`, 1 <= p <= extent."""
        rest = constant - coefficient
        product = self.monomial(coefficient, exponents)
        if rest > 0:
            return product + self.monomial(rest)
        if rest == 0:
            return product
        # log(coefficient * e^x + rest) is concave in x for rest < 0: its chord lies below it.
        slope = log((coefficient * extent + rest) / constant) / log(extent)
        return self.monomial(constant, slope * exponents)

    def tile(self, tensor: Tensor, level: int) -> Posynomial:
        """At most the words of `tensor` in a tile of `level`."""
        words = self.monomial()
        for axis in tensor.projection:
            words = words * self.axis(axis, self.inside(level))
        return words

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
            return self.tile(tensor, child)     # its steps may undo each other in many ways
        counted, slider, sure = self.refetched(tensor, child)
        outer = [slot(i, "temporal") for i in range(child)]
        words, divided = self.monomial(), np.zeros(self.width)
        for axis in tensor.projection:
            moving = [t for t in axis if self.may_iterate(t.rank, outer)]
            if len(axis) == 1 or not moving or (sure and slider not in {t.rank for t in axis}):
                words = words * self.axis(axis, self.inside(child))
            elif sure:
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

    def refetched(self, tensor: Tensor, child: int) -> tuple[np.ndarray, str, bool]:
        """(exponents of the loops that surely multiply the traffic, rank of the innermost of them,
        whether that rank is known)."""
        counted, slider, known, everything = np.zeros(self.width), "", False, False
        undecided = False
        for level in range(child - 1, -1, -1):
            rows = [slot(level, "temporal")]
            inner = self.region.innermost[level]
            if inner and inner in tensor.ranks and not everything:
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
            value = self.constant_value(self.factors(rows, frozenset((term.rank,))))
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
            values = [self.constant_value(self.factors(rows, frozenset((t.rank,)))) for t in others]
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

    def build(self, energy_power: int, cycles_power: int) -> Program:
        self._fanouts()
        self._capacities()
        macs = float(self.einsum.macs)
        self.lower[self.cycles] = log(macs / self.r.most_parallel)
        self.upper[self.cycles] = log(macs) + self._slowest()
        self.at_most(self.monomial(macs, -self.factors(self.spatial(0, self.r.depth))), self.cycles)
        compute = self.arch.compute.energy.get("compute", Figure(0.0, ""))
        self._charge(macs * compute.value, self.monomial())
        for tensor in self.einsum.tensors:
            self._tensor(tensor)
        self._bandwidths()
        for i, level in enumerate(self.arch.levels):
            leak = level.energy.get("leak")
            if leak is not None:
                at_work = self.factors(self.spatial(0, i) if self.region.keep[i] else [])
                self._charge(leak.value, self.variable(self.cycles) * self.monomial(1.0, at_work))
        objective = None
        if energy_power:
            # Where nothing costs energy the bound is as good as zero.
            self.energy = self.energy or [self.monomial(1e-300)]
            objective = Posynomial(np.concatenate([p.exponents for p in self.energy]),
                                   np.concatenate([p.logs for p in self.energy]))
        return self._compact(objective, energy_power, cycles_power)

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
        if self.r.rules.workers:
            every = self.factors(self.spatial(0, self.r.depth))
            self.constraints.append(self.monomial(self.r.rules.workers, -every))

    def _capacities(self) -> None:
        for i, level in enumerate(self.arch.levels):
            if level.capacity_words is None:
                continue
            kept = [self.tile(t, i) for t in self.einsum.tensors if t.name in self.region.keep[i]]
            for words in kept[1:]:
                kept[0] = kept[0] + words
            if kept:
                self.constraints.append(kept[0].scaled(1.0 / max(level.capacity_words, 1e-9)))

    def _boundaries(self, tensor: Tensor) -> list[tuple[int, int]]:
        """(parent, child) pairs of the levels that keep `tensor`; the last child is the compute."""
        kept = [i for i in range(self.r.depth) if tensor.name in self.region.keep[i]]
        return list(zip(kept, [*kept[1:], self.r.depth], strict=True))

    def _requests(self, tensor: Tensor, parent: int, child: int) -> Posynomial:
        """At most the words asked of ALL instances of `parent`, after multicast."""
        words = self.stream(tensor, child) * self.monomial(1.0, self.factors(self.spatial(0, parent)))
        for level in range(parent, child):
            words = words * self.distinct(tensor, level)
        return words

    def _price(self, level: int, action: str) -> float:
        """pJ a word: an access moves `block_words`, and the instances of a cluster may share it."""
        spec = self.arch.levels[level]
        figure = spec.energy.get(action)
        return 0.0 if figure is None else figure.value * spec.least_share / spec.block_words

    def _tensor(self, tensor: Tensor) -> None:
        for parent, child in self._boundaries(tensor):
            requests = self._requests(tensor, parent, child)
            network = self.arch.levels[parent].network.ingress
            if network is not None:
                self._charge(network.value, requests)
            if tensor.is_output:
                self._partial_sums(tensor, parent, child, requests)
            else:
                self._charge(self._price(parent, "read"), requests)
                if child < self.r.depth:
                    self._charge(self._price(child, "fill"), self._filled(tensor, child))

    def _filled(self, tensor: Tensor, child: int) -> Posynomial:
        """At most the words that enter ALL instances of `child`."""
        return self.stream(tensor, child) * self.monomial(1.0, self.factors(self.spatial(0, child)))

    def _partial_sums(self, tensor: Tensor, parent: int, child: int, requests: Posynomial) -> None:
        """Updates, and reads and fills less the first touch of every word in every instance."""
        self._charge(self._price(parent, "update"), requests)
        if not tensor.has_disjoint_tiles:
            return      # first touches of overlapping outputs are not bounded here
        size = self.einsum.tensor_words(tensor.name)
        reused = frozenset(self.einsum.ranks) - tensor.ranks
        # Instances that hold the same word: requests - size * copies >= requests / copies - size.
        copies = self.factors(self.spatial(0, parent), reused)
        self._refetch(self._price(parent, "read"), size, copies, requests,
                      at_mac=child == self.r.depth and not any(
                          self.may_iterate(r, self.spatial(parent, child)) for r in reused))
        if child < self.r.depth:
            copies = self.factors(self.spatial(0, child), reused)
            self._refetch(self._price(child, "fill"), size, copies, self._filled(tensor, child))

    def _refetch(self, price: float, size: int, copies: np.ndarray, words: Posynomial,
                 at_mac: bool = False) -> None:
        """Charge `price * (words - size * copies)`."""
        if price <= 0.0:
            return
        most = float(np.exp(copies @ self.upper)) if np.any(copies * self.upper) else 1.0
        most = min(most, float(self.arch.compute.instances), self.einsum.macs / size)
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
            scale = dict(level.bandwidth_scale)
            reads, writes = list[Posynomial](), list[Posynomial]()
            for tensor in self.einsum.tensors:
                for parent, child in self._boundaries(tensor):
                    weight = scale.get(tensor.name, 1.0)
                    if parent == i and weight > 0.0:
                        spread = self.monomial(weight, -self.factors(self.spatial(0, i)))
                        (writes if tensor.is_output else reads).append(
                            self._requests(tensor, parent, child) * spread)
                    if child == i and weight > 0.0 and not tensor.is_output:
                        writes.append(self.stream(tensor, child).scaled(weight))
            for words, bandwidth in ((reads, level.read_bandwidth), (writes, level.write_bandwidth),
                                     (reads + writes, level.shared_bandwidth)):
                if words and bandwidth:
                    total = words[0]
                    for more in words[1:]:
                        total = total + more
                    self.at_most(total.scaled(1.0 / bandwidth), self.cycles)

    def _compact(self, objective: Posynomial | None, energy_power: int, cycles_power: int) -> Program:
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
        constraints = [fold(c) for c in self.constraints]
        return Program(None if objective is None else fold(objective),
                       tuple(c for c in constraints if np.any(c.exponents) or c.logs.max() > 1e-9),
                       self.lower[free], self.upper[free], tuple(groups), position[self.cycles],
                       energy_power, cycles_power, self.offset)
