"""The text form of a projection: `2*P + R, Q - S`, one affine expression per tensor axis."""

from __future__ import annotations

import re

from .einsum import Axis, Term

_TERM = re.compile(r"\s*([+-]?)\s*(?:(\d+)\s*\*\s*)?([A-Za-z_]\w*)(?:\s*\*\s*(\d+))?\s*")


def parse_projection(text: str) -> tuple[Axis, ...]:
    """The axes written in `text`; the empty text is the projection of a scalar.

    Raises
    ------
    ValueError
        Quoting the axis that is not a sum of `coefficient * rank` terms.

    >>> parse_projection("M, 2*P - R")[1]
    (Term(rank='P', coefficient=2), Term(rank='R', coefficient=-1))
    """
    return tuple(_axis(part) for part in text.split(",")) if text.strip() else ()


def _axis(text: str) -> Axis:
    terms: list[Term] = []
    position = 0
    while position < len(text) or not terms:
        match = _TERM.match(text, position)
        if match is None or bool(terms) > bool(match[1]) or (match[2] and match[4]):
            raise ValueError(f"axis {text.strip()!r} is no sum of ranks; expected terms like P, "
                             "2*P or -R joined by + and -")
        sign, before, rank, after = match.groups()
        coefficient = int(before or after or 1) * (-1 if sign == "-" else 1)
        if rank in {term.rank for term in terms}:
            raise ValueError(f"axis {text.strip()!r} names the rank {rank} twice; expected one term with "
                             "the sum of its coefficients")
        if coefficient == 0:
            raise ValueError(f"axis {text.strip()!r} has the coefficient 0; leave the rank out")
        terms.append(Term(rank, coefficient))
        position = match.end()
    return tuple(terms)


def projection_text(projection: tuple[Axis, ...]) -> str:
    """The inverse of `parse_projection`.

    >>> projection_text(parse_projection("M,P*2-R"))
    'M, 2*P - R'
    """
    return ", ".join(_axis_text(axis) for axis in projection)


def _axis_text(axis: Axis) -> str:
    text = ""
    for term in axis:
        size = abs(term.coefficient)
        sign = "-" if term.coefficient < 0 else "+" if text else ""
        gap = " " if text else ""
        text += f"{gap}{sign}{gap}" + (f"{size}*" if size != 1 else "") + term.rank
    return text
