"""Bounds over whole factors: a minimum over the lattice of divisors, for one keep/bypass choice.

The machine is cut at its array. Outside there is the level above the array, the *middle*, and perhaps the
outermost level above that; with e the tile of the middle, a what the whole array holds, t the tile of one
instance and s the shape unrolled (t s = a, a | e),

    energy = outer(e) + inner(t, s) [+ tensors whose traffic also depends on e / a].

So for every pair (t, s) the least outer cost of all e that a divides is looked up in a table, which takes a
minimum along the multiples of every divisor, rank by rank. Traffic that depends on e / a as well does so
through few ranks: those that leave a stationary tensor where it is, and the one that a window slides along.
Over their extents in e it is looped. Which tensors are stationary, and where, makes the *variants* that
together cover every loop order (see docs/search.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf, prod

import numpy as np

from ..mapping.rules import TEMPORAL
from ..mapping.template import slot
from ..model.energy import gate, leakage_per_cycle
from ..model.network import entry_price
from ..workload.einsum import Tensor
from .cap import UNCAPPED, Cap
from .lattice import Lattice, Tiling
from .lattice_inside import Stream, Ways
from .lattice_windows import Reach

#: A level (as many as there are: the units), and the lattice points of its tiles.
_Place = tuple[int, np.ndarray]

_MOST_TOGETHER = 1_000_000    # pairs looked at together
_BATCHES = (0, 256, 4096, 65536)    # where to look again which of them may still be the best
_KEPT = 16                    # tilings handed on


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
class Variant:
    """Loop orders of which this is known: the outer cost is `outer`, at every middle tile; in the ranks
    `held` the middle tile is that of the array; tensors are `still` through the loops of the middle level of
    all ranks that do not move them, or through the outer loops too (`far`); a window slides in steps of one
    of the ranks that `slides` gives, of the middle loop, or, if the rank is held, of the outer one.
    `coupled`: the ranks of which it matters by how much the middle tile exceeds that of the array. `goes_on`:
    of this tensor outer loops (that of `outer` first) may undo steps of the middle one, or go on with them,
    since no other loop moves it before."""

    outer: str
    held: frozenset[str] = frozenset()
    still: frozenset[str] = frozenset()
    far: frozenset[str] = frozenset()
    slides: dict[str, frozenset[str]] = field(default_factory=dict)
    coupled: frozenset[str] = frozenset()
    goes_on: str = ""


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
        self.middle = lattice.array_level
        self.steps = self.macs * self.prices.busy(keep)     # cycles of one unit, at the least
        self.everything = frozenset(lattice.ranks)
        self.above = self.macs / lattice.product(self.everything)     # passes: all loops above a point
        self.base = self.prices.computes(keep) - self.prices.rounded_away(keep)
        #: By tensor the levels that keep it, up to the last one outside, and the units.
        self.places = {t.name: [i for i in range(self._last_outside(t), lattice.depth) if t.name in keep[i]]
                       + [lattice.depth] for t in self.tensors}

    def _last_outside(self, tensor: Tensor) -> int:
        """The level that a tensor comes from when it enters the array."""
        return self.middle if tensor.name in self.keep[self.middle] else 0

    def solve(self, cutoff: float) -> tuple[float, list[Tiling]] | None:
        """(proven bound, at most `cutoff`; tilings that attain bounds below it), or None when the
        lattice is too large."""
        ways = self.l.inside(self.keep)
        if ways is None:
            return None
        self.cutoff = cutoff
        self.found: list[tuple[float, Variant, Ways, Pairs, tuple[int, ...]]] = []
        self.outer, self._tables = self._shared()
        for own in ways:
            self._every_pair(own)
        self.found.sort(key=lambda found: found[0])
        return self.cutoff, [self._tiling(*found[1:]) for found in self.found[:_KEPT]]

    # ---- the boundary between the outer and the middle level ---------------------------------

    def _shared(self) -> tuple[dict[str, np.ndarray], dict[tuple[str, frozenset[str]], np.ndarray]]:
        """Outer costs and tables of them, which depend on what the middle level keeps (and, where zeros are
        left out, on more)."""
        key = self.keep if self.prices.sparse else self.keep[:2]
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
            own = self.l.windows.share(tensor, rank, tile, outer, None if steps is None else n, reach)
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
            return np.asarray((np.ceil(words / size - 1e-6) * size if size > 1 else words) * price)
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

    # ---- pairs of a pass and an array shape ---------------------------------------------------

    def _every_pair(self, ways: Ways) -> None:
        """Look at all pairs with these ways, by what the tile of the array costs at the least."""
        least = [self._parts(ways, still, ranks) for still, ranks in self.l.classes.items()]
        shapes = np.array(list(self.l.arrays), dtype=np.int64)
        instances = self.l.points[shapes].prod(axis=1, dtype=float)
        unrolled = self._by_shape(shapes)
        around = np.minimum.reduce([array + inside.min() for array, inside in least])
        arrays = np.argsort(around, kind="stable")
        together = max(_MOST_TOGETHER // len(shapes), 1)
        for start in range(0, len(arrays), together):
            own = arrays[start:start + together]
            array, shape = np.nonzero(around[own][:, None] < self._budget(instances) - unrolled)
            if not len(array) and around[own[0]] >= (self._budget(instances) - unrolled).max():
                break
            array, (way, which) = own[array], ways.of(self.l.ratio(own[array], shapes[shape]))
            array, shape = array[which], shape[which]
            room = self._budget(instances)[shape] - unrolled[shape]
            near = np.stack([outside[array] + inside[way] < room for outside, inside in least])
            some = np.flatnonzero(near.any(axis=0))
            if len(some):
                pairs = self._pairs(ways, way[some], shapes[shape[some]], array[some])
                self._look(ways, pairs, near[:, some])

    def _pairs(self, ways: Ways, way: np.ndarray, shape: np.ndarray, array: np.ndarray) -> Pairs:
        return Pairs(ways.stays, way, ways.tile[way], shape, array,
                     {stream: words[way] for stream, words in ways.words.items()},
                     self.l.points[shape].prod(axis=1, dtype=float))

    def _look(self, ways: Ways, pairs: Pairs, near: np.ndarray) -> None:
        """Look at all variants of these pairs, of each class of orders at those that are `near`."""
        stays = frozenset(name for name, _ in pairs.stays)
        for (still, ranks), own in zip(self.l.classes.items(), near, strict=True):
            some = pairs.at(np.flatnonzero(own))
            full = {t.name: self._all_anew(t, some) for t in self.tensors}
            least = self._optimistic(still & stays, ranks, some, full)
            best = np.flatnonzero(least + self._table("", frozenset())[some.a] < self._budget(some.instances))
            if len(best):
                some, full = some.at(best), {name: words[best] for name, words in full.items()}
                for variant in self._variants(still & stays, ranks, stays):
                    for other in (variant, *self._going_on(variant)):
                        self._evaluate(other, ways, some, full, least[best])

    # ---- the least that a pair may cost, as a sum of what its three tiles do -------------------

    def _parts(self, ways: Ways, still: frozenset[str],
               ranks: frozenset[str]) -> tuple[np.ndarray, np.ndarray]:
        """Energy at the least by the tile of the array, and by the way through a pass, if a loop of one of
        `ranks` is innermost, which leave the tensors `still` in place. Leakage aside."""
        stays = frozenset(name for name, _ in ways.stays)
        array, inside = self.base + self._table("", frozenset()), np.zeros(len(ways.tile))
        for tensor in self.tensors:
            if self.places[tensor.name][1] == self.l.depth:
                continue
            stationary = tensor.name in still & stays
            sliders = self.l.windows.sliders(tensor) if tensor.name in stays else frozenset[str]()
            sliders = sliders if stationary else sliders & ranks
            array = array + self._by_array(tensor, stationary, tensor.name in stays, sliders)
            inside = inside + self._by_way(tensor, ways, stationary, sliders)
        return array, inside

    def _by_array(self, tensor: Tensor, stationary: bool, stays: bool, sliders: frozenset[str]) -> np.ndarray:
        """Energy of a tensor above the array, at the least, by the tile of the array.

        The tiles of the instances together have at least the positions of the tile of the array, of
        which along a window there are at least as many as either rank has; a step along it brings in at
        least half of those of the slider."""
        words = self._passes(tensor) if stationary else self.above
        for axis in tensor.projection:
            ranks = [t.rank for t in axis if t.rank in self.l.ranks]
            own = {rank: self.l.points[:, self.l.ranks.index(rank)] for rank in ranks}
            if len(own) == 1:
                words = words * np.minimum.reduce(list(own.values()))
            elif own and stays:
                steps = [np.maximum(own[rank] / 2, 1.0) for rank in own if rank in sliders]
                words = words * np.minimum.reduce([np.maximum.reduce(list(own.values())), *steps])
        place, one = (self.places[tensor.name][0], np.arange(len(words))), np.ones(len(words))
        return self._transfer(tensor, place, (self.l.depth, place[1]), words, words, one, one)

    def _by_way(self, tensor: Tensor, ways: Ways, stationary: bool, sliders: frozenset[str]) -> np.ndarray:
        """Energy of a tensor where it enters the instances, at the least, by the way through a pass."""
        level, spared = self.places[tensor.name][1], np.zeros(len(ways.tile))
        passes = self._passes(tensor) if stationary else self.above
        words = ways.words[tensor.name, level] * passes[ways.tile]
        for rank in sliders:
            axis = self.l.windows.axes[tensor.name][rank]
            unit = next(abs(t.coefficient) for t in axis if t.rank == rank)
            held = unit * self.l.points[ways.tile, self.l.ranks.index(rank)]
            spared = np.maximum(spared, 1.0 - np.minimum(held / self.l.interval(axis)[ways.tile], 1.0) / 2)
        words = words * (1.0 - spared)
        if tensor.is_output:
            copies = self.l.product(self.everything) / self.l.product(tensor.ranks)
            most = np.minimum(copies[-1] / copies[ways.tile], self.l.fanouts[self.middle])
            words = np.maximum(words - self.l.einsum.tensor_words(tensor.name) * most, 0.0)
            words = words if tensor.has_disjoint_tiles else np.zeros(len(words))
        price = self.prices.word(self.keep, level, tensor.name, "fill")
        return np.asarray(words * price)

    def _by_shape(self, shapes: np.ndarray) -> np.ndarray:
        """Energy of what the units ask, at the least, by the shape of the array."""
        point = np.zeros(len(shapes), dtype=np.int64)
        pairs = Pairs(frozenset(), point, point, shapes, shapes, {},
                      self.l.points[shapes].prod(axis=1, dtype=float))
        cost = np.zeros(len(shapes))
        for tensor in self.tensors:
            if self.places[tensor.name][1] < self.l.depth or not self.l.windows.sliders(tensor):
                cost += self._at_compute(tensor, pairs)
                continue
            asked = self.macs / pairs.instances
            for axis in tensor.projection:
                asked = asked * (1 + sum(self.l.points[shapes, self.l.ranks.index(t.rank)] - 1 for t in axis
                                         if t.rank in self.l.ranks))
            place = self.places[tensor.name][0], shapes
            cost += self._transfer(tensor, place, (self.l.depth, point), asked, asked, asked, asked)
        return cost

    # ---- the energy of pairs -------------------------------------------------------------------

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

    # ---- variants ------------------------------------------------------------------------------

    def _sliding(self, stays: frozenset[str], ranks: frozenset[str]) -> dict[str, frozenset[str]]:
        """By tensor that slides when one of `ranks` steps innermost, those that it slides along."""
        own = {t.name: self.l.windows.sliders(t) & ranks for t in self.tensors if t.name in stays}
        return {name: sliders for name, sliders in own.items() if sliders}

    def _variants(self, still: frozenset[str], ranks: frozenset[str],
                  stays: frozenset[str]) -> Iterator[Variant]:
        """Variants that together cover every mapping whose innermost middle loop is that of one of `ranks`,
        which leave exactly the tensors `still` in place, and with whose outer loops innermost above a middle
        level that does not iterate."""
        slides = self._sliding(stays - still, ranks)
        along = frozenset().union(*slides.values())
        if not still:
            yield Variant("", slides=slides, coupled=along)
        elif len(still) == 1:
            yield from self._one_still(self.l.einsum.tensor(*still), slides, along)
        else:       # counted with the fewest words of all
            yield Variant("", far=still, slides={**slides, **self._sliding(still, self.everything)})
        if self.middle:
            for rank in sorted(ranks):
                sliding = {**self._sliding(stays - still, frozenset((rank,))),
                           **self._sliding(still, self.everything)}
                yield Variant(rank, held=self.everything, far=still, slides=sliding)

    def _one_still(self, tensor: Tensor, slides: dict[str, frozenset[str]],
                   along: frozenset[str]) -> Iterator[Variant]:
        """Variants in which one tensor is stationary over the innermost middle loop."""
        still, rest = frozenset((tensor.name,)), self.everything - tensor.ranks
        windows, own = self.l.windows.sliders(tensor), tensor.ranks & self.everything
        # Some middle loop moves the tensor ...
        for slider in sorted(windows) or [""]:
            sliding = {**slides, tensor.name: frozenset((slider,))} if slider else slides
            yield Variant("", still=still, slides=sliding, coupled=rest | along | ({slider} - {""}))
        if not self.middle:
            return
        # ... or none does: then the innermost outer loop does, and it slides along that, ...
        if windows:
            for rank in sorted(own):
                sliding = {**slides, tensor.name: frozenset((rank,))} if rank in windows else slides
                yield Variant(rank, held=own, still=still, slides=sliding, coupled=rest | along)
        # ... or that does not either, and the tensor stays through the outer loops as well.
        if f"-{tensor.name}" in self.outer:
            sliding = {**slides, tensor.name: windows} if windows else slides
            yield Variant(f"-{tensor.name}", held=own, far=still, slides=sliding, coupled=along)

    def _going_on(self, variant: Variant) -> Iterator[Variant]:
        """Those parts of a variant in which outer loops of a window's axis follow upon a middle one."""
        for name, sliders in variant.slides.items() if self.middle else ():
            tensor = self.l.einsum.tensor(name)
            for rank in sorted(sliders & variant.coupled - variant.held):
                axis = {term.rank for term in self.l.windows.axes[name][rank]} & self.everything
                others = (tensor.ranks & self.everything) - axis
                for outer in self._following(variant.outer, tensor, axis):
                    yield replace(variant, outer=outer, held=variant.held | others, goes_on=name,
                                  coupled=variant.coupled | axis,
                                  slides={**variant.slides, name: frozenset((rank,))})

    def _following(self, outer: str, tensor: Tensor, axis: set[str]) -> list[str]:
        """Which outer costs there are if the first outer loop that moves `tensor` is one of an axis, for
        variants with the outer cost `outer`."""
        if outer in self.l.ranks:
            return [outer] if outer in axis | (self.everything - tensor.ranks) else []
        if not outer:
            return [*sorted(axis), *({f"-{tensor.name}"} & set(self.outer))]
        still = self.everything - self.l.einsum.tensor(outer[1:]).ranks
        return sorted(still & (axis | (self.everything - tensor.ranks)))

    def _optimistic(self, still: frozenset[str], ranks: frozenset[str], pairs: Pairs,
                    full: dict[str, np.ndarray]) -> np.ndarray:
        """Energy at the least, at every pair, but for that of the outer boundary, if a loop of one of
        `ranks` is innermost at the middle level, or outside of one that does not iterate."""
        stays = frozenset(name for name, _ in pairs.stays)
        slides = {**self._sliding(stays - still, ranks), **self._sliding(still, self.everything)}
        cost = np.full(len(pairs.t), self.base)
        for tensor in self.tensors:
            name = tensor.name
            if name not in still and name not in slides:
                cost += full[name]
                continue
            passes = self._passes(tensor) if name in still else self.above
            share = self._share(tensor, slides.get(name, frozenset()), pairs.t, pairs.a, None, "two")
            cost += self._streams(tensor, pairs, self._words(tensor, pairs, passes[pairs.a] * share)) \
                + self._at_compute(tensor, pairs)
        return cost

    def _evaluate(self, variant: Variant, ways: Ways, pairs: Pairs, full: dict[str, np.ndarray],
                  least: np.ndarray) -> None:
        """Find the least objective of a variant, for all extents of the ranks that are coupled. `least`: what
        pairs need at the least, but for the outer boundary, pJ."""
        columns = [i for i, r in enumerate(self.l.ranks) if r in variant.coupled - variant.held]
        held = [i for i, r in enumerate(self.l.ranks) if r in variant.held]
        sizes = [self.l.shape[i] for i in columns]
        chosen = np.indices(sizes).reshape(len(columns), prod(sizes))
        table, admitted = self._table(variant.outer, variant.held | variant.coupled), self._admitted
        order = np.argsort(least, kind="stable")
        step = max(_MOST_TOGETHER // chosen.shape[1], 1)
        for start in range(0, len(order), step):
            own = order[start:start + step]
            good = np.logical_and.reduce([admitted[i].diagonal()[self.l.grid[i, pairs.a[own]]] for i in held]
                                         or [np.ones(len(own), dtype=bool)])
            own = own[good]
            fits = np.ones((len(own), chosen.shape[1]), dtype=bool)
            point = np.repeat(pairs.a[own][:, None], chosen.shape[1], axis=1)
            for i, choice in zip(columns, chosen, strict=True):
                inside = self.l.grid[i, pairs.a[own]]
                fits &= admitted[i][inside][:, choice]
                if variant.goes_on and self.l.ranks[i] in variant.slides[variant.goes_on]:
                    fits &= choice[None, :] > inside[:, None]
                if variant.goes_on and self.l.ranks[i] == variant.outer:
                    fits &= (choice < self.l.shape[i] - 1)[None, :]
                point += (choice[None, :] - inside[:, None]) * self.l.strides[i]
            outside = np.where(fits, table[np.where(fits, point, 0)], inf)
            room = self._budget(pairs.instances[own]) - least[own]
            pair, which = np.nonzero(outside < room[:, None])
            self._best_of(variant, ways, pairs, full, own[pair], outside[pair, which], chosen[:, which],
                          least[own[pair]])

    def _best_of(self, variant: Variant, ways: Ways, pairs: Pairs, full: dict[str, np.ndarray],
                 where: np.ndarray, outside: np.ndarray, chosen: np.ndarray, least: np.ndarray) -> None:
        """Find the least objective of a variant at the pairs `where`, each with an outer cost and the extents
        `chosen` of the ranks that are coupled, those first that may be the best."""
        columns = [i for i, r in enumerate(self.l.ranks) if r in variant.coupled - variant.held]
        moving = variant.still | variant.far | set(variant.slides)
        cycles = self.steps / pairs.instances[where]
        order = np.argsort(self._objective(least + outside, cycles), kind="stable")
        for start, stop in zip(_BATCHES, [*_BATCHES[1:], len(order)], strict=True):
            own = order[start:stop]
            own = own[least[own] + outside[own] < self._budget(pairs.instances[where[own]])]
            if not len(own):
                return
            some, energy = pairs.at(where[own]), self.base + outside[own]
            steps = {self.l.ranks[i]: self.l.divisors[i][choice[own]] / self.l.points[some.a, i]
                     for i, choice in zip(columns, chosen, strict=True)}
            for tensor in self.tensors:
                if tensor.name in moving:
                    tiles = self._tiles(tensor, variant, some, steps)
                    energy = energy + self._at_compute(tensor, some) \
                        + self._streams(tensor, some, self._words(tensor, some, tiles))
                else:
                    energy = energy + full[tensor.name][where[own]]
            self._keep_best(variant, ways, some, energy, chosen[:, own])

    def _tiles(self, tensor: Tensor, variant: Variant, pairs: Pairs,
               steps: dict[str, np.ndarray]) -> np.ndarray:
        """How many times what stays of a tensor enters an instance, in a variant."""
        passes = (self._passes(tensor) if tensor.name in variant.far else self.above)[pairs.a]
        if tensor.name in variant.still:
            for rank in self.everything - tensor.ranks:
                passes = passes / steps.get(rank, 1.0)
        sliders = variant.slides.get(tensor.name, frozenset())
        if tensor.name != variant.goes_on:
            return passes * self._share(tensor, sliders, pairs.t, pairs.a, steps)
        slider, = sliders
        if self.l.windows.simple(tensor, slider):
            return passes * self.l.windows.run(tensor, slider, pairs.t, pairs.a, steps)
        return passes * self._share(tensor, sliders, pairs.t, pairs.a, steps, "two")

    def _words(self, tensor: Tensor, pairs: Pairs, tiles: np.ndarray) -> dict[Stream, np.ndarray]:
        """Words of the streams of a tensor: so many times what stays of it, everything else in each pass."""
        return {stream: words * (tiles if stream in pairs.stays else self.above[pairs.a])
                for stream, words in pairs.words.items() if stream[0] == tensor.name}

    # ---- the objective -------------------------------------------------------------------------

    def _keep_best(self, variant: Variant, ways: Ways, pairs: Pairs, energy: np.ndarray,
                   chosen: np.ndarray) -> None:
        good = energy < self._budget(pairs.instances)
        if not good.any():
            return
        value = np.where(good, self._objective(energy, self.steps / pairs.instances), inf)
        best = int(value.argmin())
        if value[best] < self.cutoff:
            self.cutoff = float(value[best])
            one = pairs.at(np.array([best]))
            self.found.append((self.cutoff, variant, ways, one, tuple(chosen[:, best])))

    def _budget(self, instances: np.ndarray) -> np.ndarray:
        """Energy below which a mapping with so many instances at work beats the cutoff within the cap."""
        energy_power, cycles_power = self.powers
        cycles = self.steps / instances
        if energy_power:
            most = (self.cutoff / cycles ** cycles_power) ** (1 / energy_power)
        else:
            most = np.where(cycles ** cycles_power < self.cutoff, inf, -inf)
        return np.asarray(np.minimum(most, self.cap.most_energy(cycles)) - self._leak(cycles))

    def _objective(self, energy: np.ndarray, cycles: np.ndarray) -> np.ndarray:
        energy_power, cycles_power = self.powers
        return np.asarray((energy + self._leak(cycles)) ** energy_power * cycles ** cycles_power)

    def _leak(self, cycles: np.ndarray) -> np.ndarray:
        """Leakage of all levels, pJ: of every inner instance at work, of one instance elsewhere, and of
        what these hold switched on."""
        total = np.zeros_like(cycles)
        for i, level in enumerate(self.l.arch.levels):
            if leak := leakage_per_cycle(level) * self.prices.awake:
                switch, switched = gate(self.l.arch, i)
                spread = switch == self.l.depth or (switch > self.middle and bool(self.keep[switch]))
                total = total + leak * switched * (self.steps if spread else cycles)
        return total

    # ---- what attains it -----------------------------------------------------------------------

    def _tiling(self, variant: Variant, ways: Ways, pairs: Pairs, chosen: tuple[int, ...]) -> Tiling:
        """The factors of a pair in a variant, with the middle tile of the least outer cost."""
        points, a, s = self.l.points, int(pairs.a[0]), int(pairs.s[0])
        outer = self.outer[variant.outer].copy()
        coupled = [r for r in self.l.ranks if r in variant.coupled - variant.held]
        for i, (rank, admitted) in enumerate(zip(self.l.ranks, self._admitted, strict=True)):
            fits = admitted[self.l.grid[i, a]]
            if rank in variant.held:
                fits = np.arange(len(fits)) == self.l.grid[i, a]
            elif rank in variant.coupled:
                fits = np.arange(len(fits)) == chosen[coupled.index(rank)]
            outer[~fits[self.l.grid[i]]] = inf
        e = int(outer.argmin())
        factors = np.ones((3 * self.l.depth, len(self.l.einsum.ranks)), dtype=np.int64)
        chain = [a if i == self.middle else int(p) for i, p in
                 enumerate(ways.chain[pairs.way[0]], self.middle + 1)]
        x, y = self.l.arrays[s]
        columns = self.l.columns
        if self.middle:
            factors[slot(0, "temporal"), columns] = self.l.extents // points[e]
        factors[slot(self.middle, "temporal"), columns] = points[e] // points[a]
        factors[slot(self.middle, "x"), columns], factors[slot(self.middle, "y"), columns] = x, y
        for level, outside in enumerate(chain, self.middle + 1):
            inner = points[chain[level - self.middle]] if level + 1 < self.l.depth else 1
            factors[slot(level, "temporal"), columns] = points[outside] // inner
        return Tiling(factors, ())
