"""Quantities as people write them: `108 KiB`, `64 words`, `5 ns`, `65nm`."""

from __future__ import annotations

import re

from .nodes import did_you_mean

_QUANTITY = re.compile(r"\s*([-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-zµ]*)\s*")

#: Bits in one unit of storage. K, M, G are powers of 1000; Ki, Mi, Gi of 1024.
BITS = {"b": 1, "bit": 1, "bits": 1, "B": 8, "byte": 8, "bytes": 8,
        "Kb": 1000, "Kib": 1024, "Mb": 1000**2, "Mib": 1024**2, "Gb": 1000**3, "Gib": 1024**3,
        "KB": 8 * 1000, "kB": 8 * 1000, "KiB": 8 * 1024, "MB": 8 * 1000**2, "MiB": 8 * 1024**2,
        "GB": 8 * 1000**3, "GiB": 8 * 1024**3}
#: Units in one second, so that 5 ns is 5 / 1e9, correctly rounded.
_PER_SECOND = {"s": 1, "ms": 1e3, "us": 1e6, "µs": 1e6, "ns": 1e9, "ps": 1e12}
_HERTZ = {"Hz": 1, "kHz": 1e3, "KHz": 1e3, "MHz": 1e6, "GHz": 1e9}
_PER_NANOMETRE = {"nm": 1, "um": 1e-3, "µm": 1e-3}
#: The largest number that means anything.
_LARGEST = 1e100


def split(text: object) -> tuple[float, str]:
    """The number and the unit in `text`; the unit is empty when there is none.

    Raises
    ------
    ValueError
        When `text` does not start with a number, or with none that can be reckoned with.

    >>> split("108 KiB"), split(7), split("1e3 words")
    ((108, 'KiB'), (7, ''), (1000.0, 'words'))
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return _sane(text, text), ""
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is no quantity; expected a number and a unit")
    number, unit = match.groups()
    number = number.replace("_", "")
    return _sane(int(number) if re.fullmatch(r"[-+]?\d+", number) else float(number), text), unit


def _sane(number: float, text: object) -> float:
    if not abs(number) <= _LARGEST:
        raise ValueError(f"{str(text)[:40]!r} is no quantity; expected a number of up to {_LARGEST:g}")
    return number


def words(text: object, word_bits: int) -> int:
    """A storage size in words of `word_bits` bits.

    Raises
    ------
    ValueError
        For an unknown unit, a number without a unit, or a size that is no whole number of words.

    >>> words("108 KiB", 16), words("64 words", 16), words("512 B", 8)
    (55296, 64, 512)
    """
    number, unit = split(text)
    if unit in ("word", "words"):
        count = number
    elif unit in BITS:
        count = number * BITS[unit] / word_bits
    else:
        raise ValueError(_unit_fault(text, unit, [*BITS, "words"], "108 KiB or 64 words"))
    if count != int(count) or count < 0:
        raise ValueError(f"size {text!r} is {count:g} words of {word_bits} bits; "
                         "expected a whole number of words")
    return int(count)


def seconds(text: object) -> float:
    """A duration (`5 ns`) or a frequency (`200 MHz`) as seconds a cycle.

    >>> seconds("5 ns"), seconds("200 MHz")
    (5e-09, 5e-09)
    """
    number, unit = split(text)
    if unit not in _PER_SECOND and unit not in _HERTZ:
        raise ValueError(_unit_fault(text, unit, [*_PER_SECOND, *_HERTZ], "5 ns or 200 MHz"))
    if number <= 0:
        raise ValueError(f"{text!r} is not positive; expected a duration such as 5 ns")
    return number / _PER_SECOND[unit] if unit in _PER_SECOND else 1 / (number * _HERTZ[unit])


def nanometres(text: object) -> float:
    """A technology node; a bare number is nanometres.

    >>> nanometres("65nm"), nanometres(45), nanometres("0.18 um")
    (65.0, 45.0, 180.0)
    """
    number, unit = split(text)
    if unit and unit not in _PER_NANOMETRE:
        raise ValueError(_unit_fault(text, unit, _PER_NANOMETRE, "65nm"))
    if number <= 0:
        raise ValueError(f"{text!r} is not positive; expected a node such as 65nm")
    return number / _PER_NANOMETRE[unit or "nm"]


def _unit_fault(text: object, unit: str, known: object, example: str) -> str:
    names = list(known)  # type: ignore[call-overload]
    what = f"unknown unit {unit!r} in {text!r}" if unit else f"{text!r} has no unit"
    return f"{what}; expected for example {example}" + (did_you_mean(unit, names) if unit else "")
