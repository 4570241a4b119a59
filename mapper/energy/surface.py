"""Surfaces over the depth and width of an array: log figures fitted to rows, and read back fast."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Octaves of capacity past the largest row over which a surface goes on, at its last slope.
EXTRAPOLATED = 4.0
_SLOPE = 2.0        # octaves of depth that this slope is taken over


class Axes(NamedTuple):
    """Rising log2 depths and log2 widths on which a surface is sampled."""

    depths: Array
    widths: Array


class Region(NamedTuple):
    """Where the rows of a table lie, all as log2: depths, bits of an array, and widths."""

    min_depth: float
    min_bits: float
    max_bits: float
    min_width: float
    max_width: float

    def depths(self, width: float) -> tuple[float, float]:
        """log2 of the fewest and of the most rows of `width` (log2 bits)."""
        return max(self.min_depth, self.min_bits - width), self.max_bits - width


@dataclass(frozen=True)
class Surface:
    """Natural logarithms of figures, bilinear between the nodes of `axes`.

    `values` has shape (depths, widths, figures). Outside the axes the nearest edge counts.
    """

    axes: Axes
    values: Array
    region: Region
    note: str = ""
    _lists: tuple[list[float], list[float]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_lists", (self.axes.depths.tolist(), self.axes.widths.tolist()))

    def point(self, depth: float, width: float) -> list[float]:
        """Figures of one array, not their logarithms."""
        i, s = _place(self._lists[0], depth)
        j, t = _place(self._lists[1], width)
        weights = np.array(((1 - s) * (1 - t), (1 - s) * t, s * (1 - t), s * t))
        figures: list[float] = np.exp(weights @ self.values[i:i + 2, j:j + 2].reshape(4, -1)).tolist()
        return figures

    def logs(self, depths: Array, widths: Array) -> Array:
        """Log figures of many arrays; the inputs broadcast, and a last axis holds the figures."""
        i, s = _places(self.axes.depths, depths)
        j, t = _places(self.axes.widths, widths)
        s, t = s[..., None], t[..., None]
        columns = len(self.axes.widths)
        flat, corner = self.values.reshape(-1, self.values.shape[2]), i * columns + j
        near = flat[corner] * (1 - t) + flat[corner + 1] * t
        far = flat[corner + columns] * (1 - t) + flat[corner + columns + 1] * t
        return np.asarray(near * (1 - s) + far * s)

    def monotone(self) -> Surface:
        """The nearest surface (in the largest ratio) that falls neither with depth nor with width.

        The midpoint of the least surface above that rises everywhere and the greatest below.
        """
        above = np.maximum.accumulate(np.maximum.accumulate(self.values, axis=0), axis=1)
        back = self.values[::-1, ::-1]
        below = np.minimum.accumulate(np.minimum.accumulate(back, axis=0), axis=1)[::-1, ::-1]
        return replace(self, values=np.ascontiguousarray((above + below) / 2))


def fitted(axes: Axes, points: Array, logs: Array, region: Region) -> Surface:
    """The surface through `logs` (n, figures) at `points` (n, 2) of log2 depth and width.

    Each point adds its distance times a weight, on top of a plane (Duchon's splines of order one).
    This follows the rows exactly, and averages over more of them in between than two by two would.
    Past the region the surface is constant towards few rows and other widths, straight towards many rows.
    """
    trend = np.column_stack((np.ones(len(points)), points))
    distances = np.hypot(points[:, None, 0] - points[:, 0], points[:, None, 1] - points[:, 1])
    system = np.block([[distances, trend], [trend.T, np.zeros((3, 3))]])
    weights = _solved(system, np.vstack((logs, np.zeros((3, logs.shape[1])))))
    values = np.empty((len(axes.depths), len(axes.widths), logs.shape[1]))
    for j, width in enumerate(np.clip(axes.widths, region.min_width, region.max_width)):
        low, high = region.depths(width)
        at = np.concatenate((np.clip(axes.depths, low, high), [high - _SLOPE]))
        near = np.hypot(at[:, None] - points[:, 0], width - points[:, 1])
        column = near @ weights[:-3] + weights[-3] + at[:, None] * weights[-2] + width * weights[-1]
        past = np.maximum(axes.depths - high, 0.0)[:, None]
        slope = np.maximum(column[np.argmax(at)] - column[-1], 0.0) / _SLOPE
        values[:, j] = column[:-1] + past * slope
    return Surface(axes, values, region)


def spread(axes: Axes, lines: dict[float, tuple[Array, Array]]) -> Array:
    """Values (n, figures) given along depths (n) for each of some widths, over the whole of `axes`.

    Linear along each width and then across widths; beyond the last, the nearest counts.
    """
    widths = np.array(sorted(lines))
    known = np.stack([np.column_stack([np.interp(axes.depths, depths, column) for column in values.T])
                      for _, (depths, values) in sorted(lines.items())], axis=1)
    if len(widths) == 1:
        return np.repeat(known, len(axes.widths), axis=1)
    j, t = _places(widths, np.clip(axes.widths, widths[0], widths[-1]))
    return np.asarray(known[:, j] * (1 - t)[:, None] + known[:, j + 1] * t[:, None])


def _solved(system: Array, right: Array) -> Array:
    """x of `system` @ x = `right`, by elimination with the largest pivots.

    Written out because LAPACK splits even so small a system over all cores: 20 ms, but a second where
    they are busy.
    """
    rows = np.hstack((system, right))
    size = len(rows)
    for k in range(size):
        pivot = k + int(np.argmax(np.abs(rows[k:, k])))
        rows[[k, pivot]] = rows[[pivot, k]]
        rows[k, k:] /= rows[k, k]
        others = np.arange(size) != k
        rows[others, k:] -= rows[others, k, None] * rows[k, k:]
    return rows[:, size:]


def _place(points: Sequence[float], x: float) -> tuple[int, float]:
    """Index of the interval of `points` that holds x, and the share of it left of x (0 to 1)."""
    i = min(max(bisect_right(points, x) - 1, 0), len(points) - 2)
    return i, min(max((x - points[i]) / (points[i + 1] - points[i]), 0.0), 1.0)


def _places(points: Array, x: Array) -> tuple[NDArray[np.intp], Array]:
    """The same for an array of x."""
    i = np.clip(np.searchsorted(points, x, side="right") - 1, 0, len(points) - 2)
    low = points[i]
    return i, np.clip((x - low) / (points[i + 1] - low), 0.0, 1.0)
