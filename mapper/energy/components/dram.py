"""DRAM outside the chip: by pJ a bit, or a chip action by action."""

from __future__ import annotations

from typing import Mapping

from ...hardware.architecture import Figure
from ...spec.nodes import did_you_mean
from ..component import Estimate, Parameter, Values
from ..figures import basis_of
from ..table import EnergyTable
from ..wires import BURST
from .shared import NODE, WIDTH

_TYPE = Parameter("type", "generation, such as LPDDR4, DDR3, GDDR5 or HBM2", kind="text")


class Dram:
    """Main memory with its interface, pJ a bit whatever the pattern of accesses; the same for reads and
    writes. It takes no area of the chip; standby and refresh are not known apart."""

    name = "dram"
    classes: Mapping[str, Values] = {}
    parameters = (WIDTH, _TYPE)
    source = "published pJ a bit, each by its row of components.csv"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        width, kind = int(given["width"]), str(given["type"])
        known = {name.lower(): name for name in table.units.names("dram_")}
        if kind.lower() not in known:
            raise ValueError(f"no DRAM of type {kind!r}; known are {', '.join(known.values())}"
                             f"{did_you_mean(kind, known.values())}")
        bit = table.units.unit(f"dram_{known[kind.lower()]}", 1, None)
        access = Figure(bit.energy.value * width, f"{bit.energy.value:g} pJ/bit x {width} bits: "
                                                  f"{bit.energy.source}", bit.energy.basis)
        return Estimate({"read": access, "write": access}, Figure(0.0, "off chip", "rule"),
                        access_bits=width, warnings=bit.warnings)


class DramChip:
    """A DRAM chip as CACTI has it, without input and output. An access is a burst of eight words, with its
    share of opening and closing a page, which `activate` and `precharge` list. `leakage` is its standby with
    all pages closed. Its die takes no area of the chip that it serves."""

    name = "dram_chip"
    classes: Mapping[str, Values] = {"main_memory": {}}
    parameters = (
        Parameter("width", "bits of one access, a burst of eight words", "bit", default=512),
        Parameter("capacity", "of the chip", "byte", kind="number"),
        Parameter("page", "bits of a page", "bit", default=8192),
        Parameter("used", "bits moved for each page that is opened; 0: one access", "bit", default=0,
                  least=0), NODE)
    source = "CACTI 7, main memory; input and output are not in it"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        width, used = int(given["width"]), int(given["used"])
        if width % BURST:
            raise ValueError(f"width {width} is no burst of {BURST} words; expected a multiple of {BURST}")
        chip = table.main_memory(capacity_bytes=float(given["capacity"]), width=width // BURST,
                                 node_nm=float(given["node"]), page_bits=int(given["page"]))
        basis, page = basis_of(chip.provenance), max(used, width)

        def figure(value: float, what: str) -> Figure:
            return Figure(value, f"{chip.provenance} ({what})", basis)

        def access(write: bool) -> Figure:
            return figure(width * chip.access_pj_bit(page, write=write),
                          f"{'write' if write else 'read'}, a burst, a page opened for {page} bits")
        return Estimate(
            {"read": access(False), "write": access(True), "activate": figure(chip.activate_pj, "activate"),
             "precharge": figure(chip.precharge_pj, "precharge")},
            Figure(0.0, f"off chip (its die: {chip.area_um2 / 1e6:.4g} mm2)", "rule"),
            figure(chip.standby_mw, "standby"),
            figure(chip.refresh_mw, "refresh"), access_bits=width)


COMPONENTS = (Dram(), DramChip())
