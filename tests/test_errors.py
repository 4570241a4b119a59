"""Places in messages are true or absent."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tilebound as tb
from tilebound.errors import Problem, SpecError
from tilebound.spec.nodes import Node


def test_a_problem_prints_the_place_that_it_has() -> None:
    problem = Problem("a.yaml", 3, 7, "depth is -1; expected 1 or more")
    assert str(problem) == "a.yaml:3:7: error: depth is -1; expected 1 or more"
    assert str(replace(problem, column=0)).startswith("a.yaml:3: error: depth")
    assert str(replace(problem, line=0, column=0, severity="note")).startswith("a.yaml: note: depth")
    assert (Node(1, "a.yaml", 3).place, Node(1, "<dict>").place) == ("a.yaml:3", "<dict>")


def test_what_a_search_refuses_is_named() -> None:
    einsum = tb.load_workload({"shape": "gemm", "instance": {"M": 2 ** 20, "N": 2 ** 20, "K": 2 ** 20}})
    with pytest.raises(SpecError, match=r"^gemm: error: layer gemm: \d+ operations; a search expects"):
        tb.search("eyeriss", einsum)
