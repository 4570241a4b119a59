"""A router of a network on the chip."""

from __future__ import annotations

from typing import Mapping

from ..component import Estimate, Parameter, Values
from ..table import EnergyTable
from .shared import NODE


class Router:
    """`hop`: pJ a word that passes a router; the wires to the next one are not in it. A router of ISAAC and
    1.1 mm of wire take 0.19 pJ a bit at 32 nm; McKeown et al. (HPCA 2018) measured 0.17 for both."""

    name = "router"
    classes: Mapping[str, Values] = {"noc_router": {}}
    parameters = (Parameter("width", "bits of a word", "bit"), NODE)
    source = "ISAAC's router (ISCA 2016), by the bit"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        width = int(given["width"])
        unit = table.units.unit("router", width, float(given["node"]), linear=True)
        return Estimate({"hop": unit.energy}, unit.area, unit.leakage,
                        access_bits=width, warnings=unit.warnings)


COMPONENTS = (Router(),)
