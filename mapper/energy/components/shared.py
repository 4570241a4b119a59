"""Parameters that many components have, and the fall-back rules of their actions."""

from __future__ import annotations

from dataclasses import replace
from typing import Iterable

from ...hardware.architecture import Figure
from ..component import Parameter
from ..figures import total

NODE = Parameter("node", "technology node", "nm", kind="number")
WIDTH = Parameter("width", "bits of one access, a row", "bit")
DEPTH = Parameter("depth", "rows", kind="number")
CELL = Parameter("cell", "transistors of an array", default="itrs-lstp", kind="text",
                 choices=("itrs-hp", "itrs-lop", "itrs-lstp", "lp-dram"))
PORTS = Parameter("ports", "such as 1RW, 2RW or 1R1W", default="1RW", kind="text")
BANKS = Parameter("banks", "a power of two", default=1)

_ALONE = "; that of the logic beside it is not known"
#: Share of the energy of a unit at work that one takes whose operands are held still.
IDLE_SHARE = 0.03
_IDLE = ("rule: an idle unit takes 3 % of one at work, for clock and latches, the ratio in the energy "
         "tables of Sparseloop's Eyeriss (0.066 to 2.2 pJ)")


def with_idle(compute: Figure) -> dict[str, Figure]:
    """The actions of an arithmetic unit: at work, and where its operands are zero."""
    return {"compute": compute,
            "gated_compute": Figure(IDLE_SHARE * compute.value, _IDLE, "rule"),
            "skipped_compute": Figure(IDLE_SHARE * compute.value, "rule: skipped costs what gated does",
                                      "rule")}


def address_bits(rows: float) -> int:
    """Bits that tell `rows` rows apart, 1 at the least."""
    return max(1, (max(int(-(-rows // 1)), 1) - 1).bit_length())


def known(figure: Figure | None) -> Figure:
    """A figure that the rows of the table all have."""
    if figure is None:
        raise ValueError("components.csv leaves out a figure that this component is made of")
    return figure


def summed(parts: Iterable[tuple[float, Figure | None]]) -> Figure | None:
    """The sum of figures, each so many times; None where one of them is unknown."""
    listed = [(times, figure) for times, figure in parts if times]
    found = [(times, figure) for times, figure in listed if figure is not None]
    return total(found) if len(found) == len(listed) else None


def leakage_of(store: Figure | None, logic: Iterable[tuple[float, Figure | None]]) -> Figure | None:
    """What a store leaks with the logic beside it; without it, and saying so, where that is unknown."""
    whole = summed([(1, store), *logic])
    if whole is not None or store is None:
        return whole
    return replace(store, source=f"{store.source.removesuffix(_ALONE)}{_ALONE}")
