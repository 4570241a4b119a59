"""The least that a mapping pays for each word that a dense run moves, where zeros need not be moved.

Bounds count words as if every value were there. Of these, what a machine does about zeros leaves at
least a share, the product of two: the non-zeros of a tensor that is written down in a format, and,
where accesses are saved because other tensors are zero, the density of these tensors (a tile of them has
some non-zero at least as often as a single word of it). Of metadata only what is sure to be there costs
anything. See docs/search.md.
"""

from __future__ import annotations

from functools import cache, reduce
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from ..hardware.architecture import Architecture
from ..hardware.sparsity import COMPRESSING, Optimization
from ..mapping.template import Keep
from ..model.sparse.bits import widths
from ..model.sparse.price import figure
from ..workload.einsum import Einsum


class Prices:
    """What one Einsum pays on one architecture at the least; exactly what it pays where the machine
    does nothing about zeros."""

    def __init__(self, architecture: Architecture, einsum: Einsum) -> None:
        self.levels = architecture.levels
        self.unit = architecture.compute
        self.einsum = einsum
        self.sparse = architecture.sparse
        self.kinds = {x.kind for level in architecture.levels for x in level.sparsity.optimizations}
        self.density = {t.name: _mean_density(einsum, t.name) if self.sparse else 1.0 for t in einsum.tensors}
        self._cached = cache(self._share)

    # ---- words -------------------------------------------------------------------------------

    def word(self, keep: Keep, level: int, tensor: str, action: str) -> float:
        """pJ for a word of `tensor` that a dense run reads, fills or updates (`action`) at a level that
        keeps it. An access moves `block_words`, and the instances of a cluster may share it."""
        spec = self.levels[level]
        price = figure(spec, action)
        if not self.sparse:
            return price * spec.least_share / spec.block_words
        price = self._least(tuple(keep), level, tensor, action, price) / spec.block_words
        return (price + self._metadata(tuple(keep), level, tensor, action)) * spec.least_share

    def moved(self, keep: Keep, level: int, tensor: str) -> float:
        """Share of the words a dense run moves between a level and what is below it that surely
        move."""
        return self._cached(tuple(keep), level, tensor) if self.sparse else 1.0

    def held(self, level: int, tensor: str) -> float:
        """Share of the words of a tile that surely take room."""
        if not self.levels[level].sparsity.compressed(tensor):
            return 1.0
        return 0.0 if self.levels[level].sparsity.overbooking else self.density[tensor]

    def noted(self, level: int, tensor: str, words: Any) -> Any:
        """Bits of metadata that the fullest tile of so many words (a number or an array) surely has. The
        innermost rank that holds a loop has a coordinate, a run length or a bit for each non-zero at least,
        and a bit mask of a single rank one for each word, if any is not zero; offsets are not counted."""
        spec, density = self.levels[level].sparsity, self.density[tensor]
        form = spec.formats.get(tensor)
        if form is None or spec.overbooking:
            return 0.0
        masks = {"UB"} if len(form.ranks) > 1 or density == 0.0 else {"UB", "B"}
        some = dict.fromkeys(COMPRESSING, np.ceil(density * words - 1e-9))
        counts = {"UOP": 0 * words, "U": 0 * words, **some, **dict.fromkeys(masks, words)}
        each = [counts[rank.kind] * bits for rank, (bits, _) in
                zip(form.ranks, widths(spec, form.ranks), strict=True)]
        return each[-1] if self._fills_innermost(tensor) else reduce(np.minimum, each)

    def _fills_innermost(self, tensor: str) -> bool:
        """Whether the first loop that moves a tensor is given to the innermost rank, wherever it is written
        down: a level may take over the ranks of the next one inside."""
        names = self.einsum.tensor(tensor).ranks
        forms = [spec.sparsity.formats[tensor] for spec in self.levels if tensor in spec.sparsity.formats]
        return all(form.inner_to_outer and (not (groups := form.ranks[-1].flattened)
                                            or names <= {*chain.from_iterable(groups)}) for form in forms)

    def _share(self, keep: Keep, level: int, tensor: str,
               filling: bool = False) -> float:
        """Share of the accesses of a dense run that surely are there. What a level saves of its own accesses
        are those that it serves, not those that fill it."""
        shares = [share for at, x, share in self._savings(keep, level, tensor)
                  if at < level or not filling or x.kind == "skipping_spatial"]
        return self._written(keep, level, tensor) * min(shares, default=1.0)

    def _written(self, keep: Keep, level: int, tensor: str) -> float:
        """Share of the words that formats surely leave: a level also does without the tiles that the one
        outside it knows to be empty."""
        own = tensor in self.levels[level].sparsity.formats
        return self.density[tensor] if own or self.spares_tiles(keep, level, tensor) else 1.0

    def spares_tiles(self, keep: Keep, level: int, tensor: str) -> bool:
        """Whether a level spares the tiles that are empty and nothing else: its prices then hold for tiles
        of one word, and grow with the share of tiles that are not empty (`Lattice.filled`)."""
        outside = max((k for k in range(level) if tensor in keep[k]), default=level)
        return tensor in self.levels[outside].sparsity.formats and \
            tensor not in self.levels[level].sparsity.formats

    def _savings(self, keep: Keep, level: int,
                 tensor: str) -> list[tuple[int, Optimization, float]]:
        """What saves accesses to `tensor` at `level`: where it does so, and the share that it surely
        leaves. A level that does not keep the tensor has the next one outside that does save."""
        found = []
        for i, spec in enumerate(self.levels):
            at = max((k for k in range(i + 1) if tensor in keep[k]), default=i)
            found += [(at, x, self._effectual(x, tensor)) for x in spec.sparsity.optimizations
                      if at <= level and (x.kind == "skipping_spatial" or any(
                          option.target == tensor for option in x.options))]
        return found

    def _effectual(self, x: Optimization, tensor: str) -> float:
        """The share of accesses to `tensor` that an optimisation surely leaves. Instances that are not
        asked have no words of any tensor."""
        options = [o for o in x.options if o.target == tensor or x.kind == "skipping_spatial"]
        return min(prod(self.density[name] for name in set(option.on)) for option in options)

    def _least(self, keep: Keep, level: int, tensor: str, action: str,
               price: float) -> float:
        spec = self.levels[level].sparsity
        share = self._cached(keep, level, tensor, action == "fill")
        savings = self._savings(keep, level, tensor)
        if len(savings) == 1 and savings[0][0] == level and savings[0][1].kind != "skipping_spatial" \
                and action != "fill":
            # What is asked for and not done has a price as well.
            state = "gated_" if savings[0][1].kind == "gating" else "skipped_"
            own = self._written(keep, level, tensor)
            saved = min(price, figure(self.levels[level], state + action))
            price = share * price + (own - share) * saved
        else:
            price = share * price
        if spec.overbooking and spec.compressed(tensor):
            price *= 1.0 - spec.most_overbooked
        return price

    def _metadata(self, keep: Keep, level: int, tensor: str, action: str) -> float:
        """pJ of metadata for a word of the dense run. Where one rank holds the loops of the whole tensor, or
        those of the tile of the next level and an outer rank the others, it has a coordinate, a run length
        or a bit for every non-zero at least."""
        spec, inside = self.levels[level].sparsity, self.einsum.tensor(tensor)
        form = spec.formats.get(tensor)
        if form is None or spec.metadata_width is None or spec.overbooking:
            return 0.0
        first, last = (f([i for i, names in enumerate(keep) if tensor in names]) for f in (min, max))
        below = min((i for i in range(level + 1, last + 1) if tensor in keep[i]), default=level)
        plain = below == level or tensor not in self.levels[below].sparsity.formats
        takes_all = any(inside.ranks <= set(group) for group in form.ranks[-1].flattened)
        if level != first or not plain or not takes_all or not (form.inner_to_outer or len(form.ranks) == 1) \
                or form.ranks[-1].kind not in COMPRESSING or self.einsum.tensor_words(tensor) == 1:
            return 0.0
        bits, _ = widths(spec, form.ranks)[-1]
        price = figure(self.levels[level], f"metadata_{action}")
        return self._cached(keep, level, tensor, action == "fill") * bits / spec.metadata_width * price

    def rounded_away(self, keep: Keep) -> float:
        """pJ that rounding down what is left can take off, at the most: an update and a read of an
        output in every instance of a level that saves them, and a compute."""
        if not self.sparse:
            return 0.0
        least = figure(self.unit, "compute")
        for tensor in self.einsum.tensors:
            for i, spec in enumerate(self.levels):
                if tensor.is_output and tensor.name in keep[i] and any(
                        at == i for at, _, _ in self._savings(tuple(keep), i, tensor.name)):
                    least += spec.instances * sum(
                        spec.energy[action].value for action in ("read", "update") if action in spec.energy)
        return least

    # ---- computes ----------------------------------------------------------------------------

    @property
    def effectual(self) -> float:
        """Share of the computes none of whose operands is zero."""
        return prod(self.density[t.name] for t in self.einsum.tensors if not t.is_output)

    @property
    def needed(self) -> float:
        """Share of the computes none of whose operands is a zero that the machine takes notice of: by
        what its units look at, by what accesses are saved on, or by a format."""
        if self.unit.sparsity.gating or self.unit.sparsity.skipping:
            return self.effectual
        seen = {name for level in self.levels for x in level.sparsity.optimizations
                for option in x.options for name in option.on}
        seen = seen.union(*(level.sparsity.formats for level in self.levels))
        return prod(self.density[t.name] for t in self.einsum.tensors if not t.is_output and t.name in seen)

    def busy(self, keep: Keep) -> float:
        """Share of the computes that surely take a cycle: all of them unless some are left out."""
        return self.needed if self.sparse and self._leaves_out(keep) else 1.0

    @property
    def awake(self) -> float:
        """Share of the instances with work in a dense run that surely are awake: all unless whole
        instances may be skipped."""
        return self.effectual if "skipping_spatial" in self.kinds else 1.0

    def _leaves_out(self, keep: Keep) -> bool:
        """Whether computes may be skipped, or go since no operand is there."""
        if self.unit.sparsity.skipping or self.kinds - {"gating"}:
            return True
        innermost = [max((i for i, names in enumerate(keep) if t.name in names), default=0)
                     for t in self.einsum.tensors if not t.is_output]
        names = [t.name for t in self.einsum.tensors if not t.is_output]
        return all(name in self.levels[i].sparsity.formats for i, name in zip(innermost, names, strict=True))

    def computes(self, keep: Keep) -> float:
        """pJ for all computes."""
        price = figure(self.unit, "compute")
        if not self.sparse:
            return price * self.einsum.macs
        out = self._leaves_out(keep)
        share = self.needed if out or self.unit.sparsity.gating or self.kinds else 1.0
        idle = 0.0 if out else min(price, figure(self.unit, "gated_compute"))
        return (share * price + (1.0 - share) * idle) * self.einsum.macs


def _mean_density(einsum: Einsum, tensor: str) -> float:
    density = einsum.tensor(tensor).density
    return 1.0 if density is None else density.bind(einsum.tensor_shape(tensor)).mean
