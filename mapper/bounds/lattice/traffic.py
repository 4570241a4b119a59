"""The energy of what moves in a machine that is cut at its array, over the lattice of divisors."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any, Hashable, Iterator

import numpy as np

from ...mapping.rules import TEMPORAL
from ...mapping.template import Keep
from ...model.network import entry_price
from ...workload.einsum import Tensor
from ..prices import Prices
from .lattice import Lattice
from .ways import Stream

#: A level (as many as there are: the units), and the lattice points of its tiles.
_Place = tuple[int, np.ndarray]

_ALL = slice(None)


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
class Term:
    """What so many `words` of each of some tiles cost at a `price` a word, in whole blocks, but for so many
    of all words that are `free`. Arrays over pairs or points, or numbers."""

    words: np.ndarray
    free: np.ndarray | float
    price: np.ndarray | float
    block: int = 1

    def of(self, tiles: np.ndarray | float, rows: np.ndarray | slice = _ALL) -> np.ndarray:
        """What so many tiles of some `rows` cost."""
        words = self.words[rows] * tiles
        if isinstance(self.free, np.ndarray):
            words = np.maximum(words - self.free[rows], 0.0)
        if self.block > 1:
            words = np.ceil(words / self.block - 1e-6) * self.block
        return np.asarray(words * (self.price[rows] if isinstance(self.price, np.ndarray) else self.price))


@dataclass(frozen=True)
class Load:
    """What a tensor costs below the middle level by how often what stays of it is brought to an instance:
    what is `fixed`, and the `terms` of each time."""

    fixed: np.ndarray
    terms: tuple[Term, ...]

    def of(self, tiles: np.ndarray, rows: np.ndarray | slice = _ALL) -> np.ndarray:
        """What so many tiles of some `rows` cost."""
        total = self.fixed[rows]
        for term in self.terms:
            total = total + term.of(tiles, rows)
        return total


def _merged(terms: list[Term]) -> tuple[Term, ...]:
    """The same, with one term for all that are proportional to the words."""
    plain = [t for t in terms if t.block == 1 and not isinstance(t.free, np.ndarray)]
    rest = [Term(t.words * t.price, t.free * t.price, 1.0) if t.block == 1 else t
            for t in terms if not any(t is other for other in plain)]
    if not plain:
        return tuple(rest)
    return Term(np.sum([t.words * t.price for t in plain], axis=0), 0.0, 1.0), *rest


class Traffic:
    """Energies for one keep/bypass choice; or other figures that are counted like them, at other prices
    (see `lattice.ports`)."""

    #: Whether whole blocks are paid for.
    blocks = True
    prices: Prices | Any
    #: What is counted, where that is not energy.
    figure: Hashable = ""

    def __init__(self, lattice: Lattice, keep: Keep) -> None:
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
            words = words * self._share(tensor, sliders & {rank} if moves else sliders)
            cost += self._transfer(tensor, (0, every), (1, every), words, words, one, one)
        return cost

    def _passes(self, tensor: Tensor) -> np.ndarray:
        """Product of the loops above a point that move `tensor`."""
        ranks = tensor.ranks & self.everything
        return float(np.prod([self.l.einsum.extent[r] for r in ranks])) / self.l.product(ranks)

    def _share(self, tensor: Tensor, sliders: frozenset[str]) -> np.ndarray:
        """At every point the least share of a tile that is loaded if one of `sliders` steps innermost,
        through all of its extent."""
        every = np.arange(len(self.l.points))
        share = np.ones(len(every))
        for rank in sliders:
            i = self.l.ranks.index(rank)
            n = self.l.extents[i] / self.l.points[:, i]
            own = self.l.windows.share(tensor, rank, every, every, n, "level")
            share = np.minimum(share, np.where(n > 1, own, 1.0))
        return share

    def _transfer(self, tensor: Tensor, parent: _Place, child: _Place, asked: np.ndarray, filled: np.ndarray,
                  copies: np.ndarray, instances: np.ndarray) -> np.ndarray:
        """Energy of `asked` words at an instance of `parent`, and of `filled` words at each of `instances` of
        `child`, which hold `copies` copies of every word between them."""
        total = np.zeros(len(asked))
        for term in self._terms(tensor, parent, child, asked, filled, copies, instances):
            total = total + term.of(1.0)
        return total

    def _terms(self, tensor: Tensor, parent: _Place, child: _Place, asked: np.ndarray, filled: np.ndarray,
               copies: np.ndarray, instances: np.ndarray, share: np.ndarray | None = None) -> Iterator[Term]:
        """What `_transfer` adds up, if each tile asks and fills so many words; where each of as many
        instances of `parent` has a `share` of the tensor, for all of them."""
        above = 1.0 if share is None else instances
        entry = entry_price(self.l.arch.levels[parent[0]].network)
        if entry := entry and entry * self.prices.moved(self.keep, parent[0], tensor.name):
            yield Term(asked, 0.0, entry * above)
        held = child[0] < self.l.depth
        if not tensor.is_output:
            yield from self._access(parent, tensor, "read", asked, 0.0, above)
            if held:
                yield from self._access(child, tensor, "fill", filled, 0.0, instances)
            return
        yield from self._access(parent, tensor, "update", asked, 0.0, above)
        if tensor.has_disjoint_tiles:
            size = self.l.einsum.tensor_words(tensor.name)
            first = np.full(len(asked), float(size)) if share is None else size * share
            yield from self._access(parent, tensor, "read", asked, first, above)
            if held:
                yield from self._access(child, tensor, "fill", filled, size * copies / instances, instances)

    def _access(self, place: _Place, tensor: Tensor, action: str, words: np.ndarray, free: np.ndarray | float,
                times: np.ndarray | float) -> Iterator[Term]:
        """What so many `words` of the dense run of a tile cost at each of `times` instances: whole blocks, if
        all of them move."""
        level, tiles = place
        if price := self.prices.word(self.keep, level, tensor.name, action):
            if not self.prices.sparse:
                size = self.l.arch.levels[level].block_words if self.blocks else 1
                yield Term(words, free, price * times, size)
            elif self.prices.spares_tiles(self.keep, level, tensor.name):
                yield Term(words, free, price * times * self.l.filled(tensor.name)[tiles])
            else:
                yield Term(words, free, price * times)

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

    def _load(self, tensor: Tensor, pairs: Pairs) -> Load:
        """What a tensor costs below the middle level, by how often what stays of it is brought in; or all of
        it, where there is one stream."""
        fixed, terms = self._at_compute(tensor, pairs), list[Term]()
        levels = self.places[tensor.name][:-1]
        for parent, child in pairwise(levels):
            stream = tensor.name, child
            own = self._below(tensor, pairs, parent, child, pairs.words[stream])
            if stream in pairs.stays or len(levels) == 2:
                terms += own
            else:       # everything else in each pass
                fixed = fixed + sum(term.of(self.above[pairs.a]) for term in own)
        return Load(fixed, _merged(terms))

    def _below(self, tensor: Tensor, pairs: Pairs, parent: int, child: int, words: np.ndarray) -> list[Term]:
        """What so many words cost that go from a level to each instance of another one, or to each unit."""
        copies = self.l.product(self.everything - tensor.ranks)[pairs.s]
        # The middle tile is not known here; it is at least that of the array.
        if parent <= self.middle:
            asked = words * self.l.distinct(tensor, pairs.t, pairs.s)
            return list(self._terms(tensor, (parent, pairs.a), (child, pairs.t), asked, words, copies,
                                    pairs.instances))
        return list(self._terms(tensor, (parent, pairs.t), (child, pairs.t), words, words, copies,
                                pairs.instances, copies / pairs.instances))

    def _at_compute(self, tensor: Tensor, pairs: Pairs) -> np.ndarray:
        """Energy of what the units ask of the innermost level that keeps a tensor."""
        innermost, units = self.places[tensor.name][-2:]
        total = np.zeros(len(pairs.t))
        for term in self._below(tensor, pairs, innermost, units, self.macs / pairs.instances):
            total = total + term.of(1.0)
        return total
