"""Arithmetic on figures that keeps their provenance."""

from __future__ import annotations

from typing import Iterable

from ..hardware.architecture import Basis, Figure
from .sram import Memory

#: What a sum of figures is, where one of them is: the most doubtful one decides.
_WORST: tuple[Basis, ...] = ("extrapolated", "scaled", "rule", "interpolated")
#: Share of a sum below which a part does not decide what the sum is.
_NEGLIGIBLE = 0.05


def worst(figures: Iterable[Figure], otherwise: Basis = "derived") -> Basis:
    """The basis of a figure that is made of others."""
    found = {figure.basis for figure in figures}
    return next((basis for basis in _WORST if basis in found), otherwise)


def total(parts: Iterable[tuple[float, Figure]], source: str | None = None) -> Figure:
    """The sum of figures, each so many times; `source` in place of one that names all parts.

    >>> total([(2, Figure(0.5, "adder", "published")), (1, Figure(3, "register", "published"))])
    Figure(value=4.0, source='2 x adder + register', basis='derived')
    """
    listed = [(times, figure) for times, figure in parts if times]
    if len(listed) == 1 and listed[0][0] == 1 and source is None:
        return listed[0][1]
    text = " + ".join(figure.source if times == 1 else f"{times:g} x {figure.source}"
                      for times, figure in listed)
    value = sum(times * figure.value for times, figure in listed)
    telling = (figure for times, figure in listed if times * figure.value >= _NEGLIGIBLE * value)
    return Figure(value, source or text or "nothing in it", worst(telling))


def basis_of(provenance: str) -> Basis:
    """The basis of an array or a wire, from the text that its table gives."""
    if "extrapolated" in provenance or "clamped" in provenance:
        return "extrapolated"
    exact = provenance.endswith("table row") or ", table row" in provenance
    return "table row" if exact and "scaled" not in provenance else "interpolated"


def of_memory(memory: Memory) -> tuple[Figure, Figure, Figure, Figure]:
    """Read, write, area and leakage (mW) of an array."""
    basis = basis_of(memory.provenance)
    return (Figure(memory.read_pj, f"{memory.provenance} (read)", basis),
            Figure(memory.write_pj, f"{memory.provenance} (write)", basis),
            Figure(memory.area_um2, memory.provenance, basis),
            Figure(memory.leakage_mw, f"{memory.provenance} (leakage)", basis))
