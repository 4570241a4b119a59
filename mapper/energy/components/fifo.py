"""A first-in first-out queue."""

from __future__ import annotations

from typing import Mapping

from ..component import Estimate, Values
from ..table import EnergyTable
from .registers import MOST_ROWS
from .shared import CELL, DEPTH, NODE, WIDTH, address_bits, known, leakage_of, summed
from .sram import array


class Fifo:
    """A ring of registers, or of SRAM with a read and a write port beyond 64 rows, and two counters that
    point to its ends. `write` puts a word in, `read` takes one out."""

    name = "fifo"
    classes: Mapping[str, Values] = {"queue": {}}
    parameters = (WIDTH, DEPTH, NODE, CELL)
    source = "derived: Aladdin's registers and counters; from 65 rows on CACTI 7 and the counters"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        width, depth, node = int(given["width"]), float(given["depth"]), float(given["node"])
        if depth < 1:
            raise ValueError(f"depth {depth:g} does not hold one word")
        pointer = table.units.unit("counter", address_bits(depth), node, linear=True)
        if depth <= MOST_ROWS:
            row = table.units.unit("register", width, node, linear=True)
            read = write = row.energy
            area, leakage = (None if x is None else summed([(depth, x)]) for x in (row.area, row.leakage))
            warnings = row.warnings
        else:
            found = array({**given, "ports": "1R1W", "banks": 1}, table)
            read, write, area, leakage, warnings = (found.read, found.write, found.area, found.leakage,
                                                    found.warnings)
        return Estimate({"read": known(summed([(1, read), (1, pointer.energy)])),
                         "write": known(summed([(1, write), (1, pointer.energy)]))},
                        summed([(1, area), (2, pointer.area)]), leakage_of(leakage, [(2, pointer.leakage)]),
                        access_bits=width, warnings=tuple(dict.fromkeys((*warnings, *pointer.warnings))))


COMPONENTS = (Fifo(),)
