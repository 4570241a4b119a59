"""Numbers as people read them: four significant digits, SI prefixes, units."""

from __future__ import annotations

import re

from ..search.objectives import PARETO
from ..search.units import objective as objective
from ..search.units import si as si


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


def about(word: str, share: float) -> str:
    """`word` and a percentage; of what is too small to be shown, what it is less than.

    >>> about("at most", 0.05), about("exactly", 0.00001), about("exactly", 0.0)
    ('at most 5.0 %', 'less than 0.01 %', 'exactly 0 %')
    """
    text = percent(share)
    return f"less than {text.removeprefix('< ')}" if text.startswith("<") else f"{word} {text}"


def words(count: float | None) -> str:
    """A count in full with thin groups, e.g. '1,048,576'; '-' for None."""
    if count is None:
        return "-"
    return f"{count:,}" if isinstance(count, int) else f"{count:,.4g}"
