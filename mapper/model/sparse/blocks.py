"""Physical accesses to words of data: blocks of words, which small compressed tiles do not fill."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cost import Semantics
from .nest import Array
from .zeros import Key, Zeros, distinct

#: Timeloop corrects for blocks that are part empty only where this share of accesses is at stake. The
#: program has a table of tiles for densities 0.1, 0.2 ... 0.9; all recorded outputs agree with this.
_AT_STAKE = 0.01


@dataclass(frozen=True, eq=False)
class Blocks:
    """How many blocks of `size` words move the words of one tensor at one level.

    A tile that leaves its zeros out begins in a block of its own, so that one of k words takes
    ceil(k / size) of them. `share` is the expected number of blocks to that of words / size, over the
    distribution of k; 1 where zeros are not left out.
    """

    size: int
    share: Array
    rounded: bool

    def __call__(self, words: Array) -> Array:
        """Accesses that move `words` of one instance."""
        if self.size == 1:
            return words
        moved = np.ceil(words / self.size) if self.rounded else words / self.size
        return moved * self.share


def blocks_of(size: int, zeros: Zeros, tile: Array, density: Array, compressed: bool,
              semantics: Semantics) -> Blocks:
    """Blocks of tiles with the given extents (see `zeros`), of which `density` is not zero.

    Timeloop rounds up twice, all words to blocks and each tile to blocks, and takes the empty tiles
    out of the mean alone (buffer.cpp:ComputeVectorAccesses).
    """
    if size == 1 or not compressed:
        return Blocks(size, np.ones(1), True)
    share = distinct(tile, lambda key: _share(zeros, key, size))
    if semantics == "exact":
        return Blocks(size, share, False)
    words, mean = tile.prod(axis=0), zeros.expected(tile)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(density > 0, share * (mean / words) / density, 1.0)
        tenth = np.floor(density / 0.1) / 10
        small = (size - 1) / (2 * words * tenth) > _AT_STAKE
    return Blocks(size, np.where((density < 1) & (tenth > 0) & small, share, 1.0), True)


def _share(zeros: Zeros, key: Key, size: int) -> float:
    """Expected blocks of a tile, to its expected words over the words of a block."""
    found = zeros.density.pmf(key)
    mean = found.mean
    return float(np.ceil(found.values / size) @ found.probabilities) * size / mean if mean else 1.0
