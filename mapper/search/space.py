"""The mapspace of one Einsum on one architecture: all choices together, and the regions it is split into."""

from __future__ import annotations

from functools import cached_property
from math import prod
from typing import Any, Mapping

import numpy as np

from ..bounds.cap import UNCAPPED, Cap
from ..bounds.programs.relax import Relaxation
from ..bounds.region import TRIVIAL, Region
from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints
from ..mapping.template import Keep, Template, slot
from ..workload.einsum import Einsum, Tensor, footprint
from .keeps import KeepChoices
from .orders import LoopOrders


class Mapspace(LoopOrders):
    """Every keep/bypass choice, loop order, spatial assignment and factorisation that the
    constraints admit.

    The outermost level keeps every tensor unless the architecture or a constraint bypasses it there.
    At one fanout a rank is unrolled along x or along y, not both (Timeloop's mappings cannot say both),
    unless mappings may be uneven.
    """

    def __init__(self, architecture: Architecture, einsum: Einsum, constraints: Constraints = NONE) -> None:
        super().__init__(architecture, einsum, constraints)
        self.choices = KeepChoices(architecture, einsum, self.rules)

    def room(self, level: int, tensor: Tensor, extents: Mapping[str, Any]) -> Any:
        """Words that tiles of `extents` (numbers, or arrays of them) surely take at a level."""
        return footprint(tensor, extents) * self.scenario.prices.held(level, tensor.name)

    def noted(self, level: int, tensor: Tensor, extents: Mapping[str, Any]) -> Any:
        """Bits of metadata that the tiles surely have there."""
        return self.scenario.prices.noted(level, tensor.name, footprint(tensor, extents))

    def relaxation(self, cap: Cap = UNCAPPED) -> Relaxation:
        """What the programs of its regions are built from, for mappings within `cap`."""
        return Relaxation(self.scenario, self.least_steps, cap)

    # ---- choices ---------------------------------------------------------------------------

    @cached_property
    def keeps(self) -> tuple[Keep, ...]:
        """Every choice of the tensors that each level keeps."""
        return tuple(self.choices.completions(self.whole)) if self.choices.count else ()

    @property
    def size(self) -> float:
        """Mappings before any pruning: splits x loop orders x keep/bypass choices."""
        splits = prod(float(n) for n in self.counts.values())
        return splits * self.order_count * self.choices.count

    def template(self, keep: Keep, orders: tuple[tuple[str, ...], ...]) -> Template:
        """The class of the mappings with these choices. Neighbours pass nothing on: searches and bounds do
        not count on that."""
        levels = self.architecture.levels
        tensors = frozenset(t.name for t in self.einsum.tensors)
        return Template(tuple(level.name for level in levels), keep, orders, self.rules.no_multicast,
                        tuple(tensors if level.network.links else frozenset() for level in levels))

    # ---- splitting -------------------------------------------------------------------------

    @property
    def whole(self) -> Region:
        """All mappings: where there is a choice, it is open what is kept."""
        return self.choices.narrowed(self.root(()), self.choices.columns)

    def root(self, keep: Keep) -> Region:
        """All mappings with one keep/bypass choice."""
        return Region(keep, tuple(None if self.iterating(i) else TRIVIAL for i in range(self.depth - 1)))

    def combinations(self, region: Region) -> float:
        """Splits of the ranks left open, times loop orders."""
        fixed = dict(region.fixed)
        splits = prod(float(self.counts[r]) for r in self.einsum.ranks if r not in fixed)
        return splits * prod(float(len(o)) for o in self.order_options(region))

    def split(self, region: Region) -> list[Region]:
        """Parts that together cover `region`: by the innermost rank of its outermost open level,
        then by the splits of the rank with the fewest (window ranks first)."""
        fixed = dict(region.fixed)
        for level, inner in enumerate(region.innermost):
            if inner is None:
                row = slot(level, "temporal")
                options = [r for r in self.iterating(level) if r not in fixed or fixed[r][row] > 1]
                idle = [TRIVIAL] if all(f[row] == 1 for f in fixed.values()) else []
                return [region.with_innermost(level, r) for r in idle + options]
        loose = [r for r in self.ranks if r not in fixed]
        rank = min(loose, key=lambda r: (r not in self._kernels, self.counts[r], r))
        return [region.with_factors(rank, tuple(int(f) for f in way))
                for way in self._agreeing(region, rank)]

    @cached_property
    def _kernels(self) -> frozenset[str]:
        """On each window axis the rank with the fewest splits."""
        found = set()
        for tensor in self.einsum.tensors:
            for axis in tensor.projection:
                moving = [t.rank for t in axis if t.rank in self.ranks]
                if len(moving) > 1:
                    found.add(min(moving, key=lambda r: (self.counts[r], r)))
        return frozenset(found)

    def _agreeing(self, region: Region, rank: str) -> np.ndarray:
        """The splits of `rank` that keep the innermost loops that the region has chosen."""
        ways = self.ways[rank]
        good = np.ones(len(ways), dtype=bool)
        for level, inner in enumerate(region.innermost):
            factor = ways[:, slot(level, "temporal")]
            if inner == rank:
                good &= factor > 1
            elif inner == TRIVIAL or (inner and rank in self.rules.inside(level, inner)):
                good &= factor == 1
        return ways[good]

    def enumerate(self, region: Region) -> np.ndarray:
        """Every factor array of `region`, shape (mappings, slots, ranks); of those with remainders all whose
        tiles fit."""
        fixed = dict(region.fixed)
        columns = [np.array([fixed[r]], dtype=np.int64) if r in fixed else
                   self._agreeing(region, r) for r in self.einsum.ranks]
        if self.imperfect:
            grid = np.stack(np.nonzero(self._fitting(region, columns)))
        else:
            grid = np.indices([len(c) for c in columns]).reshape(len(columns), -1)
        return np.stack([c[i] for c, i in zip(columns, grid, strict=True)], axis=2)

    def _fitting(self, region: Region, columns: list[np.ndarray]) -> np.ndarray:
        """Where the tiles of combinations of splits, which `columns` has by rank, fit; an axis a rank."""
        fits = np.ones([len(own) for own in columns], dtype=bool)
        for parts in self.architecture.storages:
            capacity = self.architecture.levels[parts[-1]].capacity_words
            if capacity is None:
                continue
            words = np.zeros(1)
            for i in parts:
                tiles = [np.minimum(own[:, 3 * i:].prod(axis=1), n) for own, n in
                         zip(columns, self.einsum.extents, strict=True)]
                extents = dict(zip(self.einsum.ranks, np.ix_(*tiles), strict=True))
                kept = map(self.einsum.tensor, region.keep[i])
                words = words + sum(self.room(i, tensor, extents) for tensor in kept)
            fits &= words <= capacity
        return fits
