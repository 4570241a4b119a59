"""Build arch/tables/sram.csv, wires.csv and dram.csv from a folder of CACTI 7 runs.

    python benchmarks/build_energy_tables.py FOLDER [arch/tables]

FOLDER holds sram.csv, dram.csv and wires.csv, one row a run of CACTI, with the inputs and the printed
figures as columns (node_nm, cell, cap_bytes, width_bits, banks, ports, read_nJ, ...). What is kept:
runs with objective ED^2, Global_30 wires and 300 K (lp-dram: 350 K) that CACTI accepted.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Iterable

_SRAM = """\
# Arrays as CACTI 7 gives them (github.com/HewlettPackard/cacti, commit 1ffd8df): a plain RAM, objective
# ED^2, 300 K, peripheral transistors of the same kind as the cells, Global_30 wires, access mode "normal".
# lp-dram is embedded DRAM: 350 K, itrs-lstp periphery. read_pj and write_pj are for one access to a whole
# row of width_bits; leak_bank_mw is subthreshold and gate leakage of one bank and of the wires between all
# of them, gate_leak_bank_mw the latter; area_um2 is of all banks. ndwl, ndbl, nspd, ndcm: how a bank is
# partitioned. Neither is known of lp-dram.
"""
_PARTITION = ("Ndwl", "Ndbl", "Nspd", "Ndcm")
_SRAM_COLUMNS = ("node_nm", "cell", "ports", "banks", "width_bits", "capacity_bytes", "read_pj", "write_pj",
                 "leak_bank_mw", "area_um2", "gate_leak_bank_mw", "access_ns", *map(str.lower, _PARTITION))
_WIRES = """\
# Repeated wires as CACTI 7 gives them, 300 K, a millimetre of one bit. dynamic_pj is for one transition of
# the wire: data that toggles at random costs half of it a bit. overhead_pct: delay given up against the
# fastest repeaters.
"""
_WIRE_COLUMNS = ("node_nm", "kind", "overhead_pct", "delay_ns", "dynamic_pj", "leakage_mw")
_DRAM = """\
# Main memory chips as CACTI 7 gives them (comm-dram cells, itrs-hp periphery, 350 K, burst and prefetch of
# 8), without input and output. A read or write moves 8 x width_bits; activate and precharge are for a page.
"""
_DRAM_COLUMNS = ("node_nm", "width_bits", "page_bits", "capacity_bytes", "activate_pj", "read_pj", "write_pj",
                 "precharge_pj", "standby_mw", "refresh_mw", "area_um2")


def build(folder: Path, target: Path) -> None:
    """Write the three tables of `target` from the runs in `folder`."""
    arrays = {_array(run) for run in _read(folder / "sram.csv")
              if (run["objective"], run["wire"], run["temp_K"]) == ("ED2", "Global_30", "300")}
    memories = [run for run in _read(folder / "dram.csv") if run["status"] == "ok"]
    arrays |= {_array(run) for run in memories if run["group"].startswith("edram")}
    _write(target / "sram.csv", _SRAM, _SRAM_COLUMNS, sorted(arrays))
    wires = {_wire(run) for run in _read(folder / "wires.csv")
             if run["temp_K"] == "300" and "swing" not in run["wire_class"]}
    _write(target / "wires.csv", _WIRES, _WIRE_COLUMNS, sorted(wires))
    chips = {_chip(run) for run in memories if run["group"] == "comm_dram_main_memory"}
    _write(target / "dram.csv", _DRAM, _DRAM_COLUMNS, sorted(chips))


def _array(run: dict[str, str]) -> tuple[object, ...]:
    leakage = run.get("leak_bank_total_mW") or run["leak_bank_mW"]
    return (int(float(run["node_nm"])), run["cell"], run.get("ports", "1RW"), int(run["banks"]),
            int(run["width_bits"]), int(run["cap_bytes"]), _short(float(run["read_nJ"]) * 1e3),
            _short(float(run["write_nJ"]) * 1e3), float(leakage), _short(float(run["area_mm2"]) * 1e6),
            run.get("gate_leak_bank_mW", ""), _short(float(run["access_ns"])),
            *(run.get(key, "") for key in _PARTITION))


def _wire(run: dict[str, str]) -> tuple[object, ...]:
    overhead = 0 if run["wire_class"] == "Delay Optimal" else int(run["wire_class"].split("%")[0])
    return (int(run["node_nm"]), run["peri"], overhead, float(run["delay_ns_per_mm"]),
            float(run["dyn_pJ_per_mm_per_transition"]),
            _short(float(run["leak_mW_per_mm"]) + float(run["gate_leak_mW_per_mm"])))


def _chip(run: dict[str, str]) -> tuple[float, ...]:
    actions = (_short(float(run[f"{name}_nJ"]) * 1e3) for name in ("activate", "read", "write", "precharge"))
    return (int(float(run["node_nm"])), int(run["width_bits"]), int(run["page_bits"]), int(run["cap_bytes"]),
            *actions, float(run["leak_closed_mW"]), float(run["refresh_mW"]),
            _short(float(run["area_mm2"]) * 1e6))


def _short(value: float) -> float:
    """Six digits, which is what CACTI prints."""
    return float(f"{value:.6g}")


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, header: str, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(header)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([f"{x:g}" if isinstance(x, float) else x for x in row])


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "arch/tables"))
