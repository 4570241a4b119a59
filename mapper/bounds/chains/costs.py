"""What cuts of the loop nest cost with one choice of what each level keeps."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import Mapping, Sequence

import numpy as np

from ...mapping.template import Keep
from ...model.energy import leakage_per_cycle
from ...workload.einsum import Tensor
from .grid import Array, Grid
from .nests import Nests
from .placing import Item, Run
from .windows import Slides

#: Two tensors, each at a level.
Order = tuple[tuple[int, str], tuple[int, str]]
#: Most words of the tile of a tensor at a level.
Room = Mapping[tuple[int, str], float]


class Costs:
    """What cuts cost with one choice of what each level keeps, and tiles that keep to `room`. Of the pair in
    `order` the first is cut no further in than the second."""

    def __init__(self, nests: Nests, keep: Keep, room: Room | None = None,
                 order: Order | None = None) -> None:
        self.nests, self.keep, self.room, self.order = nests, keep, room or {}, order
        self.grid = nests.grid

    def levels(self, tensor: Tensor) -> list[int]:
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

    def items(self, inside: bool) -> list[Item]:
        """The items outside or inside the fanout."""
        places = [(level, parent, t) for t in self.nests.einsum.tensors
                  for parent, level in pairwise(self.levels(t)) if (level > self.nests.border) == inside]
        found = []
        for level, parent, t in places:
            fits = self.nests.words[t.name] <= self.room.get((level, t.name), inf)
            inner = tuple(k for k, x in enumerate(places) if (x[2] == t and x[0] > level)
                          or self.order == ((level, t.name), (x[0], x[2].name)))
            found.append(Item(level, parent, t, np.where(fits, 0.0, inf), inner))
        return found

    def moved(self, item: Item, words: Array, asked: Array | float, copies: Array | float) -> Array:
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

    def runs(self, k: int, item: Item, slides: Sequence[Slides], price: Array, grid: Grid) -> list[Run]:
        """The runs of an item with a window over the tiles of `grid`, by group of shapes; `price` of a word,
        shape (groups, 1, ..)."""
        around, found, ends = self.nests.around(item.tensor), [], _ends(item.fits)
        for key in sorted({key for own in slides for key in own}):
            some = next(own[key] for own in slides if key in own)
            box = tuple(slice(None) if i in (some.along, *around, *some.onward) else slice(n)
                        for i, n in enumerate(ends))
            tables = [[x.start, x.toll, x.close, x.border] if (x := own.get(key)) else
                      [np.full_like(some.start, inf), some.toll, some.toll, some.toll] for own in slides]
            start, *others = [grid.part(np.stack(own)) for own in zip(*tables, strict=True)]
            start = np.where(item.fits == 0.0, start, inf)
            if not np.isfinite(start).any():
                continue
            by = grid.part(some.by)[box] * price
            found.append(Run(k, some.along, around, some.onward, box, start[:, *box] * by, *(
                np.broadcast_to(x, (len(x), *grid.shape))[:, *box] * by for x in others)))
        return found

    def rest(self) -> Array:
        """pJ for each shape that do not depend on the cuts: computes, what they ask for, and leakage."""
        nests, macs = self.nests, float(self.nests.einsum.macs)
        total = np.full(len(nests.shapes), nests.prices.computes(self.keep))
        for tensor in nests.einsum.tensors:
            level = self.levels(tensor)[-1]
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
        """At most the objective of any chain, quickly found: each cut by itself where it costs least, and not
        again for loops that its tensor does not have."""
        nests, energy = self.nests, self.rest()
        for inside in (False, True):
            for x in self.items(inside):
                words = nests.once(x.tensor, inside, self.room.get((x.level, x.tensor.name), inf))
                copies = nests.along(x.tensor, False).astype(float) if inside else 1.0
                asked = nests.asked(x.tensor) if inside and x.parent <= nests.border else 1.0
                energy = energy + self.moved(x, words * copies, asked, copies)
        return float((energy ** powers[0] * (nests.einsum.macs / nests.units) ** powers[1]).min())


def _ends(fits: Array) -> list[int]:
    """Along each axis how many divisors there are in tiles that fit."""
    return [int(where.max(initial=-1)) + 1 for where in np.nonzero(fits == 0.0)]
