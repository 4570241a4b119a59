"""A buffer that makes its own addresses, with a store for metadata where it has one."""

from __future__ import annotations

from typing import Mapping

from ...hardware.architecture import Figure
from ..component import Estimate, Parameter, Values
from ..table import EnergyTable
from .codec import CodecUnit
from .registers import RegisterFile
from .shared import BANKS, CELL, DEPTH, NODE, PORTS, WIDTH, address_bits, leakage_of, summed
from .sram import Sram


class SmartBuffer:
    """An SRAM or a register file, and two adders for addresses, one for reads and one for writes.

    With `metadata_width` and `metadata_depth`, a second such store holds metadata; with `counter_bits`,
    counters write words down compressed and spell them out again.
    """

    name = "smart_buffer"
    classes: Mapping[str, Values] = {"smartbuffer": {}, "smartbuffer_sram": {},
                                     "smartbuffer_rf": {"storage": "regfile"}, "smartbuffer_metadata": {},
                                     "regfile_metadata": {"storage": "regfile"}}
    parameters = (
        WIDTH, DEPTH, NODE, CELL, PORTS, BANKS,
        Parameter("storage", "what holds the words", default="sram", kind="text",
                  choices=("sram", "regfile")),
        Parameter("metadata_width", "bits of a row of metadata; 0: no such store", "bit", default=0,
                  least=0),
        Parameter("metadata_depth", "rows of metadata", default=0, kind="number"),
        Parameter("counter_bits", "bits of the counters of compression; 0: none", "bit", default=0, least=0))
    source = "the store's own; addresses by Aladdin's adder, as in Accelergy's smart buffers"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        data = self._store(given, given["width"], given["depth"], table)
        parts, actions, logic = [data], dict(data.actions), []
        if given["metadata_width"] and given["metadata_depth"]:
            side = self._store(given, given["metadata_width"], given["metadata_depth"], table)
            actions |= {f"metadata_{name}": figure for name, figure in side.actions.items()}
            parts.append(side)
        if given["counter_bits"]:
            unit = CodecUnit().estimate({"counter_bits": given["counter_bits"], "node": given["node"]}, table)
            actions |= unit.actions
            logic.append(unit)
        warnings = dict.fromkeys(warning for part in (*parts, *logic) for warning in part.warnings)
        stored = summed((1, part.leakage) for part in parts)
        return Estimate(actions, summed((1, part.area) for part in (*parts, *logic)),
                        leakage_of(stored, ((1, unit.leakage) for unit in logic)),
                        access_bits=data.access_bits, warnings=tuple(warnings))

    def _store(self, given: Values, width: int | float | str, depth: int | float | str,
               table: EnergyTable) -> Estimate:
        """One store with its address generators."""
        store = RegisterFile() if given["storage"] == "regfile" else Sram()
        found = store.estimate({**given, "width": width, "depth": depth}, table)
        adder = table.units.unit("aladdin_add", address_bits(float(depth)), float(given["node"]), linear=True)

        def addressed(access: Figure) -> Figure:
            return summed([(1, access), (1, adder.energy)]) or access
        return Estimate({name: addressed(access) for name, access in found.actions.items()},
                        summed([(1, found.area), (2, adder.area)]),
                        leakage_of(found.leakage, [(2, adder.leakage)]),
                        access_bits=found.access_bits, warnings=(*found.warnings, *adder.warnings))


COMPONENTS = (SmartBuffer(),)
