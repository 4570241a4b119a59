"""Wires on the chip."""

from __future__ import annotations

from math import log
from typing import Mapping

from ...hardware.architecture import Figure
from ..component import Estimate, Parameter, Values
from ..figures import basis_of
from ..table import EnergyTable
from .shared import NODE

#: Energy of a wire of some length by the node, nm, relative to 28 nm: O. Villa et al., "Scaling the power
#: wall: a path to exascale", SC 2014, Table II.
_BELOW = {28: 1.0, 20: 0.89, 14: 0.75, 10: 0.62, 7: 0.46}
_FINEST = 22.0      # nm, of wires.csv


class Wire:
    """`width` repeated wires side by side, `length` long: pJ a word that passes over them. Below 22 nm they
    are scaled by the factors of Villa et al., SC 2014."""

    name = "wire"
    classes: Mapping[str, Values] = {"wires": {}, "link": {}}
    parameters = (
        Parameter("width", "wires", "bit", default=1),
        Parameter("length", "of a wire", "mm", default=1.0, kind="number"),
        Parameter("transistors", "of the repeaters", default="itrs-hp", kind="text",
                  choices=("itrs-hp", "itrs-lop", "itrs-lstp")),
        Parameter("overhead", "per cent of delay given up for energy", default=30, least=0),
        Parameter("toggling", "share of the bits that differ from those of the word before", default=0.5,
                  kind="number"), NODE)
    source = "CACTI 7; half of the bits of random data toggle"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        width, length, toggling = int(given["width"]), float(given["length"]), float(given["toggling"])
        node = float(given["node"])
        factor = _factor(node)
        wire = table.wire(node_nm=node if factor is None else _FINEST, kind=str(given["transistors"]),
                          overhead_pct=int(given["overhead"]))
        size = "" if width == length == 1 else f", {width} x {length:g} mm"
        basis, what = basis_of(wire.provenance), f"{wire.provenance}{size}"
        share = f"{toggling:.0%} of the bits toggle"
        energy = wire.transfer_pj(toggling) * width * length
        if factor is None:
            leakage = Figure(wire.leakage_mw * width * length, what, basis)
            return Estimate({"transfer": Figure(energy, f"{what}, {share}", basis)}, leakage=leakage,
                            access_bits=width)
        source = f"at {node:g}nm scaled from 22nm ({what}), {share}"
        warning = f"wires at {node:g}nm are scaled from 22nm; their leakage there is unknown"
        return Estimate({"transfer": Figure(energy * factor, source, "scaled")}, access_bits=width,
                        warnings=(warning,))


def _factor(node: float) -> float | None:
    """Energy at a node below the table relative to its finest; None where the table has the node."""
    if not min(_BELOW) <= node < _FINEST:
        return None
    return _below(node) / _below(_FINEST)


def _below(node: float) -> float:
    """Relative to 28 nm, between the nodes of the publication by the logs."""
    low, high = max(n for n in _BELOW if n <= node), min(n for n in _BELOW if n >= node)
    share = 0.0 if low == high else log(node / low) / log(high / low)
    return _BELOW[low] ** (1 - share) * _BELOW[high] ** share


COMPONENTS = (Wire(),)
