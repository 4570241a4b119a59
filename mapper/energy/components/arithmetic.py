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


class Adder:
    """An integer adder. Aladdin's, which Accelergy's classes mean, costs twice as much as Horowitz's at 32
    bits, and every bit the same."""

    name = "adder"
    classes: Mapping[str, Values] = {"int_adder": {}, "intadder": {"library": "aladdin"},
                                     "aladdin_adder": {"library": "aladdin"}}
    parameters = (_BITS, NODE, _LIBRARY)
    source = _SOURCES

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        bits, node, library = int(given["bits"]), float(given["node"]), given["library"]
        if library == "horowitz":
            return _estimate(table.units.unit("int_add", bits, node), bits)
        return _estimate(table.units.unit(f"{library}_add", bits, node, linear=True), bits)


class Multiplier:
    """An integer multiplier. Aladdin's costs as the product of the widths, four times Horowitz's."""

    name = "multiplier"
    classes: Mapping[str, Values] = {"intmultiplier": {}, "int_multiplier": {},
                                     "aladdin_multiplier": {"library": "aladdin"}}
    parameters = (_BITS, NODE, _LIBRARY)
    source = _SOURCES

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        bits, node, library = int(given["bits"]), float(given["node"]), given["library"]
        if library == "horowitz":
            return _estimate(table.units.unit("int_mult", bits, node), bits)
        return _estimate(table.units.unit(f"{library}_mult", bits, node, square=True), bits)


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
        product = Multiplier().estimate(given, table)
        addition = Adder().estimate({**given, "bits": adder_bits or bits}, table)
        energy = known(summed([(1, product.actions["compute"]), (1, addition.actions["compute"])]))
        return Estimate(with_idle(energy), summed([(1, product.area), (1, addition.area)]),
                        summed([(1, product.leakage), (1, addition.leakage)]), access_bits=bits,
                        warnings=(*product.warnings, *addition.warnings))


COMPONENTS = (
    Adder(), Multiplier(), IntMac(),
    Arithmetic("fpadder", "fp_add", {"fp_adder": {}}),
    Arithmetic("fpmultiplier", "fp_mult", {"fp_multiplier": {}}),
    Arithmetic("fpmac", "fp_mac", {"fp_mac": {}}))
