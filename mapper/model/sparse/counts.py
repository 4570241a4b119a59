"""What is left of the accesses and computes of a mapping once zeros are gated or skipped.

All numbers are arrays with an entry a mapping (a single mapping is an array of one), so that one
mapping and many are counted by the same code. Counts are of one average instance, as in
`model.cost.TensorCost`, those of computes of all units together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

import numpy as np


@dataclass(frozen=True, slots=True)
class Split:
    """Accesses of one kind: those of a dense run (`algorithmic`), and of these the ones that happen, that
    are gated, and that are skipped. What is in none of the three was never asked for, since zeros were left
    out above or below."""

    algorithmic: np.ndarray
    actual: np.ndarray
    gated: np.ndarray
    skipped: np.ndarray


@dataclass(frozen=True, slots=True)
class Actions:
    """Accesses of one store for one tensor."""

    reads: Split
    fills: Split
    updates: Split


@dataclass(frozen=True, slots=True)
class RankMetadata:
    """One rank of the representation: words of metadata (bits, coordinates, run lengths) and of payloads
    (offsets) that the fullest tile takes, and the accesses to them."""

    metadata_words: np.ndarray
    payload_words: np.ndarray
    metadata: Actions
    payload: Actions


@dataclass(frozen=True)
class TensorCounts:
    """One tensor at one level that keeps it."""

    data: Actions
    temporal_reductions: np.ndarray
    density: np.ndarray            # expected share of non-zeros of a tile that is there
    tile_words: np.ndarray         # words of data that the fullest tile takes here
    present: np.ndarray            # share of the instances at work that have a tile that is not empty
    ranks: tuple[RankMetadata, ...]   # outermost first; () where no metadata is kept
    compressions: np.ndarray
    decompressions: np.ndarray


@dataclass(frozen=True)
class SparseCounts:
    """`levels`: by storage level, outermost first, the tensors kept there. `computes`: of all units; the
    cycles go by the actual and the gated ones together. `instances`: of each level (one more entry for
    the units) that must be there, and `active`, that are at work on average: fewer than in the dense run
    where whole instances are skipped."""

    levels: tuple[Mapping[str, TensorCounts], ...]
    computes: Split
    instances: tuple[np.ndarray, ...]
    active: tuple[np.ndarray, ...]
    valid: np.ndarray              # where the ranks of every representation hold the loops they must
