"""The geometric program under every mapping of a `Region`: its optimum is a lower bound.

Every count is replaced by a posynomial that is never above it, in the notation of
docs/search.md; v holds the logarithm of each factor. Where a count is a difference (first
touches of partial sums) the constant part is subtracted at the end (`Program.offset`).
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from math import log
from typing import Any

import numpy as np

from ..mapping.splits import real_factors
from ..mapping.template import slot
from ..model.network import entry_price
from ..workload.einsum import Axis, Tensor, Term
from .arrays import smallest_prime
from .assemble import Assembly, Row, folded
from .cap import UNCAPPED, Cap
from .open_prices import OpenPrices
from .problem import Problem
from .program import Posynomial, Program, merged
from .region import TRIVIAL, Region
from .terms import TensorTerms, Terms, is_plain

#: Terms of tensors that are kept at most: a bound on memory.
_KEPT = 1024


class Relaxation:
    """Builds the programs of the regions of one problem; `least_steps`: cycles that every mapping takes;
    `cap`: only mappings within it are asked for."""

    def __init__(self, problem: Problem, least_steps: float = 1.0, cap: Cap = UNCAPPED) -> None:
        self.problem, self.cap = problem, cap
        self.architecture, self.einsum, self.rules = problem.architecture, problem.einsum, problem.rules
        self.imperfect, self.limits = problem.imperfect, problem.limits
        self.depth = problem.depth
        self.size = 3 * self.depth * len(self.einsum.ranks)
        self.prices = OpenPrices(problem.prices)
        self.least_cycles = max(self.einsum.macs / problem.most_units, least_steps)
        self.column = {rank: i for i, rank in enumerate(self.einsum.ranks)}
        self.products: dict[tuple[tuple[int, ...], frozenset[str] | None], np.ndarray] = {}      # of factors
        self.arrays: list[Row] = []
        self._widest = self._whole_ranges()
        self._compiled: dict[tuple[Any, ...], TensorTerms] = {}
        self._last: tuple[tuple[Region, float, bool], Program | None] | None = None
        self._ranges: tuple[Region, np.ndarray, np.ndarray] | None = None

    def program(self, region: Region, energy_power: int, cycles_power: int,
                floor: float = 0.0) -> Program | None:
        """The program whose optimum bounds `log(energy^energy_power * cycles^cycles_power)` of
        every mapping in `region`, `Program.offset` left aside; None where its choices conflict. `floor`,
        a proven lower bound on the energy, pJ, matters where a product of energy and cycles is capped."""
        # Objectives are asked of the same constraints, and mostly one after the other.
        floor = floor if self.cap.energy_power and self.cap.cycles_power else 0.0
        key = region, floor, energy_power + self.cap.energy_power > 0
        if self._last is None or self._last[0] != key:
            whole = self.unfolded(*key)
            self._last = key, None if whole is None else folded(whole)
        program = self._last[1]
        return None if program is None else program.asking(energy_power, cycles_power)

    def unfolded(self, region: Region, floor: float, energy: bool = True) -> Program | None:
        """The same for the least energy, or without the energy, with the variables that the region fixes."""
        lower, upper = self.ranges(region)
        if np.any(lower > upper + 1e-12):
            return None
        tensors = [self._terms(tensor, region, energy) for tensor in self.einsum.tensors]
        return Assembly(self, region, tensors).program(floor, energy)

    def point(self, region: Region, solution: np.ndarray) -> np.ndarray:
        """A solution of the region's program as logarithms of factors, shape (slots, ranks)."""
        lower, upper = self.ranges(region)
        free = upper > lower
        point = lower.copy()
        point[free] = solution[:np.count_nonzero(free)]
        return point

    # ---- ranges of factors ---------------------------------------------------------------------

    def _whole_ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """The ranges of all mappings (see `ranges`)."""
        lower, upper = np.zeros((2, 3 * self.depth, len(self.einsum.ranks)))
        for rank, rows in self.problem.slots.items():
            for row in rows:
                least, most = self.rules.limits(row, rank)
                if rank in self.imperfect:      # the outermost one stands for extent / tile, not rounded
                    least = max(least - 1, 1)
                lower[row, self.column[rank]], upper[row, self.column[rank]] = log(least), log(most)
        return lower, upper

    def ranges(self, region: Region) -> tuple[np.ndarray, np.ndarray]:
        """Least and most of the logarithms of the factors in `region`, each of shape (slots, ranks)."""
        if self._ranges is None or self._ranges[0] is not region:       # mostly it is the one asked for last
            self._ranges = region, *self._narrowed(region)
        return self._ranges[1:]

    def _narrowed(self, region: Region) -> tuple[np.ndarray, np.ndarray]:
        lower, upper = (table.copy() for table in self._widest)
        for rank, factors in region.fixed:
            real = real_factors(factors, self.einsum.extent[rank]) if rank in self.imperfect else factors
            lower[:, self.column[rank]] = upper[:, self.column[rank]] = np.log(real)
        for level, inner in enumerate(region.innermost):
            row = slot(level, "temporal")
            if inner == TRIVIAL:
                upper[row] = 0.0
            for rank in self.rules.inside(level, inner) if inner and self.rules.orders_loops else ():
                upper[row, self.column[rank]] = 0.0     # none runs inside `inner`
            if inner and inner not in self.imperfect:
                i = row, self.column[inner]
                lower[i] = max(lower[i], log(smallest_prime(self.einsum.extent[inner])))
        return lower, upper

    # ---- what is compiled once -------------------------------------------------------------------

    def _terms(self, tensor: Tensor, region: Region, energy: bool) -> TensorTerms:
        """What `tensor` adds to the program of `region`: the same for all regions that agree in what is asked
        for here, whatever else they fix."""
        lower, upper = self.ranges(region)
        exact, iterates, shaped = self._sight[tensor.name]
        kept, loose = region.levels(tensor.name)
        key = (tensor.name, energy, kept, loose, self._movers(tensor, region, (*kept, *loose), shaped),
               np.where(upper > lower, -1.0, lower)[exact].tobytes(), (upper[iterates] > 0.0).tobytes())
        if key not in self._compiled:
            if len(self._compiled) >= _KEPT:
                self._compiled.clear()
            self._compiled[key] = _Builder(self, region).terms(tensor, energy)
        return self._compiled[key]

    def _movers(self, tensor: Tensor, region: Region, children: tuple[int, ...],
                shaped: frozenset[str]) -> tuple[Any, ...]:
        """What `_Builder.refetched` finds of innermost loops: for each child the level of the innermost loop
        outside that moves `tensor`, and, where it is known, its rank, as far as that matters."""
        if self.imperfect & tensor.ranks:
            return region.innermost[:max(children)]
        found = []
        for child in children:
            sure = bool(shaped)
            for level in range(child - 1, -1, -1):
                inner = region.innermost[level]
                if inner and inner in tensor.ranks:
                    found.append((child, level, sure, inner if sure and inner in shaped else ""))
                    break
                sure = sure and inner == TRIVIAL
        return tuple(found)

    @cached_property
    def _sight(self) -> dict[str, tuple[np.ndarray, np.ndarray, frozenset[str]]]:
        """By tensor what matters of a region for its posynomials, besides levels that keep it and innermost
        loops: the slots whose factors matter where they are fixed, shape (slots, ranks), those of which it
        matters whether they may iterate; and the ranks whose extents are not simply those of an axis."""
        found = {}
        spatial = [slot(i, kind) for i in range(self.depth) for kind in ("y", "x")]
        for tensor in self.einsum.tensors:
            shaped = frozenset(t.rank for axis in tensor.projection if not is_plain(axis) for t in axis)
            exact, iterates = np.zeros((2, 3 * self.depth, len(self.einsum.ranks)), dtype=bool)
            exact[:, [self.column[rank] for rank in shaped]] = True
            iterates[:, [self.column[rank] for rank in self.imperfect & tensor.ranks]] = True
            iterates[np.ix_(spatial, [self.column[rank] for rank in self.imperfect])] = True
            if tensor.is_output:        # copies of partial sums
                exact[np.ix_(spatial, [r not in tensor.ranks for r in self.einsum.ranks])] = True
            found[tensor.name] = exact, iterates, shaped
        return found


class _Builder(Terms):
    """Builds what a tensor adds to the program of a region. Of the region it looks only at what
    `Relaxation._terms` asks for."""

    def __init__(self, relaxation: Relaxation, region: Region) -> None:
        super().__init__(relaxation, region)
        self.energy: list[Posynomial] = []
        self.offset = 0.0

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

    # ---- what a tensor adds --------------------------------------------------------------------

    def terms(self, tensor: Tensor, asked: bool) -> TensorTerms:
        """All that `tensor` adds to the program; its energy only where that is asked for."""
        if asked:
            self._charge_all(tensor)
        reads, writes = self._asked(tensor)
        room = {i: self.tile(tensor, i).scaled(share) for i, level in enumerate(self.arch.levels)
                if level.capacity_words is not None and tensor.name in self.region.keep[i]
                and (share := self.r.prices.held(i, tensor.name)) > 0.0}

        def kept(p: Posynomial) -> Posynomial:
            return Posynomial(p.exponents[:, :self.used].copy(), p.logs)

        energy = Posynomial(np.zeros((0, self.used)), np.zeros(0))
        if self.energy:
            exponents = np.concatenate([p.exponents[:, :self.used] for p in self.energy])
            logs = np.concatenate([p.logs for p in self.energy])
            energy = Posynomial(*merged(exponents, logs, np.zeros(len(logs)))[:2])
        room, reads, writes = ({i: kept(p) for i, p in own.items()} for own in (room, reads, writes))
        return TensorTerms(energy, self.offset, room, reads, writes, tuple(map(kept, self.constraints)),
                           self.upper[self.r.size + 1:self.used])

    def _charge(self, price: float, words: Posynomial) -> None:
        if price > 0.0:
            self.energy.append(words.scaled(price))

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
            if level in self.r.problem.wide:
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

    def _charge_all(self, tensor: Tensor) -> None:
        """The energy of all words of `tensor` that move."""
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
                          self.rounded(0, parent, reused), at_mac=child == self.r.depth and not any(
                              self.may_iterate(r, self.spatial(first, child)) for r in reused))
        if end < self.r.depth:
            copies = self.factors(self.spatial(0, end), reused)
            self._refetch(self._price(end, tensor, "fill"), size, copies, self._filled(tensor, end),
                          self.rounded(0, end, reused))

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

    def _asked(self, tensor: Tensor) -> tuple[dict[int, Posynomial], dict[int, Posynomial]]:
        """By level the words that each instance at work reads and writes for `tensor`, where bandwidth counts
        them."""
        reads, writes = dict[int, Posynomial](), dict[int, Posynomial]()
        for parents, children in self._segments(tensor):
            parent, child = parents[0], children[-1]
            if share := self._weight(parent, tensor):
                spread = self.monomial(share, -self.factors(self.spatial(0, parent)))
                (writes if tensor.is_output else reads)[parent] = self._requests(
                    tensor, parent, children[0]) * spread
            if child < self.r.depth and not tensor.is_output and (share := self._weight(child, tensor)):
                writes[child] = self.stream(tensor, child).scaled(share)
        return reads, writes

    def _weight(self, level: int, tensor: Tensor) -> float:
        """What a word that an instance moves in the dense run counts at its bandwidth."""
        spec = self.arch.levels[level]
        if not (spec.read_bandwidth or spec.write_bandwidth or spec.shared_bandwidth):
            return 0.0
        weight = dict(spec.bandwidth_scale).get(tensor.name, 1.0)
        return weight / self.rounded(0, level) * self._moved(level, tensor) if weight > 0.0 else 0.0


def _shares(prices: list[float]) -> list[float]:
    """What a word surely pays at each of the boundaries inside the levels that may be its parents, the
    first of which surely is one, outermost first. `prices` are theirs.

    Words that cross several boundaries at once, since levels between do not keep them, are no fewer than
    those that would cross any of these, and pay the price of the outermost level they come from: no less
    than the sum of what falls to these boundaries, differences of the least price of all levels outside.
    """
    least = np.minimum.accumulate(prices)
    return [float(x) for x in least - np.append(least[1:], 0.0)]
