"""Hops: the links of a mesh that a word passes over on its way to the instances of a group."""

from __future__ import annotations

from collections import defaultdict
from typing import Iterable


def hops(members: Iterable[int], width: int, height: int) -> float:
    """Links that a word passes over to reach every one of `members`.

    Parameters
    ----------
    members : positions of the instances that receive the word, counted along rows of `width`
    width, height : size of the mesh

    Returns
    -------
    float
        The word enters at the middle of the left edge (for an even height, half a link from each of
        the two middle rows), travels along that row to the last column with a member, and in each
        column with members up and down as far as the outermost of them. The formula is Timeloop's
        (loop-analysis/nest-analysis.cpp).

    Examples
    --------
    Two columns of four instances; one word to all four of the second column.

    >>> hops([1, 3, 5, 7], width=2, height=4)
    4.0
    """
    columns: dict[int, list[int]] = defaultdict(list)
    for position in members:
        columns[position % width].append(position // width)
    entrance = (height - 1) / 2
    vertical = sum(max(entrance - min(rows), 0.0) + max(max(rows) - entrance, 0.0)
                   for rows in columns.values())
    return max(columns) + vertical
