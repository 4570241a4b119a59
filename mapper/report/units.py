"""Numbers as people read them: four significant digits, SI prefixes, units."""

from __future__ import annotations

import re
from math import floor, isfinite, log10

from ..search.result import PARETO

_PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "",
             3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E", 21: "Z", 24: "Y"}

#: Unit of what each objective minimises, and its factor from the unit of the document.
_OBJECTIVE_UNITS = {"energy": (1e-12, "J"), "latency": (1.0, "cycles"),
                    "edp": (1e-12, "J·cycle"), "ed2p": (1e-12, "J·cycle²")}


def si(value: float, unit: str = "") -> str:
    """`value` with an SI prefix; an int below a thousand is written as it is.

    >>> si(1234567, "cycles"), si(3.2e-9, "J"), si(0, "J"), si(640)
    ('1.235 Mcycles', '3.200 nJ', '0 J', '640')
    """
    if not isfinite(value):
        return "-"
    if value == 0 or (isinstance(value, int) and abs(value) < 1000):
        return f"{value:g} {unit}".strip()
    value = float(f"{value:.4g}")       # round first: 999.96 is 1 k, not 1000
    exponent = 3 * floor(log10(abs(value)) / 3)
    exponent = min(max(exponent, min(_PREFIXES)), max(_PREFIXES))
    return f"{value / 10 ** exponent:#.4g} {_PREFIXES[exponent]}{unit}".strip()


def short(text: str) -> str:
    """A number as text without zeros at the end of its fraction.

    >>> short("2.500 mJ"), short("50.0 %"), short("100 J")
    ('2.5 mJ', '50 %', '100 J')
    """
    return re.sub(r"(\.\d*?)0+(?=\D|$)", lambda match: match[1].rstrip("."), text, count=1)


def energy(picojoules: float) -> str:
    """Energy given in pJ, e.g. '1.204 mJ'."""
    return si(picojoules * 1e-12, "J")


#: How an objective is written in a sentence.
OBJECTIVE_NAMES = {"energy": "energy", "latency": "latency", "edp": "EDP", "ed2p": "ED²P"}


def goal(asked: str) -> str:
    """What a search was asked for, in words.

    >>> goal("edp"), goal("pareto")
    ('least EDP', 'front of energy and cycles')
    """
    return "front of energy and cycles" if asked == PARETO else f"least {objective_name(asked)}"


def objective_name(asked: str) -> str:
    """How what a search was asked for is written in a sentence.

    >>> objective_name("edp"), objective_name("latency,energy")
    ('EDP', 'latency, then energy')
    """
    return ", then ".join(OBJECTIVE_NAMES[name] for name in asked.split(","))


def objective(name: str, value: float) -> str:
    """A value of the objective called `name`, e.g. '3.1 kJ·cycle' for an EDP in pJ x cycles; of two
    with a comma between, it is one of the first."""
    factor, unit = _OBJECTIVE_UNITS[name.split(",")[0]]
    return si(value * factor, unit)


def percent(share: float) -> str:
    """A share of one as a percentage; only what rounding may have left reads as 0 %.

    >>> percent(0.5), percent(1), percent(0.0004), percent(0.0000123), percent(-1e-15)
    ('50.0 %', '100.0 %', '0.04 %', '< 0.01 %', '0 %')
    """
    if abs(share) < 1e-12:
        return "0 %"
    if abs(share) >= 0.001:
        return f"{100 * share:.1f} %"
    return f"{100 * share:.2f} %" if abs(share) >= 0.00005 else "< 0.01 %"


def words(count: float | None) -> str:
    """A count in full with thin groups, e.g. '1,048,576'; '-' for None."""
    if count is None:
        return "-"
    return f"{count:,}" if isinstance(count, int) else f"{count:,.4g}"
