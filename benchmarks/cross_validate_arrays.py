"""How well the model of arrays says what it has not seen: `python benchmarks/cross_validate_arrays.py`.

Rows of arch/tables/sram.csv are held out, all coefficients fitted to the others, and the surfaces through
these compared with them. The runs of tests/check_sram.csv play no part. Prints the absolute error in per cent
(median / 95th percentile / largest); takes half a minute.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Iterator

import numpy as np
from numpy.typing import NDArray
from tilebound.energy.kinds import Kind
from tilebound.energy.sram import SramTable

from fit_arrays import fit_all, read_rows, samples_of, table

ROWS = Path(__file__).parent.parent / "arch" / "tables" / "sram.csv"
DENSE = (("22", "itrs-hp"), ("22", "itrs-lstp"), ("45", "itrs-hp"), ("65", "itrs-hp"), ("65", "itrs-lstp"))
QUANTITIES = ("read", "write", "leakage", "area")
Row = dict[str, str]
Errors = NDArray[np.float64]


def folds(rows: list[Row]) -> Iterator[tuple[str, list[bool]]]:
    """What is held out, and which rows that is."""
    for kind in DENSE:
        one = (*kind, "1RW", "1")
        yield "one port, no powers of two", [_kind(row) == one and not _power(row) for row in rows]
    wide = [row["width_bits"] == "256" for row in rows]
    yield "ports, all of 256 bits", [w and _ports(row) for w, row in zip(wide, rows, strict=True)]
    yield "banks, all of 256 bits", [w and _banks(row) for w, row in zip(wide, rows, strict=True)]
    draw = random.Random(1)
    fold = [draw.randrange(4) for _ in rows]
    for number in range(4):
        yield "ports, a quarter", [f == number and _ports(row) for f, row in zip(fold, rows, strict=True)]
        yield "banks, a quarter", [f == number and _banks(row) for f, row in zip(fold, rows, strict=True)]


def errors(rows: list[Row], held: list[bool]) -> Errors:
    """Absolute errors in per cent at the rows that are held out: shape (rows, quantities)."""
    known = [row for row, out in zip(rows, held, strict=True) if not out]
    arrays = SramTable(known, list(table(fit_all(samples_of(known)))))
    return np.array([_errors(arrays, row) for row, out in zip(rows, held, strict=True) if out])


def _errors(arrays: SramTable, row: Row) -> Errors:
    node, cell, ports, banks = _kind(row)
    kind, width = Kind(float(node), cell, ports, int(banks)), int(row["width_bits"])
    depth = 8 * int(row["capacity_bytes"]) / width
    found = arrays.lookup(depth, width, kind)
    leakage = found.leakage_mw
    if kind.banks > 1:      # CACTI prints the leakage of one bank and of the wires; ours is of all banks
        leakage -= (kind.banks - 1) * arrays.lookup(depth / kind.banks, width, Kind(*kind[:2])).leakage_mw
    true = np.array([float(row[key]) for key in ("read_pj", "write_pj", "leak_bank_mw", "area_um2")])
    return np.abs(np.array([found.read_pj, found.write_pj, leakage, found.area_um2]) / true - 1) * 100


def _kind(row: Row) -> tuple[str, str, str, str]:
    return row["node_nm"], row["cell"], row["ports"], row["banks"]


def _ports(row: Row) -> bool:
    return row["ports"] != "1RW"


def _banks(row: Row) -> bool:
    return row["banks"] != "1"


def _power(row: Row) -> bool:
    return all(int(row[key]).bit_count() == 1 for key in ("width_bits", "capacity_bytes"))


def main() -> None:
    rows = read_rows(ROWS)
    found: dict[str, list[Errors]] = {}
    for title, held in folds(rows):
        found.setdefault(title, []).append(errors(rows, held))
    print(f"{'|error| %: median / 95th / max':36}" + "".join(f"{name:>22}" for name in QUANTITIES))
    for title, parts in found.items():
        scores = np.percentile(np.vstack(parts), (50, 95, 100), axis=0).T
        cells = "".join(f"{f'{m:.1f} /{p:5.1f} /{x:5.1f}':>22}" for m, p, x in scores)
        print(f"{f'{title} ({sum(map(len, parts))})':36}{cells}")


if __name__ == "__main__":
    main()
