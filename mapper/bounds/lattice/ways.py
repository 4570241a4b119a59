"""Ways through a pass, which is what an instance does while the loops outside stand still."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import inf

import numpy as np

#: A tensor, and the level that it is brought to.
Stream = tuple[str, int]


@dataclass(frozen=True)
class Ways:
    """Ways through a pass in which the same streams stay. `tile`: the lattice point of the outermost level;
    `words` of every stream that move; `chain`: the points of all levels, outermost first, shape
    (ways, levels); `orders`: for each level the class of the rank whose loop is innermost, -1 for any;
    `asks`: what they ask of the loops outside, where windows slide (see `Hopes`); `spare`: how many words
    more there are if that is not so, of the stream that asks."""

    stays: frozenset[Stream]
    tile: np.ndarray
    words: dict[Stream, np.ndarray]
    chain: np.ndarray
    orders: np.ndarray = field(repr=False)
    asks: np.ndarray
    spare: np.ndarray

    @cached_property
    def _count(self) -> np.ndarray:
        """Ways by tile; none at the end, so that -1 is no tile."""
        return np.bincount(self.tile, minlength=int(self.tile.max(initial=0)) + 2)

    @cached_property
    def _first(self) -> np.ndarray:
        return np.cumsum(self._count) - self._count

    def of(self, tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ways with these tiles (-1: none), and of each the place of its tile among them."""
        tiles = np.where(tiles < len(self._count), tiles, -1)
        first, count = self._first[tiles], self._count[tiles]
        which = np.repeat(np.arange(len(tiles)), count)
        return np.arange(len(which)) - np.repeat(np.cumsum(count) - count - first, count), which

    def at(self, where: np.ndarray) -> Ways:
        """Some of them."""
        return Ways(self.stays, self.tile[where], {stream: w[where] for stream, w in self.words.items()},
                    self.chain[where], self.orders[where], self.asks[where], self.spare[where])


def by_what_stays(ways: list[Ways]) -> list[Ways]:
    """One value for all ways in which the same stays, without those that are no better than others."""
    found = []
    for stays in dict.fromkeys(w.stays for w in ways):
        own = [w for w in ways if w.stays == stays]
        streams = own[0].words
        together = Ways(stays, np.concatenate([w.tile for w in own]),
                        {stream: np.concatenate([w.words[stream] for w in own]) for stream in streams},
                        np.concatenate([w.chain for w in own]), np.concatenate([w.orders for w in own]),
                        np.concatenate([w.asks for w in own]), np.concatenate([w.spare for w in own]))
        found.append(together.at(_undominated(together)))
    return found


def _undominated(ways: Ways) -> np.ndarray:
    """For every tile, and what is asked outside, the ways that need fewer words than others, of one stream or
    another. What stays has the words of the tile."""
    kept = _near_the_best(ways)
    ways = ways.at(kept)
    tiles = ways.tile * (int(ways.asks.max(initial=0)) + 1) + ways.asks
    keys = [np.unique(words, return_inverse=True)[1].ravel() for stream, words in ways.words.items()
            if stream not in ways.stays]
    if not keys:
        return kept[np.unique(tiles, return_index=True)[1]]
    order = np.lexsort([*reversed(keys), tiles])
    tile, ranked = tiles[order], [key[order] for key in keys]
    new = np.concatenate([[True], tile[1:] != tile[:-1]])
    if len(keys) == 1:
        return kept[order][new]
    same = np.concatenate([[False], (tile[1:] == tile[:-1]) & np.logical_and.reduce(
        [key[1:] == key[:-1] for key in ranked])])
    if len(keys) > 2:
        return kept[order][~same]
    # Falling from tile to tile, so that the least so far is that of the tile.
    falling = ranked[1] - np.cumsum(new) * (int(ranked[1].max()) + 1)
    least = np.minimum.accumulate(falling)
    return kept[order][new | np.concatenate([[False], least[1:] < least[:-1]])]


def _near_the_best(ways: Ways) -> np.ndarray:
    """The ways that need fewer words of some stream than one good way with the same tile does, which asks for
    nothing: far fewer to be sorted than all of them."""
    rows, moved = np.arange(len(ways.tile)), [w for s, w in ways.words.items() if s not in ways.stays]
    scores = [np.sum(np.log(moved), axis=0), *moved] if len(moved) > 1 else moved
    for score in scores:
        tile, free = ways.tile[rows], rows[ways.asks[rows] == 0]
        least = np.full(int(ways.tile.max(initial=0)) + 1, inf)
        np.minimum.at(least, ways.tile[free], score[free])
        best, good = np.full(len(least), -1), free[score[free] == least[ways.tile[free]]]
        best[ways.tile[good]] = good
        other = best[tile]
        worse = np.logical_and.reduce([words[rows] >= words[other] for words in moved])
        rows = rows[~worse | (other < 0) | (other == rows)]
    return rows
