"""A crossbar switch."""

from __future__ import annotations

from typing import Mapping

from ..component import Estimate, Parameter, Values
from ..figures import total
from ..table import EnergyTable
from .shared import NODE, WIDTH, known

_OUTPUTS = 4        # of the unit in the table, which has one input


class Crossbar:
    """`inputs` by `outputs` words. It grows with both, as Aladdin's plug-in of Accelergy has it."""

    name = "crossbar"
    classes: Mapping[str, Values] = {"aladdin_crossbar": {}, "xbar": {}}
    parameters = (WIDTH, NODE, Parameter("inputs", "words in", default=1),
                  Parameter("outputs", "words out", default=4))
    source = "Aladdin's crossbar of 1 by 4, times the inputs and a quarter of the outputs"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        width = int(given["width"])
        unit = table.units.unit("crossbar", width, float(given["node"]), linear=True)
        times = int(given["inputs"]) * int(given["outputs"]) / _OUTPUTS
        leakage = None if unit.leakage is None else total([(times, unit.leakage)])
        return Estimate({"transfer": total([(times, unit.energy)])}, total([(times, known(unit.area))]),
                        leakage, access_bits=width, warnings=unit.warnings)


COMPONENTS = (Crossbar(),)
