"""N:M structured sparsity: a fixed number of non-zeros in every block along one axis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Iterator

from .draws import added, hypergeometric, mixed, repeated
from .places import LARGEST, ByPlace, check_axes, others, pieces, product_without, segments, sizes
from .protocol import BoundDensity, Occupancies, Tile, clipped
from .uniform import scattered


@dataclass(frozen=True)
class StructuredNM:
    """`n` of every `m` consecutive words along `axis` are non-zero, any `n` as likely as any other.

    Blocks start at multiples of `m`, each independent of the others. A block that the edge of the
    tensor cuts is a part of a whole one.

    >>> StructuredNM(2, 4, axis=0).bind((8, 3)).pmf((4, 3)).values.tolist()
    [6]
    """

    n: int
    m: int
    axis: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.m <= LARGEST and 0 <= self.n <= self.m):
            raise ValueError(f"{self.n} of {self.m} words; expected 0 <= n <= m and m from 1 to {LARGEST}")

    def bind(self, shape: Tile) -> BoundNM:
        check_axes(shape, [self.axis])
        return BoundNM(shape, self.n, self.m, self.axis)


@dataclass(frozen=True)
class BoundNM(ByPlace):
    shape: Tile
    n: int
    m: int
    axis: int

    @property
    def mean(self) -> float:
        return self.n / self.m

    def pmf(self, tile: Tile) -> Occupancies:
        return mixed([(repeated(line, lines), weight)
                      for line, lines, weight in self._kinds(clipped(self.shape, tile))])

    def at(self, corner: Tile, tile: Tile) -> Occupancies:
        tile = clipped(self.shape, tile, corner)
        line = _line(self.n, self.m, corner[self.axis] % self.m, tile[self.axis])
        return repeated(line, product_without(tile, [self.axis]))

    def given(self, tile: Tile, nnz: int) -> BoundDensity:
        inside = clipped(self.shape, tile)
        if self.pmf(tile).values.tolist() == [nnz]:
            return BoundNM(inside, self.n, self.m, self.axis)    # every tile has as many: nothing new
        return scattered(self.shape, inside, nnz)

    def p_empty(self, tile: Tile) -> float:
        return sum(weight * float(line.empty ** lines)
                   for line, lines, weight in self._kinds(clipped(self.shape, tile)))

    def max_occupancy(self, tile: Tile) -> int:
        return max(line.largest * lines for line, lines, _ in self._kinds(clipped(self.shape, tile)))

    def _kinds(self, tile: Tile) -> Iterator[tuple[Occupancies, int, float]]:
        """Non-zeros of a line along the axis, number of lines, and the share of such tiles."""
        across = sizes(self.shape, tile, others(self.shape, [self.axis]))
        for phase, length, share in segments(self.shape[self.axis], tile[self.axis], self.m):
            for lines, part in across:
                yield _line(self.n, self.m, phase, length), lines, share * part


@lru_cache(maxsize=4096)
def _line(n: int, m: int, phase: int, length: int) -> Occupancies:
    """Non-zeros of an interval along the axis that starts `phase` words into a block."""
    head, whole, tail = pieces(phase, length, m)
    ends = added(hypergeometric(m, n, head), hypergeometric(m, n, tail))
    return Occupancies(ends.values + whole * n, ends.probabilities)
