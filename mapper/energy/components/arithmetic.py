"""Adders, multipliers and multiply-accumulate units, integer and floating point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from ..component import Estimate, Parameter, Values
from ..published import Unit
from ..table import EnergyTable
from .shared import NODE, known, summed, with_idle

_BITS = Parameter("bits", "of an operand", "bit")
_FLOAT = Parameter("bits", "of an operand, exponent and sign included", "bit")
_LIBRARY = Parameter("library", "whose figures", default="horowitz", kind="text",
                     choices=("horowitz", "aladdin", "sparseloop"))
_SOURCE = "Horowitz, ISSCC 2014"
_SOURCES = f"{_SOURCE}; Aladdin; or the tables published with Sparseloop"


def _estimate(unit: Unit, bits: int) -> Estimate:
    return Estimate(with_idle(unit.energy), unit.area, unit.leakage, access_bits=bits, warnings=unit.warnings)


@dataclass(frozen=True)
class Arithmetic:
    """An operation of components.csv by the width of its operands."""

    name: str
    row: str
    classes: Mapping[str, Values]
    parameters: tuple[Parameter, ...] = (_FLOAT, NODE)
    source: str = _SOURCE

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        bits = int(given["bits"])
        return _estimate(table.units.unit(self.row, bits, float(given["node"])), bits)


@dataclass(frozen=True)
class Integer:
    """An integer unit, `int_<row>` of Horowitz or `<library>_<row>`, whose figures grow with the width or,
    where they are `square`, with the product of the widths."""

    name: str
    row: str
    square: bool
    classes: Mapping[str, Values]
    parameters: tuple[Parameter, ...] = (_BITS, NODE, _LIBRARY)
    source: str = _SOURCES

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        bits, node, library = int(given["bits"]), float(given["node"]), given["library"]
        if library == "horowitz":
            return _estimate(table.units.unit(f"int_{self.row}", bits, node), bits)
        return _estimate(table.units.unit(f"{library}_{self.row}", bits, node, linear=not self.square,
                                          square=self.square), bits)


#: Aladdin's, which Accelergy's classes mean, costs twice Horowitz's at 32 bits, every bit the same.
ADDER = Integer("adder", "add", False, {"int_adder": {}, "intadder": {"library": "aladdin"},
                                        "aladdin_adder": {"library": "aladdin"}})
#: Aladdin's costs four times Horowitz's.
MULTIPLIER = Integer("multiplier", "mult", True, {"intmultiplier": {}, "int_multiplier": {},
                                                  "aladdin_multiplier": {"library": "aladdin"}})


class IntMac:
    """An integer multiply-accumulate unit. The sum is as wide as an operand, or `adder_bits`."""

    name = "intmac"
    classes: Mapping[str, Values] = {"mac": {}, "int_mac": {}, "compute": {}}
    parameters = (_BITS, NODE, _LIBRARY,
                  Parameter("adder_bits", "of the sum; 0: as the library has it", "bit", default=0, least=0))
    source = _SOURCES

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        bits, adder_bits = int(given["bits"]), int(given["adder_bits"])
        if not adder_bits and given["library"] == "horowitz":
            return _estimate(table.units.unit("int_mac", bits, float(given["node"])), bits)
        product = MULTIPLIER.estimate(given, table)
        addition = ADDER.estimate({**given, "bits": adder_bits or bits}, table)
        energy = known(summed([(1, product.actions["compute"]), (1, addition.actions["compute"])]))
        return Estimate(with_idle(energy), summed([(1, product.area), (1, addition.area)]),
                        summed([(1, product.leakage), (1, addition.leakage)]), access_bits=bits,
                        warnings=(*product.warnings, *addition.warnings))


COMPONENTS = (
    ADDER, MULTIPLIER, IntMac(),
    Arithmetic("fpadder", "fp_add", {"fp_adder": {}}),
    Arithmetic("fpmultiplier", "fp_mult", {"fp_multiplier": {}}),
    Arithmetic("fpmac", "fp_mac", {"fp_mac": {}}))
