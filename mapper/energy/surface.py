"""Surfaces over the depth and width of an array: log figures fitted to rows, and read back fast."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import Callable, NamedTuple, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Log figures (n, figures) at points (n, 2) of log2 depth and width.
LogFigures = Callable[[Array], Array]
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


def sampled(axes: Axes, region: Region, logs: LogFigures) -> Surface:
    """What `logs` gives within `region`, on `axes`.

    Past the region the surface is constant towards few rows and other widths, straight towards many rows.
    """
    widths = np.clip(axes.widths, region.min_width, region.max_width)
    low, high = np.maximum(region.min_depth, region.min_bits - widths), region.max_bits - widths
    depths = np.clip(np.vstack((np.broadcast_to(axes.depths[:, None], (len(axes.depths), len(widths))),
                                high - _SLOPE)), low, high)
    points = np.stack(np.broadcast_arrays(depths, widths), axis=-1).reshape(-1, 2)
    unique, inverse = np.unique(points, axis=0, return_inverse=True)
    values = logs(unique)[inverse.ravel()].reshape(*depths.shape, -1)
    past = np.maximum(axes.depths[:, None] - high, 0.0)[..., None]
    rise = values[np.argmax(depths[:-1], axis=0), np.arange(len(widths))] - values[-1]
    return Surface(axes, values[:-1] + past * np.maximum(rise, 0.0) / _SLOPE, region)


def spline(points: Array, logs: Array, *, plane: bool = True) -> LogFigures:
    """The surface through `logs` (n, figures) at `points` (n, 2) of log2 depth and width.

    Each point adds its distance times a weight, on top of a plane or a constant (Duchon's splines of
    order one). This follows the points exactly, and averages over more of them in between than two by
    two would.
    """
    trend = _trend(points, plane)
    size = trend.shape[1]
    system = np.block([[_distances(points, points), trend], [trend.T, np.zeros((size, size))]])
    weights = _solved(system, np.vstack((logs, np.zeros((size, logs.shape[1])))))

    def value(where: Array) -> Array:
        return _distances(where, points) @ weights[:-size] + _trend(where, plane) @ weights[-size:]

    return value


def _trend(points: Array, plane: bool) -> Array:
    one = np.ones((len(points), 1))
    return np.hstack((one, points)) if plane else one


def _distances(a: Array, b: Array) -> Array:
    return np.sqrt((a[:, None, 0] - b[:, 0])**2 + (a[:, None, 1] - b[:, 1])**2)


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
