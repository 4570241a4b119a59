"""`ProgressEvent`: what a running search tells whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """The state of the search of one layer.

    `value` and `lower_bound` are in the unit of the objective; `value` is infinite until a first
    mapping is found. Of a front they are `1 + tolerance` and 1, and cycles before there is one. `seconds`
    counts from the start of this layer.
    """

    layer: str
    index: int            # position of the layer among the searched ones, from 0
    layers: int           # how many layers are searched in all
    value: float          # best found so far
    lower_bound: float    # best proven so far
    seconds: float
    done: bool            # nothing more will be reported about this layer

    @property
    def gap(self) -> float:
        """(value - lower_bound) / value; 1.0 while there is no value."""
        if self.value == float("inf"):
            return 1.0
        return (self.value - self.lower_bound) / self.value if self.value else 0.0
