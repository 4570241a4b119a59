"""Numbers with SI prefixes and units, in what searches say and in reports."""

from __future__ import annotations

from math import floor, isfinite, log10

_PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "",
             3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E", 21: "Z", 24: "Y"}

#: Unit of what each objective minimises, and its factor from the unit of the document.
_OBJECTIVE_UNITS = {"energy": (1e-12, "J"), "latency": (1.0, "cycles"),
                    "edp": (1e-12, "J·cycle"), "ed2p": (1e-12, "J·cycle²")}


def si(value: float, unit: str = "") -> str:
    """`value` with an SI prefix; an int below a thousand is written as it is.

    >>> si(1234567, "cycles"), si(3.2e-9, "J"), si(-0.0, "J"), si(640)
    ('1.235 Mcycles', '3.200 nJ', '0 J', '640')
    """
    if not isfinite(value):
        return "-"
    if value == 0 or (isinstance(value, int) and abs(value) < 1000):
        return f"{value or 0:g} {unit}".strip()     # never a zero with a sign
    value = float(f"{value:.4g}")       # round first: 999.96 is 1 k, not 1000
    exponent = 3 * floor(log10(abs(value)) / 3)
    exponent = min(max(exponent, min(_PREFIXES)), max(_PREFIXES))
    return f"{value / 10 ** exponent:#.4g} {_PREFIXES[exponent]}{unit}".strip()


def objective(name: str, value: float) -> str:
    """A value of the objective called `name`, e.g. '3.1 kJ·cycle' for an EDP in pJ x cycles; of two
    with a comma between, it is one of the first."""
    factor, unit = _OBJECTIVE_UNITS[name.split(",")[0]]
    return si(value * factor, unit)
