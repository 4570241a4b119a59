"""The energy of what moves in a machine that is cut at its array, over the lattice of divisors."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any, Hashable

import numpy as np

from ..mapping.rules import TEMPORAL
from ..model.network import entry_price
from ..workload.einsum import Tensor
from .lattice import Lattice
from .lattice_inside import Stream
from .lattice_windows import Reach
from .prices import Prices

#: A level (as many as there are: the units), and the lattice points of its tiles.
_Place = tuple[int, np.ndarray]


@dataclass(frozen=True)
class Pairs:
    """Ways through a pass of an instance, each with an array shape s and the tile a of the array (lattice
    points); `stays`: streams that one pass leaves in place, `words` of every stream in a pass."""

    stays: frozenset[Stream]
    way: np.ndarray
    t: np.ndarray
    s: np.ndarray
    a: np.ndarray
    words: dict[Stream, np.ndarray]
    instances: np.ndarray

    def at(self, where: np.ndarray) -> Pairs:
        """Some of them."""
        return Pairs(self.stays, self.way[where], self.t[where], self.s[where], self.a[where],
                     {stream: w[where] for stream, w in self.words.items()}, self.instances[where])


@dataclass(frozen=True)
class Costed:
    """Pairs, with the energy of every tensor below the middle level if each pass loads it anew (`full`, pJ),
    and what they need at the least, but for the outer boundary (`least`, pJ)."""

    pairs: Pairs
    full: dict[str, np.ndarray]
    least: np.ndarray

    def at(self, where: np.ndarray) -> Costed:
        """Some of them."""
        return Costed(self.pairs.at(where), {name: anew[where] for name, anew in self.full.items()},
                      self.least[where])


class Traffic:
    """Energies for one keep/bypass choice; or other figures that are counted like them, at other prices
    (see `lattice_ports`)."""

    #: Whether whole blocks are paid for.
    blocks = True
    prices: Prices | Any
    #: What is counted, where that is not energy.
    figure: Hashable = ""

    def __init__(self, lattice: Lattice, keep: tuple[frozenset[str], ...]) -> None:
        self.l = lattice
        self.keep = keep
        self.tensors = lattice.einsum.tensors
        self.macs = float(lattice.einsum.macs)
        self.prices = getattr(self, "prices", lattice.prices)
        self.middle = lattice.array_level
        self.everything = frozenset(lattice.ranks)
        self.above = self.macs / lattice.product(self.everything)     # passes: all loops above a point
        self.base = self.prices.computes(keep) - self.prices.rounded_away(keep)
        #: By tensor the levels that keep it, up to the last one outside, and the units.
        self.places = {t.name: [i for i in range(self._last_outside(t), lattice.depth) if t.name in keep[i]]
                       + [lattice.depth] for t in self.tensors}
        self.outer, self._tables = self._shared()

    def _last_outside(self, tensor: Tensor) -> int:
        """The level that a tensor comes from when it enters the array."""
        return self.middle if tensor.name in self.keep[self.middle] else 0

    # ---- the boundary between the outer and the middle level ---------------------------------

    def _shared(self) -> tuple[dict[str, np.ndarray], dict[tuple[str, frozenset[str]], np.ndarray]]:
        """Outer costs and tables of them, which depend on what the middle level keeps (and, where zeros are
        left out, on more)."""
        key = self.figure, (self.keep if self.prices.sparse else self.keep[:2])
        if key not in self.l.outside:
            self.l.outside[key] = self._outer_costs(), {}
        return self.l.outside[key]

    def _outer_costs(self) -> dict[str, np.ndarray]:
        """Energy of the outer boundary at every middle tile, by the rank innermost above it; "" for any,
        and that of all that move a tensor or all that do not, under names of their own."""
        if self.middle == 0:      # there is none: the middle tile is everything
            whole = np.full(len(self.l.points), inf)
            whole[-1] = 0.0
            return {"": whole}
        capacity = self.l.arch.levels[1].capacity_words
        words = np.zeros(len(self.l.points))
        for name in self.keep[1]:
            words = words + self.l.volumes[name] * self.prices.held(1, name)
        fits = words <= (inf if capacity is None else capacity)
        fits &= self.l.quotients(0, TEMPORAL, self.l.extents // self.l.points)
        costs = {rank: np.where(fits, self._outer_cost(rank), inf) for rank in self.l.ranks}
        costs[""] = np.minimum.reduce(list(costs.values()))
        for tensor in self.tensors:
            still = [costs[rank] for rank in self.l.ranks if rank not in tensor.ranks]
            if still:
                costs[f"-{tensor.name}"] = np.minimum.reduce(still)
        return costs

    def _outer_cost(self, rank: str) -> np.ndarray:
        every, one = np.arange(len(self.l.points)), np.ones(len(self.l.points))
        cost = np.zeros(len(self.l.points))
        for tensor in self.tensors:
            if tensor.name not in self.keep[1]:
                continue
            moves, sliders = rank in tensor.ranks, self.l.windows.sliders(tensor)
            words = self.l.volumes[tensor.name] * (self.above if moves else self._passes(tensor))
            words = words * self._share(tensor, sliders & {rank} if moves else sliders, every, every, {})
            cost += self._transfer(tensor, (0, every), (1, every), words, words, one, one)
        return cost

    def _passes(self, tensor: Tensor) -> np.ndarray:
        """Product of the loops above a point that move `tensor`."""
        ranks = tensor.ranks & self.everything
        return float(np.prod([self.l.einsum.extent[r] for r in ranks])) / self.l.product(ranks)

    def _share(self, tensor: Tensor, sliders: frozenset[str], tile: np.ndarray, outer: np.ndarray,
               steps: dict[str, np.ndarray] | None, reach: Reach = "level") -> np.ndarray:
        """The least share of a tile that is loaded if one of `sliders` steps innermost, `steps` times or
        else through all of its extent; where that is not known (None), as often as is best."""
        share = np.ones(len(tile))
        for rank in sliders:
            i = self.l.ranks.index(rank)
            n = (steps or {}).get(rank, self.l.extents[i] / self.l.points[:, i][outer])
            own = self.l.windows.share(tensor, rank, tile, outer, None if steps is None else n, reach, steps)
            share = np.minimum(share, np.where(n > 1, own, 1.0))
        return share

    def _transfer(self, tensor: Tensor, parent: _Place, child: _Place, asked: np.ndarray, filled: np.ndarray,
                  copies: np.ndarray, instances: np.ndarray, share: np.ndarray | float = 1.0) -> np.ndarray:
        """Energy of `asked` words at one instance of `parent`, which has a `share` of the tensor, and of
        `filled` words at each of `instances` of `child`, which hold `copies` copies of every word
        between them."""
        entry = entry_price(self.l.arch.levels[parent[0]].network)
        cost = asked * (entry and entry * self.prices.moved(self.keep, parent[0], tensor.name))
        held = child[0] < self.l.depth
        if not tensor.is_output:
            cost = cost + self._access(parent, tensor, "read", asked)
            return cost + self._access(child, tensor, "fill", filled) * instances if held else cost
        cost = cost + self._access(parent, tensor, "update", asked)
        if not tensor.has_disjoint_tiles:
            return cost
        size = self.l.einsum.tensor_words(tensor.name)
        cost = cost + self._access(parent, tensor, "read", np.maximum(asked - size * share, 0.0))
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
            whole = np.ceil(words / size - 1e-6) * size if self.blocks and size > 1 else words
            return np.asarray(whole * price)
        if self.prices.spares_tiles(self.keep, level, tensor.name):
            words = words * self.l.filled(tensor.name)[tiles]
        return np.asarray(words * price)

    def _table(self, outer: str, fixed: frozenset[str]) -> np.ndarray:
        """At every point the least outer cost of the middle tiles that it divides, with its own extents in
        the ranks that are `fixed`."""
        key = outer, fixed
        if key not in self._tables:
            table = self.outer[outer].reshape(self.l.shape)
            for axis, (rank, admitted) in enumerate(zip(self.l.ranks, self._admitted, strict=True)):
                if rank not in fixed:
                    rows = np.moveaxis(table, axis, 0)
                    table = np.moveaxis(np.stack([rows[own].min(axis=0, initial=inf) for own in admitted]),
                                        0, axis)
            self._tables[key] = table.ravel()
        return self._tables[key]

    @property
    def _admitted(self) -> list[np.ndarray]:
        """For each rank, which of its divisors (columns) a middle tile around another (rows) may have."""
        return self.l.quotient_tables(self.middle, TEMPORAL)

    # ---- below the middle level ----------------------------------------------------------------

    def _all_anew(self, tensor: Tensor, pairs: Pairs) -> np.ndarray:
        """Energy of a tensor below the middle level if each pass loads it anew."""
        every = {(name, level): words * self.above[pairs.a] for (name, level), words in pairs.words.items()
                 if name == tensor.name}
        return self._streams(tensor, pairs, every) + self._at_compute(tensor, pairs)

    def _streams(self, tensor: Tensor, pairs: Pairs, words: dict[Stream, np.ndarray]) -> np.ndarray:
        """Energy of the streams of a tensor, of so many words an instance."""
        total = np.zeros(len(pairs.t))
        for parent, child in pairwise(self.places[tensor.name][:-1]):
            total += self._below(tensor, pairs, parent, child, words[tensor.name, child])
        return total

    def _below(self, tensor: Tensor, pairs: Pairs, parent: int, child: int, words: np.ndarray) -> np.ndarray:
        """Energy of so many words that go from a level to each instance of another one, or to each unit."""
        copies = self._copies(tensor, pairs)
        # The middle tile is not known here; it is at least that of the array.
        if parent <= self.middle:
            places = (parent, pairs.a), (child, pairs.t)
            asked = words * self.l.distinct(tensor, pairs.t, pairs.s)
            return self._transfer(tensor, *places, asked, words, copies, pairs.instances)
        places, one = ((parent, pairs.t), (child, pairs.t)), np.ones(len(pairs.t))
        share = copies / pairs.instances
        return self._transfer(tensor, *places, words, words, share, one, share) * pairs.instances

    def _at_compute(self, tensor: Tensor, pairs: Pairs) -> np.ndarray:
        """Energy of what the units ask of the innermost level that keeps a tensor."""
        innermost, units = self.places[tensor.name][-2:]
        return self._below(tensor, pairs, innermost, units, self.macs / pairs.instances)

    def _copies(self, tensor: Tensor, pairs: Pairs) -> np.ndarray:
        return self.l.product(self.everything - tensor.ranks)[pairs.s]
