"""Registers and register files."""

from __future__ import annotations

from typing import Mapping

from ..component import Estimate, Parameter, Values
from ..figures import total
from ..table import EnergyTable
from .shared import CELL, DEPTH, NODE, WIDTH, address_bits, known
from .sram import array

#: Rows up to which a file is made of registers with a comparator each; a deeper one is an SRAM.
MOST_ROWS = 64


class RegisterFile:
    """A register file with one port.

    Up to 64 rows: registers, and a comparator a row that looks for its own address (Accelergy's
    `regfile`). One row needs none. Deeper files are SRAMs, but cost no less an access than one of 64 rows.
    """

    name = "regfile"
    classes: Mapping[str, Values] = {"register_file": {}, "registers": {}}
    parameters = (WIDTH, DEPTH, NODE, CELL)
    source = "Aladdin's registers and comparators; from 65 rows on CACTI 7"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        width, depth, node = int(given["width"]), float(given["depth"]), float(given["node"])
        if depth < 1:
            raise ValueError(f"depth {depth:g} does not hold one row of {width} bits")
        small = _registers(width, min(depth, MOST_ROWS), node, table)
        if depth <= MOST_ROWS:
            return small
        found = array({**given, "ports": "1RW", "banks": 1}, table)
        least = small.actions["read"]
        actions = {name: max(access, least, key=lambda figure: figure.value)
                   for name, access in (("read", found.read), ("write", found.write))}
        return Estimate(actions, found.area, found.leakage, access_bits=width, warnings=found.warnings)


class Register:
    """One register."""

    name = "register"
    classes: Mapping[str, Values] = {"aladdin_register": {}}
    parameters = (Parameter("width", "bits", "bit", default=1), NODE)
    source = "Aladdin's register"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        return _registers(int(given["width"]), 1, float(given["node"]), table)


def _registers(width: int, depth: float, node: float, table: EnergyTable) -> Estimate:
    """`depth` rows of registers, with a comparator for each where there are several."""
    row = table.units.unit("register", width, node, linear=True)
    search = table.units.unit("comparator", address_bits(depth), node, linear=True)
    rows = depth if depth > 1 else 0
    access = total([(1, row.energy), (rows, search.energy)])
    area = total([(depth, known(row.area)), (rows, known(search.area))])
    leakage = None
    if row.leakage is not None and search.leakage is not None:
        leakage = total([(depth, row.leakage), (rows, search.leakage)])
    return Estimate({"read": access, "write": access}, area, leakage, access_bits=width,
                    warnings=row.warnings)


COMPONENTS = (RegisterFile(), Register())
