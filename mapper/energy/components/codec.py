"""Units that write words down compressed and spell them out again."""

from __future__ import annotations

from typing import Mapping

from ..component import Estimate, Parameter, Values
from ..table import EnergyTable
from .shared import NODE, summed


class CodecUnit:
    """A compressor and a decompressor, each with a counter of coordinates: pJ a word, as in Accelergy's
    buffers with metadata. The look-up of non-zeros in a mask is `mask_intersection`'s."""

    name = "codec"
    classes: Mapping[str, Values] = {"compressor": {}, "decompressor": {}}
    parameters = (Parameter("counter_bits", "bits of a coordinate or run length", "bit", default=8), NODE)
    source = "Aladdin's adder, as in Accelergy's smartbuffer_metadata"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        bits = int(given["counter_bits"])
        unit = table.units.unit("aladdin_add", bits, float(given["node"]), linear=True)
        return Estimate({"compress": unit.energy, "decompress": unit.energy}, summed([(2, unit.area)]),
                        summed([(2, unit.leakage)]), access_bits=bits, warnings=unit.warnings)


COMPONENTS = (CodecUnit(),)
