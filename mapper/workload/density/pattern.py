"""Kernel patterns: kernels are dropped whole, and those kept have a fixed number of non-zeros."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Iterator

import numpy as np

from .draws import compound, hypergeometric, mixed
from .places import ByPlace, check_axes, others, product_without, sizes
from .protocol import BoundDensity, Occupancies, Tile, check_share, clipped
from .uniform import scattered


@dataclass(frozen=True)
class KernelPattern:
    """Of the kernels (the words that differ along the axes `kernel` only) the share `connectivity`,
    rounded, is kept; each kept one has `nonzeros` (W. Niu et al., PatDNN, ASPLOS 2020).

    Any set of kept kernels is as likely as any other, and so is any set of places in a kernel.

    >>> KernelPattern((2, 3), 4, connectivity=0.5).bind((2, 2, 3, 3)).pmf((1, 1, 3, 3)).values.tolist()
    [0, 4]
    """

    kernel: tuple[int, ...]
    nonzeros: int
    connectivity: float = 1.0

    def __post_init__(self) -> None:
        check_share("connectivity", self.connectivity)
        if self.nonzeros < 0:
            raise ValueError(f"{self.nonzeros} non-zeros in a kernel; expected 0 or more")

    def bind(self, shape: Tile) -> BoundPattern:
        check_axes(shape, self.kernel)
        words = prod(shape[axis] for axis in self.kernel)
        if self.nonzeros > words:
            raise ValueError(f"{self.nonzeros} non-zeros in a kernel of {words} words; expected no more")
        kernels = product_without(shape, self.kernel)
        return BoundPattern(shape, self.kernel, self.nonzeros, round(self.connectivity * kernels))


@dataclass(frozen=True)
class BoundPattern(ByPlace):
    shape: Tile
    kernel: tuple[int, ...]
    nonzeros: int
    kept: int

    @property
    def mean(self) -> float:
        return self.kept * self.nonzeros / prod(self.shape)

    def pmf(self, tile: Tile) -> Occupancies:
        return mixed([(compound(self._in_kernel(words), self._kept(kernels)), weight)
                      for kernels, words, weight in self._kinds(clipped(self.shape, tile))])

    def at(self, corner: Tile, tile: Tile) -> Occupancies:
        kernels, words = self._parts(clipped(self.shape, tile, corner))
        return compound(self._in_kernel(words), self._kept(kernels))

    def given(self, tile: Tile, nnz: int) -> BoundDensity:
        inside = clipped(self.shape, tile)
        uncut = all(inside[axis] == self.shape[axis] for axis in self.kernel)
        if uncut and self.nonzeros and nnz % self.nonzeros == 0:
            return BoundPattern(inside, self.kernel, self.nonzeros, nnz // self.nonzeros)
        return scattered(self.shape, inside, nnz)

    def p_empty(self, tile: Tile) -> float:
        total = 0.0
        for kernels, words, weight in self._kinds(clipped(self.shape, tile)):
            kept = self._kept(kernels)
            empty = self._in_kernel(words).empty ** kept.values.astype(np.float64)
            total += weight * float(kept.probabilities @ empty)
        return total

    def max_occupancy(self, tile: Tile) -> int:
        kernels, words = self._parts(clipped(self.shape, tile))
        return min(kernels, self.kept) * min(words, self.nonzeros)

    def _parts(self, tile: Tile) -> tuple[int, int]:
        """Kernels that a tile has a part of, and words that it has of each."""
        return product_without(tile, self.kernel), prod(tile[axis] for axis in self.kernel)

    def _kinds(self, tile: Tile) -> Iterator[tuple[int, int, float]]:
        """The parts of the tiles that the tensor is cut into, and the share of such tiles."""
        for kernels, share in sizes(self.shape, tile, others(self.shape, self.kernel)):
            for words, part in sizes(self.shape, tile, self.kernel):
                yield kernels, words, share * part

    def _kept(self, kernels: int) -> Occupancies:
        return hypergeometric(product_without(self.shape, self.kernel), self.kept, kernels)

    def _in_kernel(self, words: int) -> Occupancies:
        return hypergeometric(prod(self.shape[axis] for axis in self.kernel), self.nonzeros, words)
