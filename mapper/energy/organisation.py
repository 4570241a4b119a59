"""How CACTI builds an array: sub-arrays and wires, what they cost, and which of them it chooses.

CACTI cuts a bank into `ndwl` x `ndbl` sub-arrays, and a row of a sub-array holds parts of `nspd` words. Of
all such partitions it takes the one with the least energy x delay^2. For a given partition all figures are
smooth: sums of terms such as "rows x columns of a sub-array" or "bits x height of the bank". Their
coefficients are fitted to the rows of the table (benchmarks/fit_arrays.py); what jumps is the choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Mapping, NamedTuple, Sequence

import numpy as np
from numpy.typing import NDArray

from .surface import Array

#: Fitted quantities. The first four are the figures of the table; the delay only decides the choice.
QUANTITIES = ("read_pj", "write_pj", "leak_bank_mw", "area_um2", "access_ns")
READ, LEAKAGE, AREA, DELAY = 0, 2, 3, 4
#: Relative error of energy x delay^2 of a partition: how close a call the choice may be.
CLOSENESS = 0.015
#: Octaves of depth and width over which the partitions of tabulated arrays speak for one in between.
NEARBY = 0.5
_CELL = 0.25            # octaves to which votes are counted: fine enough, and it is most of the work
_NEGLIGIBLE = 1e-3
_ROWS, _COLUMNS = (16, 1024), (4, 4096)     # of a sub-array; the table has no others
_ASPECT = 1.46                              # height of a cell over its width

Terms = dict[str, Array]
Coefficients = Mapping[str, Mapping[str, float]]        # by quantity and term


class Partition(NamedTuple):
    """Sub-arrays along a row and along a column, words in a row of all, columns for one sense amplifier."""

    ndwl: int
    ndbl: int
    nspd: int
    ndcm: int


class Built(NamedTuple):
    """Arrays and how each is partitioned: arrays of one length. `depth` is of one bank; `tall` and `wide`
    are the sub-arrays beyond those of a single mat (two by two), which need wires between mats."""

    depth: Array
    width: Array
    rows: Array         # of a sub-array
    columns: Array
    muxed: Array        # columns for one sense amplifier
    mats: Array         # sub-arrays in all
    wide: Array
    tall: Array

    @classmethod
    def of(cls, depth: Array, width: Array, partitions: Array) -> Built:
        """Banks of `depth` rows (n) of `width` bits, partitioned as `partitions` (n, 4) says."""
        ndwl, ndbl, nspd, ndcm = partitions.T
        return cls(depth, width, np.ceil(depth / (ndbl * nspd) - 1e-9), np.ceil(width * nspd / ndwl - 1e-9),
                   ndcm, ndwl * ndbl, ndwl - 2, ndbl - 2)

    def exists(self) -> NDArray[np.bool_]:
        """Which of them CACTI would build."""
        return np.asarray((self.rows >= _ROWS[0]) & (self.rows <= _ROWS[1])
                          & (self.columns >= _COLUMNS[0]) & (self.columns <= _COLUMNS[1]))


def energy_terms(a: Built) -> Terms:
    """What the energy of an access grows with: cells, lines, sense amplifiers, wires for data and address."""
    across, down, address = a.wide * a.columns, a.tall * a.rows, np.log2(a.depth) + 1
    lines = {f"columns to {2**k}": np.minimum(a.columns, 2.0**k) for k in (3, 5, 7, 9)}
    return lines | {
        "cells": a.columns * a.rows, "columns": a.columns, "amplifiers": a.columns / a.muxed,
        "rows": a.rows, "bits": a.width, "bits columns": a.width * a.columns, "bits rows": a.width * a.rows,
        "bits across": a.width * across, "bits down": a.width * down, "bits tall": a.width * a.tall,
        "bits bits tall": a.width**2 * a.tall, "bits bits wide": a.width**2 * a.wide,
        "address across": address * across, "address down": address * down,
        "address columns": address * a.columns, "address rows": address * a.rows}


def size_terms(a: Built) -> Terms:
    """What leakage and area grow with: cells, drivers (sized by the columns), columns, wires."""
    across, down, address = a.wide * a.columns, a.tall * a.rows, np.log2(a.depth) + 1
    octave = np.log2(a.columns)
    drivers = {f"drivers of {2**k} columns": a.mats * a.rows * _hat(octave, k, 2, 11, 1)
               for k in range(2, 12)}
    mats = {f"mats of {2**k} columns": a.mats * _hat(octave, k, 2, 11, 3) for k in (2, 5, 8, 11)}
    bits = np.floor(np.log2(a.rows))
    decoders = {f"decoders of {k} bits": a.mats * (bits == k) for k in range(4, 11)}
    return drivers | mats | decoders | {
        "one": np.ones_like(a.depth), "cells": a.mats * a.rows * a.columns, "columns": a.mats * a.columns,
        "bits across": a.width * across, "bits down": a.width * down, "bits bits": a.width**2,
        "bits columns": a.width * a.mats * a.columns, "address down": address * down}


def delay_terms(a: Built) -> Terms:
    """What an access waits for: decoding, word line, bit line, wires between mats."""
    octaves = {f"rows past {2**k}": np.clip(np.log2(a.rows) - k, 0, 1) for k in range(4, 8)}
    octaves |= {f"columns past {2**k}": np.clip(np.log2(a.columns) - k, 0, 1) for k in range(2, 11)}
    steps = {f"wide from {k}": np.where(a.wide + 2 >= k, 1.0, 0.0) for k in (4, 8, 16)}
    steps |= {f"tall from {k}": np.where(a.tall + 2 >= k, 1.0, 0.0) for k in (4, 8, 16, 32, 64)}
    long = {f"columns over {k}": np.maximum(a.columns - k, 0.0) for k in (256, 512, 1024)}
    return octaves | steps | long | {
        "one": np.ones_like(a.depth), "rows": a.rows, "rows rows": a.rows**2, "columns columns": a.columns**2,
        "cells": a.rows * a.columns, "across": a.wide * a.columns, "down": a.tall * a.rows, "bits": a.width,
        "bits tall": a.width * a.tall, "bits wide": a.width * a.wide}


def tree_terms(a: Built, banks: Array) -> dict[str, Terms]:
    """By quantity, what the wires between banks add, which stand in a grid as square as can be."""
    levels = np.log2(banks)
    width = (a.wide + 2) * a.columns + 1.5 * a.width * a.tall / (a.tall + 2) + 5
    height = (a.tall + 2) * (a.rows * _ASPECT + 0.09 * a.width) + 0.16 * a.width + 16
    down = 2 ** np.where(height > width, np.floor(levels / 2), levels - np.floor(levels / 2))
    across, address, bits = banks / down, np.log2(a.depth * banks) + 1, a.width
    x, y = width * (across - 1), height * (down - 1)
    energy = {"bits x": bits * x, "bits y": bits * y, "address x": address * x, "address y": address * y,
              "bits bits across": bits**2 * (across - 1), "bits bits down": bits**2 * (down - 1),
              "levels": bits * levels}
    wires = {"bits x": bits * x * down, "bits y": bits * y * across, "bits width": bits * width,
             "bits height": bits * height, "bits all widths": bits * width * banks}
    return {
        "read_pj": energy, "write_pj": energy,
        "leak_bank_mw": wires | {
            "bits banks": bits * banks, "bits trunk x": bits * x, "bits trunk y": bits * y,
            "address banks": address * banks, "address widths": address * width * banks,
            "address heights": address * height * banks},
        "area_um2": wires | {"bits bits": bits**2 * banks, "bits all heights": bits * height * banks},
        "access_ns": {"x": x, "y": y, "levels": levels, "bits across": bits * across,
                      "bits down": bits * down}}


TERMS: dict[str, Callable[[Built], Terms]] = {
    "read_pj": energy_terms, "write_pj": energy_terms, "leak_bank_mw": size_terms, "area_um2": size_terms,
    "access_ns": delay_terms}


@dataclass(frozen=True)
class Organisation:
    """Fitted costs of one kind of array: of a bank, and of the wires between banks."""

    bank: Coefficients
    tree: Coefficients
    banks: int = 1

    def logs(self, built: Built) -> Array:
        """Logarithms of QUANTITIES (n, 5). Leakage is of one bank and all wires between, as CACTI's."""
        energy, size, delay = energy_terms(built), size_terms(built), delay_terms(built)
        columns = [_sum(self.bank[name], terms) for name, terms in
                   zip(QUANTITIES, (energy, energy, size, size, delay), strict=True)]
        if self.banks > 1:
            columns[AREA] = columns[AREA] * self.banks
            tree = tree_terms(built, np.full_like(built.depth, self.banks))
            columns = [column + _sum(self.tree[name], tree[name])
                       for name, column in zip(QUANTITIES, columns, strict=True)]
        return np.log(np.column_stack(columns))


class Census:
    """Which partitions CACTI chose for tabulated arrays, and so may choose for others of like shape.

    Parameters
    ----------
    shapes
        log2 depth (of a bank) and log2 width of each tabulated array, of all kinds.
    partitions
        How each is partitioned.
    """

    def __init__(self, shapes: Array, partitions: Sequence[Partition]) -> None:
        self.partitions = np.array(sorted(set(partitions)), dtype=float)
        index = {tuple(p): i for i, p in enumerate(self.partitions.tolist())}
        self._sites, site = np.unique(np.round(shapes, 9), axis=0, return_inverse=True)
        self._counts = np.zeros((len(self._sites), len(self.partitions)))
        chosen = np.array([index[tuple(map(float, p))] for p in partitions])
        np.add.at(self._counts, (site.ravel(), chosen), 1.0)

    def candidates(self, points: Array) -> tuple[NDArray[np.intp], Built, Array]:
        """Partitions worth a thought at `points` (n, 2): of which point (rising), what they are, and how
        likely (a logarithm)."""
        cells, cell = np.unique(np.round(points / _CELL), axis=0, return_inverse=True)
        apart = [_CELL * cells[:, None, i] - self._sites[:, i] for i in (0, 1)]
        votes = np.exp((apart[0]**2 + apart[1]**2) / (-2 * NEARBY**2)) @ self._counts
        votes /= votes.sum(axis=1, keepdims=True)
        point, partition = np.nonzero((votes > _NEGLIGIBLE)[cell.ravel()])
        built = Built.of(np.exp2(points[point, 0]), np.exp2(points[point, 1]), self.partitions[partition])
        keep = built.exists()
        prior = np.log(votes[cell.ravel()[point], partition])
        return point[keep], Built(*(x[keep] for x in built)), prior[keep]


def expected(point: NDArray[np.intp], logs: Array, prior: Array) -> Array:
    """Log figures (points, 4) over all candidates, each as likely as its prior and energy x delay^2 say."""
    starts = np.flatnonzero(np.diff(point, prepend=-1))
    likely = prior - (logs[:, READ] + 2 * logs[:, DELAY]) / CLOSENESS
    best = np.repeat(np.maximum.reduceat(likely, starts), np.diff(starts, append=len(point)))
    likely = np.exp(likely - best)
    total = np.add.reduceat(likely, starts)[:, None]
    return np.add.reduceat(likely[:, None] * logs[:, :DELAY], starts) / total


def _sum(coefficients: Mapping[str, float], terms: Terms) -> Array:
    return np.asarray(sum(value * terms[name] for name, value in coefficients.items()))


def _hat(x: Array, center: int, low: int, high: int, width: int) -> Array:
    """1 at `center`, straight to 0 at `width` from it; constant below `low` and above `high`."""
    return np.maximum(0.0, 1 - np.abs(np.clip(x, low, high) - center) / width)
