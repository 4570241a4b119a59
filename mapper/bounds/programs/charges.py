"""What a tensor adds to the program of a region: energy, room and bandwidth of its words."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import log

import numpy as np

from ...model.network import entry_price
from ...workload.einsum import Tensor
from ..region import Region
from .open_prices import OpenPrices
from .program import Posynomial, merged
from .streams import Streams
from .variables import Variables


@dataclass(frozen=True)
class TensorTerms:
    """What one tensor adds to a program, over its variables and helper variables of its own."""

    energy: Posynomial                  # pJ, without `offset`, which is subtracted
    offset: float
    room: dict[int, Posynomial]         # by level, the words of it that are held there
    reads: dict[int, Posynomial]        # by level, words that are read for it by each instance
    writes: dict[int, Posynomial]
    limits: tuple[Posynomial, ...]      # at most 1
    ceilings: np.ndarray                # of the helper variables, logarithms


class Charges(Streams):
    """Puts `TensorTerms` together. Of the region it looks only at what `Relaxation._terms` asks for."""

    def __init__(self, variables: Variables, prices: OpenPrices, region: Region) -> None:
        super().__init__(variables, region)
        self.prices = prices
        self.energy: list[Posynomial] = []
        self.offset = 0.0

    def terms(self, tensor: Tensor, asked: bool) -> TensorTerms:
        """All that `tensor` adds to the program; its energy only where that is asked for."""
        if asked:
            self._charge_all(tensor)
        reads, writes = self._asked(tensor)
        room = {i: self.tile(tensor, i).scaled(share) for i, level in enumerate(self.arch.levels)
                if level.capacity_words is not None and tensor.name in self.region.keep[i]
                and (share := self.prices.held(i, tensor.name)) > 0.0}

        def kept(p: Posynomial) -> Posynomial:
            return Posynomial(p.exponents[:, :self.used].copy(), p.logs)

        energy = Posynomial(np.zeros((0, self.used)), np.zeros(0))
        if self.energy:
            exponents = np.concatenate([p.exponents[:, :self.used] for p in self.energy])
            logs = np.concatenate([p.logs for p in self.energy])
            energy = Posynomial(*merged(exponents, logs, np.zeros(len(logs)))[:2])
        room, reads, writes = ({i: kept(p) for i, p in own.items()} for own in (room, reads, writes))
        return TensorTerms(energy, self.offset, room, reads, writes, tuple(map(kept, self.constraints)),
                           self.upper[self.v.size + 1:self.used])

    def _charge(self, price: float, words: Posynomial) -> None:
        if price > 0.0:
            self.energy.append(words.scaled(price))

    def _segments(self, tensor: Tensor) -> list[tuple[list[int], list[int]]]:
        """For each level that surely keeps `tensor`: itself with the levels further inside that may, up
        to the next that surely does; and what stands inside each of these (at last the compute)."""
        kept, loose = self.region.levels(tensor.name)
        found = []
        for level, end in pairwise((*kept, self.scenario.depth)):
            parents = [level, *(i for i in loose if level < i < end)]
            found.append((parents, [*parents[1:], end]))
        return found

    def _requests(self, tensor: Tensor, parent: int, child: int) -> Posynomial:
        """At most the words asked of ALL instances of `parent`, after multicast."""
        words = self.stream(tensor, child) * self.monomial(1.0, self.factors(self.spatial(0, parent)))
        for level in range(parent, child):
            if level in self.scenario.wide:
                words = words * self.distinct(tensor, level)
        return words

    def _price(self, level: int, tensor: Tensor, action: str) -> float:
        """pJ a word of the dense run, at the least."""
        return self.prices.word(self.region, level, tensor.name, action)

    def _moved(self, level: int, tensor: Tensor) -> float:
        """Share of the words that the dense run moves at or below `level` that surely move."""
        return self.prices.moved(self.region, level, tensor.name)

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
            elif children[-1] < self.scenario.depth:
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
                          self.rounded(0, parent, reused), at_mac=child == self.scenario.depth and not any(
                              self.may_iterate(r, self.spatial(first, child)) for r in reused))
        if end < self.scenario.depth:
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
            filled = child < self.scenario.depth and not tensor.is_output
            if filled and (share := self._weight(child, tensor)):
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
