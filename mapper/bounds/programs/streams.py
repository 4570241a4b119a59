"""The words that move in a program: never more than in any mapping of a region."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...mapping.template import slot
from ...workload.einsum import Axis, Tensor, Term
from ..divisors import smallest_prime
from ..region import TRIVIAL, Region
from .program import Posynomial
from .terms import Terms
from .variables import Variables


def gapless(tensor: Tensor) -> Tensor:
    """The same with steps of one word. Its tiles have no more words than units ask for inside, each counted
    once: |A + B| >= |A| + |B| - 1, for sets of coordinates. A box around them may have gaps that no step
    reaches."""
    return replace(tensor, projection=tuple(
        tuple(Term(t.rank) for t in axis) for axis in tensor.projection))


class Streams(Terms):
    """What of each tensor enters the instances of a level over the whole nest, in the program of a region."""

    def __init__(self, variables: Variables, region: Region) -> None:
        super().__init__(variables, region)
        self._streams: dict[tuple[str, int], Posynomial] = {}
        self._tiles: dict[tuple[str, int], Posynomial] = {}

    def stream(self, tensor: Tensor, child: int) -> Posynomial:
        """At most the words that enter (or leave) one instance of `child` over the whole nest.

        `child` equal to the number of levels stands for the compute units, which ask for a word
        of every tensor at each temporal iteration. Where it is open whether `child` keeps the tensor, no
        more than what is asked for inside it, either.
        """
        key = tensor.name, child
        if key not in self._streams:
            self._streams[key] = self._stream(tensor, child)
        return self._streams[key]

    def _stream(self, tensor: Tensor, child: int) -> Posynomial:
        if child == self.scenario.depth:
            return self.monomial(1.0, self.factors([slot(i, "temporal") for i in range(child)]))
        loose = tensor.name not in self.region.keep[child]
        if loose:
            tensor = gapless(tensor)
        if tensor.has_shared_ranks:
            return self.once(tensor, child, loose)      # its steps may undo each other in many ways
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
            elif sure and not self.imperfect & {t.rank for t in axis}:
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

    def once(self, tensor: Tensor, child: int, loose: bool) -> Posynomial:
        """At most the words of one tile of a tensor with ranks that move several axes. Where such tiles
        may be cut off (see `affine`), or need not be held, with words between that nobody asks for, each rank
        counts in one axis only."""
        if not (loose or self.imperfect & tensor.ranks):
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
        return [axis for axis in tensor.projection if self.imperfect & {t.rank for t in axis}
                and sum(self.may_iterate(t.rank, outer) for t in axis) > 1]

    def steady(self, level: int, rank: str, child: int) -> bool:
        """Whether the temporal loop of `rank` at `level` has the same iterations in every pass of every
        instance of `child`: none of the loops from there to `child` has a remainder, which the outermost
        loop over a rank never has."""
        rows = range(slot(level, "temporal"), 3 * child)
        return rank not in self.imperfect or not any(
            self.scenario.rules.remainder(row, rank) and self.may_iterate(rank, [row])
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
        if key not in self._tiles:
            self._tiles[key] = self._distinct(tensor, level)
        return self._tiles[key]

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
