"""The best places to cut the loop nest, where each tensor may be cut at a place of its own.

Let an *item* be a tensor at a level that keeps it, other than the outermost. With `e` the extents of what
stands inside its cut, and every loop further out that the tensor does not have bringing all of it once more,
the words that enter all instances of the level depend on `e` alone (`Grid.entering`). No mapping moves fewer:
where the innermost loops outside the cut leave the tensor in place, the cut may as well stand further out.
So the least energy is that of a chain of cuts, each inside the one before, and a sum of what each costs:
dynamic programming over the items already cut, with an array over all tiles for each set of them (`Placing`).
See docs/search.md.

What ties items together is the room that those of one level share. `Room` gives each a share of its own;
`search.cuts` divides the shares until they fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import pairwise, product
from math import inf, prod
from typing import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..hardware.architecture import Architecture
from ..mapping.nest import Kind
from ..mapping.rules import SPATIAL, Rules
from ..model.energy import leakage_per_cycle
from ..workload.einsum import Einsum, Tensor
from .arrays import divisors
from .cap import UNCAPPED, Cap
from .grid import Array, Grid, Point, all_shapes
from .placing import Item, Placing
from .prices import Prices

Keep = tuple[frozenset[str], ...]
#: Most words of the tile of a tensor at a level.
Room = Mapping[tuple[int, str], float]

_MOST_TILES = 60_000
_MOST_SHAPES = 20_000
_AT_ONCE = 200_000


@dataclass(frozen=True)
class Shape:
    """How the instances below the fanout are used: factors along x and along y, by rank. `asked`: by tensor
    the share of requests that multicast leaves, when the tile of one instance is one of `where` (None: any).
    """

    x: dict[str, int]
    y: dict[str, int]
    asked: dict[str, float] = field(default_factory=dict)
    where: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Cuts:
    """Where a chain is cut: the tile of each (level, tensor), and the shape of the array."""

    tiles: dict[tuple[int, str], dict[str, int]]
    shape: Shape


class Nests:
    """Tables of one Einsum on a machine with at most one fanout among its levels."""

    def __init__(self, architecture: Architecture, einsum: Einsum, rules: Rules) -> None:
        self.arch, self.einsum, self.rules = architecture, einsum, rules
        self.grid = Grid(einsum)
        self.prices = Prices(architecture, einsum)
        self.depth = len(architecture.levels)
        wide = [i for i in range(self.depth) if prod(architecture.fanout(i)) > 1]
        #: The level with the fanout below it.
        self.border = wide[0] if wide else self.depth - 1
        self._simple = len(wide) <= 1

    @cached_property
    def applies(self) -> bool:
        """Whether the machine has one fanout at most, its outermost level may keep everything, no tensor
        moves diagonally, and no rank leaves two tensors in place."""
        tensors = self.einsum.tensors
        return (self._simple and not self.arch.sparse and self.arch.compute.lockstep is None
                and self.arch.levels[0].bypass.isdisjoint(t.name for t in tensors)
                and not self.einsum.flattened and bool(self.grid.ranks)
                and not any(t.has_shared_ranks for t in tensors)
                and all(sum(r not in t.ranks for t in tensors) <= 1 for r in self.grid.ranks)
                and prod(self.grid.shape) <= _MOST_TILES and 0 < len(self.shapes) <= _MOST_SHAPES)

    @cached_property
    def shapes(self) -> list[Shape]:
        """One way to unroll ranks for every product of factors by rank, and for what multicast then makes of
        it."""
        return [x for shape in self._unrolled() for x in self._told_apart(shape)]

    def _unrolled(self) -> list[Shape]:
        level, ranks = self.arch.levels[self.border], self.grid.ranks
        extents = [self.einsum.extent[r] for r in ranks]
        found: dict[tuple[int, ...], Shape] = {}
        kinds: tuple[Kind, ...] = ("x", "y")
        sides = []
        for kind, most, only in zip(kinds, self.arch.fanout(self.border),
                                    (level.spatial_x, level.spatial_y), strict=True):
            admitted = [(only is None or r in only) and self.rules.may_iterate(self.border, kind, r)
                        for r in ranks]
            sides.append(all_shapes(extents, most, admitted))
        columns = [self.einsum.ranks.index(r) for r in ranks]
        least, most_ = (own[self.border, SPATIAL, columns] for own in (self.rules.least, self.rules.most))
        for x in sides[0]:
            for y in sides[1]:
                s = tuple(a * b for a, b in zip(x, y, strict=True))
                both = any(a > 1 < b for a, b in zip(x, y, strict=True)) and not self.rules.both_axes
                if s in found or both or prod(s) < self.rules.workers or any(
                        n % f for n, f in zip(extents, s, strict=True)):
                    continue
                if all(lo <= f <= hi for lo, f, hi in zip(least, s, most_, strict=True)):
                    found[s] = Shape(dict(zip(ranks, x, strict=True)), dict(zip(ranks, y, strict=True)))
        return list(found.values())

    @cached_property
    def factors(self) -> NDArray[np.int64]:
        """The factors of each shape by rank, shape (shapes, ranks)."""
        return np.array([[s.x[r] * s.y[r] for r in self.grid.ranks] for s in self.shapes], dtype=np.int64)

    @cached_property
    def units(self) -> NDArray[np.int64]:
        """Instances at work, for each shape."""
        return np.asarray(self.factors.prod(axis=1))

    def along(self, tensor: Tensor, own: bool) -> NDArray[np.int64]:
        """For each shape the product of the factors of the ranks that `tensor` has, or has not."""
        columns = [i for i, r in enumerate(self.grid.ranks) if (r in tensor.ranks) == own]
        return np.asarray(self.factors[:, columns].prod(axis=1))

    def asked(self, tensor: Tensor) -> Array:
        """For each shape the share of requests that multicast leaves."""
        return np.array([shape.asked[tensor.name] for shape in self.shapes])

    def _told_apart(self, shape: Shape) -> list[Shape]:
        """The shape once for each share of requests that multicast may leave: where several ranks of a window
        are unrolled, it depends on the tile of one instance which of them have the same."""
        factors = {r: shape.x[r] * shape.y[r] for r in self.grid.ranks}
        units, einsum = prod(factors.values()), self.einsum
        wide = {r for r, n in factors.items() if n > 1}
        axes = [wide & {t.rank for t in axis} for tensor in einsum.tensors for axis in tensor.projection]
        clash = frozenset().union(*(ranks for ranks in axes if len(ranks) > 1))
        ranks = [r for r in self.grid.ranks if r in clash]
        options = [[d for d in divisors(einsum.extent[r]) if einsum.extent[r] % (d * factors[r]) == 0]
                   for r in ranks]
        found: dict[tuple[float, ...], NDArray[np.bool_]] = {}
        for tile in product(*options):
            inner = dict(zip(ranks, tile, strict=True))
            asked = tuple(self._distinct(t, factors, inner) / units for t in einsum.tensors)
            here = np.ones((1,) * len(self.grid.shape), dtype=bool)
            for r, d in inner.items():
                here = here & (self.grid.extent(r) == d)
            found[asked] = here | found[asked] if asked in found else here
        names = [t.name for t in einsum.tensors]
        return [replace(shape, asked=dict(zip(names, asked, strict=True)), where=where if ranks else None)
                for asked, where in found.items()]

    def _distinct(self, tensor: Tensor, factors: dict[str, int], tile: dict[str, int]) -> int:
        """How many instances, with such a `tile` where that matters, have different ones of `tensor`."""
        apart = self.rules.no_multicast[self.border]
        if not self.arch.levels[self.border].network.multicast or tensor.name in apart:
            return prod(factors.values())
        count = 1
        for axis in tensor.projection:
            unrolled = tuple((abs(t.coefficient) * tile.get(t.rank, 1), factors[t.rank]) for t in axis
                             if factors.get(t.rank, 1) > 1)
            count *= _sums(unrolled)
        return count

    # ---- tables over tiles -----------------------------------------------------------------------

    @cached_property
    def words(self) -> dict[str, Array]:
        """Words in each tile, by tensor."""
        return {t.name: self.grid.words(t) for t in self.einsum.tensors}

    @cached_property
    def entering(self) -> dict[str, Array]:
        """Words that enter all instances where a tensor is cut into each tile."""
        return {t.name: self.grid.entering(t) for t in self.einsum.tensors}

    @cached_property
    def index(self) -> list[dict[int, NDArray[np.intp]]]:
        """Along each axis, by factor: where each divisor times the factor stands; -1 for nowhere."""
        tables = []
        for i, d in enumerate(self.grid.divisors):
            place = {int(n): k for k, n in enumerate(d)}
            tables.append({int(f): np.array([place.get(int(n * f), -1) for n in d])
                           for f in np.unique(self.factors[:, i])})
        return tables


@cache
def _sums(steps: tuple[tuple[int, int], ...]) -> int:
    """How many different sums of one multiple each there are, of so many first multiples of steps."""
    places = np.zeros(1, dtype=np.int64)
    for step, number in steps:
        places = np.unique(np.add.outer(places, step * np.arange(number)))
    return len(places)


class Costs:
    """What cuts cost with one choice of what each level keeps."""

    def __init__(self, nests: Nests, keep: Keep) -> None:
        self.nests, self.keep = nests, keep

    def _levels(self, tensor: Tensor) -> list[int]:
        return [i for i, names in enumerate(self.keep) if tensor.name in names]

    def _price(self, level: int, tensor: Tensor, action: str) -> float:
        return self.nests.prices.word(self.keep, level, tensor.name, action)

    def _sent(self, level: int, inside: int, tensor: Tensor, asked: Array | float) -> Array | float:
        """pJ a word that enters all instances of level `inside` (one past the last: the units), for what
        comes from `level`, which is `asked` for a share."""
        networks = [x.network.ingress for x in self.nests.arch.levels]
        outer, inner = (sum(x.value for x in networks[a:b] if x) for a, b in (
            (level, min(inside, self.nests.border + 1)), (max(level, self.nests.border + 1), inside)))
        action = "update" if tensor.is_output else "read"
        return asked * (self._price(level, tensor, action) + outer) + inner

    def _moved(self, item: Item, words: Array, asked: Array | float, copies: Array | float) -> Array:
        """pJ of `words` that enter all instances of a cut, of which the level further out is `asked` for a
        share; so many instances hold `copies` of each word."""
        t, size = item.tensor, float(self.nests.einsum.tensor_words(item.tensor.name))
        fill = self._price(item.level, t, "fill")
        cost = words * self._sent(item.parent, item.level, t, asked)
        if not t.is_output:
            return cost + words * fill
        if t.has_disjoint_tiles:
            above = copies if item.parent > self.nests.border else 1.0
            cost = cost + np.maximum(words - size * copies, 0.0) * fill
            cost = cost + np.maximum(words * asked - size * above, 0.0) * self._price(item.parent, t, "read")
        return cost

    def _rest(self) -> Array:
        """pJ for each shape that do not depend on the cuts: computes, what they ask for, and leakage."""
        nests, macs = self.nests, float(self.nests.einsum.macs)
        total = np.full(len(nests.shapes), nests.prices.computes(self.keep))
        for tensor in nests.einsum.tensors:
            level = self._levels(tensor)[-1]
            inside, size = level > nests.border, float(nests.einsum.tensor_words(tensor.name))
            asked = np.ones(len(nests.shapes)) if inside else nests.asked(tensor)
            words, total = macs * asked, total + macs * self._sent(level, nests.depth, tensor, asked)
            if tensor.is_output and tensor.has_disjoint_tiles:
                copies = nests.along(tensor, False) if inside else 1.0
                total = total + np.maximum(words - size * copies, 0.0) * self._price(level, tensor, "read")
        for i, level_ in enumerate(nests.arch.levels):
            on = nests.units if i > nests.border else np.ones(len(nests.shapes))
            total = total + leakage_per_cycle(level_) * on * (macs / nests.units)
        return total

    def floor(self, powers: tuple[int, int]) -> float:
        """At most the objective of any chain, quickly found: all words come once from the outermost level."""
        energy, nests = self._rest(), self.nests
        for tensor in nests.einsum.tensors:
            if len(self._levels(tensor)) > 1:
                once = float((nests.entering[tensor.name] * np.ones(nests.grid.shape)).min())
                share = float(nests.asked(tensor).min())
                energy = energy + once * share * self._sent(self._levels(tensor)[0], 0, tensor, 1.0)
        return float((energy ** powers[0] * (nests.einsum.macs / nests.units) ** powers[1]).min())


class Chain(Costs):
    """The best chain of cuts with one choice of what each level keeps.

    `value` is at most the objective, energy^powers[0] * cycles^powers[1], of every such mapping whose tiles
    keep to `room`, and which `cap` admits. `inner` keeps what chains have in common.
    """

    def __init__(self, nests: Nests, keep: Keep, powers: tuple[int, int], room: Room, cap: Cap = UNCAPPED,
                 inner: dict[object, object] | None = None) -> None:
        super().__init__(nests, keep)
        self.powers, self.room = powers, room
        self.grid, self.by_units = nests.grid, bool(powers[1] or cap)
        self.fast = nests.einsum.macs / nests.units <= cap.most_cycles
        self._held = {} if inner is None else inner
        self.energy, self.units = self._solve()
        cycles = nests.einsum.macs / self.units
        values = self.energy ** powers[0] * cycles ** powers[1]
        some = np.isfinite(self.energy) & (self.energy <= (cap.most_energy(cycles) if cap else inf))
        values = np.where(some, values, inf)
        self._best = int(values.argmin())
        self.value = float(values[self._best])

    def _items(self, inside: bool) -> list[Item]:
        """The items outside or inside the fanout."""
        places = [(level, parent, t) for t in self.nests.einsum.tensors
                  for parent, level in pairwise(self._levels(t)) if (level > self.nests.border) == inside]
        found = []
        for level, parent, t in places:
            fits = self.nests.words[t.name] <= self.room.get((level, t.name), inf)
            inner = tuple(k for k, x in enumerate(places) if x[2] == t and x[0] > level)
            found.append(Item(level, parent, t, np.where(fits, 0.0, inf), inner))
        return found

    # ---- inside the fanout ---------------------------------------------------------------------------

    def _array(self, late: Tensor | None) -> tuple[Array, NDArray[np.intp], list[tuple[float, ...]]]:
        """For each group of shapes, at every tile of the whole array, the least energy of what is inside the
        fanout, the shape where that is, and what the shapes of the group have in common: the instances at
        work and, of a tensor that comes `late`, the share asked for and the copies. What it costs to bring
        that tensor in is left out."""
        items = tuple((x.level, x.parent, x.tensor.name, self.room.get((x.level, x.tensor.name)))
                      for x in self._items(True))
        ends = tuple(self._levels(t)[-1] for t in self.nests.einsum.tensors)
        key = (items, ends, late and late.name)
        if key not in self._held:
            self._held[key] = self._array_anew(late)
        found: tuple[Array, NDArray[np.intp], list[tuple[float, ...]]] = self._held[key]  # type: ignore[assignment]
        return found

    def _array_anew(self, late: Tensor | None) -> tuple[Array, NDArray[np.intp], list[tuple[float, ...]]]:
        nests = self.nests
        units = nests.units if self.by_units else np.ones(len(nests.shapes))
        common = [units] + ([] if late is None else [nests.asked(late), nests.along(late, False)])
        groups, of = np.unique(np.stack(common, axis=1), axis=0, return_inverse=True)
        energy = np.full((len(groups), *self.grid.shape), inf)
        shape = np.zeros(energy.shape, dtype=np.intp)
        rest = self._rest()
        kinds, kind = self._kinds()
        chunk = max(1, _AT_ONCE // prod(self.grid.shape))
        for start in range(0, len(kinds), chunk):
            inside = self._inside(kinds[start:start + chunk], late).final
            for s in np.flatnonzero((kind >= start) & (kind < start + chunk) & self.fast):
                self._spread(inside[kind[s] - start] + rest[s], int(s), energy[of.ravel()[s]],
                             shape[of.ravel()[s]])
        return energy, shape, [tuple(map(float, g)) for g in groups]

    def _kinds(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Shapes that differ in what items inside the fanout cost, and for every shape which is like it."""
        tensors = {x.tensor.name: x.tensor for x in self._items(True)}.values()
        columns = [c for t in tensors for c in (self.nests.asked(t), self.nests.along(t, False))]
        table = np.stack(columns, axis=1) if columns else np.zeros((len(self.nests.shapes), 1))
        _, first, of = np.unique(table, axis=0, return_index=True, return_inverse=True)
        return first, of.ravel()

    def _inside(self, shapes: NDArray[np.intp], late: Tensor | None) -> Placing:
        """The items inside the fanout, for each of the shapes."""
        nests, costs = self.nests, []
        items = self._items(True)
        for x in items:
            outside = x.parent <= nests.border
            asked = self._spread_out(nests.asked(x.tensor)[shapes]) if outside else 1.0
            copies = self._spread_out(nests.along(x.tensor, False)[shapes])
            if late is not None and x.tensor.name == late.name and outside:
                costs.append(np.broadcast_to(x.fits, (len(shapes), *self.grid.shape)))
            else:
                costs.append(self._moved(x, nests.entering[x.tensor.name][None], asked, copies) + x.fits)
        first = np.zeros((len(shapes), *self.grid.shape))
        if nests.border == nests.depth - 1:       # nothing but units inside
            first[:] = inf
            first.reshape(len(first), -1)[:, 0] = 0.0
        last = next((k for k, x in enumerate(items) if late is not None and x.tensor.name == late.name
                     and x.parent <= nests.border), None)
        return Placing(self.grid, items, costs, first, last=last)

    def _spread_out(self, by_group: Array | NDArray[np.int64]) -> Array:
        """Numbers by group as an array over tiles."""
        return by_group.astype(float).reshape(-1, *(1,) * len(self.grid.shape))

    def _spread(self, inside: Array, s: int, energy: Array, shape: NDArray[np.intp]) -> None:
        """Enter what stands inside a shape at the tiles of the whole array."""
        into = [self.nests.index[i][int(f)] for i, f in enumerate(self.nests.factors[s])]
        fits = [np.flatnonzero(x >= 0) for x in into]
        where = self.nests.shapes[s].where
        values = (inside if where is None else np.where(where, inside, inf))[np.ix_(*fits)]
        place = np.ix_(*(x[k] for x, k in zip(into, fits, strict=True)))
        better = values < energy[place]
        energy[place] = np.where(better, values, energy[place])
        shape[place] = np.where(better, s, shape[place])

    # ---- the whole -----------------------------------------------------------------------------------

    def _solve(self) -> tuple[Array, Array]:
        """The least energy for each number of instances at work, and these numbers."""
        energy, self._shape, groups = self._array(None)
        items, costs = self._items(False), []
        for x in items:
            costs.append((self._moved(x, self.nests.entering[x.tensor.name], 1.0, 1.0) + x.fits)[None])
        self._late: dict[str, _Late] = {}
        more = np.full((1 << len(items), *energy.shape), inf)
        for tensor in {x.tensor.name: x.tensor for x in self._items(True)}.values():
            if any(r not in tensor.ranks for r in self.grid.ranks):
                self._late[tensor.name] = self._come_late(tensor, items, costs, groups, more)
        self._outside = Placing(self.grid, items, costs, energy, more=more)
        least = self.grid.least(self._outside.final)
        return least.reshape(len(least), -1)[:, -1], np.array([g[0] for g in groups])

    def _come_late(self, tensor: Tensor, items: Sequence[Item], costs: Sequence[Array],
                   groups: Sequence[tuple[float, ...]], more: Array) -> _Late:
        """A tensor that stays inside the fanout while loops outside of it go on, and others may be cut there.
        Only loops that it does not have stand between; what it costs to bring it in is due where it is cut in
        truth. (Two tensors at once would leave no loop between.)"""
        energy, shape, common = self._array(tensor)
        axes = self.grid.axes(r for r in self.grid.ranks if r not in tensor.ranks)
        placing = Placing(self.grid, items, costs, energy, axes=axes, without=tensor.name)
        item = next(x for x in self._items(True) if x.tensor.name == tensor.name
                    and x.parent <= self.nests.border)
        visits = self.grid.visits(r for r in self.grid.ranks if r not in tensor.ranks)
        once = float((self.nests.entering[tensor.name] / visits).min())
        asked, copies = (self._spread_out(np.array([g[i] for g in common])) for i in (1, 2))
        due = self._moved(item, once * copies * visits[None], asked, copies)
        units = [[g[0] for g in groups].index(g[0]) for g in common]
        for mask in range(1 << len(items)):
            if placing.raw[mask] is not None:
                total = placing.closed(mask) + due
                for g, u in enumerate(units):
                    np.minimum(more[mask, u], total[g], out=more[mask, u])
        return _Late(placing, due, shape, units, item)

    # ---- where that is -------------------------------------------------------------------------------

    def cuts(self) -> Cuts:
        """The chain at which `value` is attained, if windows do not slide."""
        tiles: dict[tuple[int, str], dict[str, int]] = {}
        u = self._best
        mask, point, late = self._outside.walk(u, self.grid.whole, tiles)
        group, shape, name = u, self._shape, None
        if late:
            matches = ((name, self._late[name], g) for name in self._late if (
                g := self._late[name].matches(mask, u, point, self._outside)) is not None)
            name, own, group = next(matches)
            shape, (_, point, _) = own.shape, own.placing.walk(group, point, tiles, mask)
        s = int(shape[(group, *point)])
        inside = self._inside(np.array([s]), None if name is None else self.nests.einsum.tensor(name))
        factors = self.nests.factors[s]
        below: Point = tuple(int(np.flatnonzero(d * f == d[i])[0])
                             for d, f, i in zip(self.grid.divisors, factors, point, strict=True))
        inside.walk(0, below, tiles, here=True)
        return Cuts(tiles, self.nests.shapes[s])


@dataclass(frozen=True)
class _Late:
    """What is known of a tensor that stays inside the fanout while others are cut."""

    placing: Placing
    due: Array
    shape: NDArray[np.intp]
    units: list[int]
    item: Item

    def matches(self, mask: int, unit: int, point: Point, outside: Placing) -> int | None:
        """The group in which the tensor is cut at `point`, after the items in `mask`."""
        if self.placing.raw[mask] is None:
            return None
        values = self.placing.closed(mask) + self.due
        values = values.reshape(len(values), -1)[:, np.ravel_multi_index(point, values.shape[1:])]
        raw = outside.raw[mask]
        assert raw is not None
        return next((g for g, u in enumerate(self.units)
                     if u == unit and values[g] <= raw[(unit, *point)]), None)
