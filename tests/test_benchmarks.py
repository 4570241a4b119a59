"""Scripts of benchmarks/ that reach into a search still do, on a layer that takes no time."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return runpy.run_path(str(BENCHMARKS / f"{name}.py"))


def test_first_answers_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    first, common = script("first_answer", monkeypatch), script("common_case", monkeypatch)
    small = next(iter(common["layer"]("small", 6, 6, 6, 3, 1)))
    near, whole, ratio, evaluated = first["searched"](common["machine"]("unified", False), small, "energy")
    assert 0 < near <= whole and ratio >= 1 and evaluated > 0
