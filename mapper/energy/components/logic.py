"""Comparators, counters, and the logic that looks for non-zeros."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from ...hardware.architecture import Figure
from ..component import Estimate, Parameter, Values
from ..figures import total
from ..published import Unit
from ..table import EnergyTable
from .shared import NODE, known, summed, with_idle

_BITS = Parameter("bits", "of an operand", "bit")
_MASK = Parameter("bits", "of a mask", "bit")


@dataclass(frozen=True)
class Logic:
    """A unit of components.csv of which every bit costs the same."""

    name: str
    row: str
    classes: Mapping[str, Values]
    parameters: tuple[Parameter, ...] = (_BITS, NODE)
    source: str = "Aladdin, a bit of a row of components.csv"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        bits = int(given["bits"])
        unit = table.units.unit(self.row, bits, float(given["node"]), linear=True)
        return Estimate(with_idle(unit.energy), unit.area, unit.leakage,
                        access_bits=bits, warnings=unit.warnings)


class TernaryAccumulate:
    """Adds, subtracts or leaves out an operand, as a weight of 1, -1 or 0 says: an adder whose operand is
    inverted where it is subtracted."""

    name = "ternary_accumulate"
    classes: Mapping[str, Values] = {"ternary_mac": {}, "ternary_accumulator": {}}
    parameters = (Parameter("bits", "of the sum", "bit"), NODE)
    source = "derived: Horowitz's adder; the inverters are left out"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        bits = int(given["bits"])
        adder = table.units.unit("int_add", bits, float(given["node"]))
        energy = Figure(adder.energy.value, f"an add or a subtraction: {adder.energy.source}",
                        "derived" if adder.energy.basis == "published" else adder.energy.basis)
        return Estimate(with_idle(energy), adder.area, adder.leakage,
                        access_bits=bits, warnings=adder.warnings)


class Popcount:
    """The number of ones in a mask: a tree of one full adder less than there are bits."""

    name = "popcount"
    classes: Mapping[str, Values] = {"population_count": {}}
    parameters = (_MASK, NODE)
    source = "derived: full adders, each an eighth of Horowitz's 8-bit adder"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        bits = int(given["bits"])
        energy, area, warnings = count_ones(bits, float(given["node"]), table)
        return Estimate(with_idle(energy), area, access_bits=bits, warnings=warnings)


class MaskIntersection:
    """Positions at which two masks both have a one: an AND of all bits, and `counts` counts of the ones
    before a position (two in a unit that looks both operands up)."""

    name = "mask_intersection"
    classes: Mapping[str, Values] = {"intersection": {}, "mask_and": {"counts": 0}}
    parameters = (_MASK, NODE, Parameter("counts", "population counts", default=2, least=0))
    source = "derived: Aladdin's bit operations and full adders as in popcount"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        bits, counts = int(given["bits"]), int(given["counts"])
        gates: Unit = table.units.unit("bitwise", bits, float(given["node"]), linear=True)
        energy, area, warnings = count_ones(bits, float(given["node"]), table)
        found = known(summed([(1, gates.energy), (counts, energy)]))
        return Estimate(with_idle(found), summed([(1, gates.area), (counts, area)]), access_bits=bits,
                        leakage=gates.leakage if not counts else None,
                        warnings=tuple(dict.fromkeys((*gates.warnings, *warnings))))


def count_ones(bits: int, node_nm: float, table: EnergyTable) -> tuple[Figure, Figure, tuple[str, ...]]:
    """pJ and um^2 of a population count, and warnings."""
    byte = table.units.unit("int_add", 8, node_nm)
    adders = max(bits - 1, 1) / 8
    return (total([(adders, byte.energy)]), total([(adders, known(byte.area))]), byte.warnings)


COMPONENTS = (
    Logic("comparator", "comparator", {"aladdin_comparator": {}}),
    Logic("counter", "counter", {"aladdin_counter": {}}),
    Logic("shifter", "shifter", {"aladdin_shifter": {}}),
    Logic("bitwise", "bitwise", {"aladdin_bitwise": {}}),
    TernaryAccumulate(), Popcount(), MaskIntersection())
