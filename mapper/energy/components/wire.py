"""Wires on the chip."""

from __future__ import annotations

from typing import Mapping

from ...hardware.architecture import Figure
from ..component import Estimate, Parameter, Values
from ..figures import basis_of
from ..table import EnergyTable
from .shared import NODE


class Wire:
    """`width` repeated wires side by side, `length` long: pJ a word that passes over them."""

    name = "wire"
    classes: Mapping[str, Values] = {"wires": {}, "link": {}}
    parameters = (
        Parameter("width", "wires", "bit", default=1),
        Parameter("length", "of a wire", "mm", default=1.0, kind="number"),
        Parameter("transistors", "of the repeaters", default="itrs-hp", kind="text"),
        Parameter("overhead", "per cent of delay given up for energy", default=30),
        Parameter("toggling", "share of the bits that differ from those of the word before", default=0.5,
                  kind="number"), NODE)
    source = "CACTI 7; half of the bits of random data toggle"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        width, length, toggling = int(given["width"]), float(given["length"]), float(given["toggling"])
        wire = table.wire(node_nm=float(given["node"]), kind=str(given["transistors"]),
                          overhead_pct=int(given["overhead"]))
        size = "" if width == length == 1 else f", {width} x {length:g} mm"
        basis, what = basis_of(wire.provenance), f"{wire.provenance}{size}"
        return Estimate(
            {"transfer": Figure(wire.transfer_pj(toggling) * width * length,
                                f"{what}, {toggling:.0%} of the bits toggle", basis)},
            leakage=Figure(wire.leakage_mw * width * length, what, basis), access_bits=width)


COMPONENTS = (Wire(),)
