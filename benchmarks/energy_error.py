"""How far the table of memory arrays is from CACTI: `python benchmarks/energy_error.py [RUNS.csv]`.

RUNS.csv holds runs of CACTI at points that the table does not have (default: tests/check_sram.csv). Prints
the absolute error in per cent (median / 95th percentile / largest) by group and quantity, of the table and
of the smoothed one, and what a lookup costs. Exit code 1 when all runs together miss the bar.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from time import perf_counter
from typing import Callable

import numpy as np
from numpy.typing import NDArray

CHECK = Path(__file__).parent.parent / "tests" / "check_sram.csv"
QUANTITIES = ("read", "write", "leakage", "area")
_CACTI = ("read_nJ", "write_nJ", "leak_bank_total_mW", "area_mm2")
_UNITS = (1e3, 1e3, 1.0, 1e6)        # of ours (pJ, mW, um^2) in theirs
Run = dict[str, str]
Errors = NDArray[np.float64]

#: What all runs together must keep, in per cent: median, 95th percentile, largest of each quantity.
BAR = ((2, 15, 35), (2, 15, 35), (1.5, 6, np.inf), (3, 20, np.inf))

#: One port and bank at a node of the table; between nodes; then as far as rows of the kind reach, and beyond.
GROUPS: dict[str, Callable[[Run], bool]] = {
    "one port, one bank": lambda run: run["group"] in ("h_core", "h_pow2w"),
    "up to 512 bits": lambda run: run["group"] in ("h_core", "h_pow2w") and int(run["width_bits"]) <= 512,
    "nodes in between": lambda run: run["group"] == "h_node",
    "other ports, up to 256 bits": lambda run: run["group"] == "h_ports" and int(run["width_bits"]) <= 256,
    "several banks, up to 256 bits": lambda run: run["group"] == "h_banks" and int(run["width_bits"]) <= 256,
    "other ports, wider": lambda run: run["group"] == "h_ports" and int(run["width_bits"]) > 256,
    "several banks, wider": lambda run: run["group"] == "h_banks" and int(run["width_bits"]) > 256,
    "all": lambda run: True,
}


def read_runs(path: Path = CHECK) -> list[Run]:
    """Runs of CACTI."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def errors(runs: list[Run], *, monotone: bool = False) -> Errors:
    """Absolute relative errors of the default table, in per cent: shape (runs, quantities)."""
    return np.array([_errors(run, monotone) for run in runs])


def score(errors: Errors) -> Errors:
    """Median, 95th percentile and maximum: shape (quantities, 3)."""
    return np.column_stack((np.median(errors, axis=0), np.percentile(errors, 95, axis=0), errors.max(axis=0)))


def _errors(run: Run, monotone: bool) -> Errors:
    from tilebound import EnergyTable

    table, banks = EnergyTable.default(monotone=monotone), int(run["banks"])
    bits, width = 8 * int(run["cap_bytes"]), int(run["width_bits"])
    node, cell = float(run["node_nm"]), run["cell"]
    found = table.sram(bits=bits, width=width, node_nm=node, cell=cell, ports=run["ports"], banks=banks)
    leakage = found.leakage_mw
    if banks > 1:       # CACTI prints the leakage of one bank and of the wires; ours is of all banks
        one = table.sram(bits=bits // banks, width=width, node_nm=node, cell=cell)
        leakage -= (banks - 1) * one.leakage_mw
    true = np.array([float(run[key]) * unit for key, unit in zip(_CACTI, _UNITS, strict=True)])
    return np.abs(np.array([found.read_pj, found.write_pj, leakage, found.area_um2]) / true - 1) * 100


def _speed() -> str:
    from tilebound import EnergyTable

    table, many = EnergyTable.default(), 100_000
    widths = 2 ** np.random.default_rng(0).uniform(3, 10, many)
    depths = 2 ** np.random.default_rng(1).uniform(6, 14, many)
    table.sram_batch(bits=depths * widths, width=widths, node_nm=45)
    start = perf_counter()
    table.sram_batch(bits=depths * widths, width=widths, node_nm=45)
    batch = perf_counter() - start
    start = perf_counter()
    for _ in range(10_000):
        table.sram(bits=5000 * 96, width=96, node_nm=45)
    single = perf_counter() - start
    return f"a lookup {single / 10_000 * 1e6:.1f} us, in a batch {batch / many * 1e6:.2f} us"


def main(path: str = str(CHECK)) -> int:
    runs = read_runs(Path(path))
    print(f"{'|error| %: median / 95th / max':46}" + "".join(f"{name:>22}" for name in QUANTITIES))
    for title, monotone in (("", False), (", smoothed", True)):
        for group, belongs in GROUPS.items():
            own = [run for run in runs if belongs(run)]
            if own:
                _print(f"{group}{title} ({len(own)})", score(errors(own, monotone=monotone)))
    _print("bar for all", BAR)
    print(_speed())
    return int(np.any(score(errors(runs)) > np.array(BAR)))


def _print(title: str, scores: Errors | tuple[tuple[float, ...], ...]) -> None:
    cells = (f"{m:6.1f} /{p:5.1f} /{x:5.1f}" for m, p, x in scores)
    print(f"{title:46}" + "".join(f"{cell:>22}" for cell in cells))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
