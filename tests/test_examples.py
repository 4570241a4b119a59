"""Every file in examples/ does what its first lines say."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
from tilebound import cli
from tilebound.loading import load_specs

EXAMPLES = Path(__file__).parent.parent / "examples"
COMMAND = re.compile(r"^#   tilebound (.+?)(?:   .*)?$", re.MULTILINE)


def commands() -> list[tuple[str, str]]:
    """(file, command) for each command that the comments of an example show."""
    return [(path.name, command) for path in sorted(EXAMPLES.glob("*.yaml"))
            for command in COMMAND.findall(path.read_text())]


def test_every_file_is_exercised_here() -> None:
    shown = " ".join(command for _, command in commands())
    scripts = {"buffer_size.py", "measured_density.py", "plain_python.py"}
    for path in EXAMPLES.iterdir():
        if path.name != "__pycache__":
            assert path.name in scripts or f"examples/{path.name}" in shown


@pytest.mark.parametrize("name", [path.name for path in sorted(EXAMPLES.glob("*.yaml"))])
def test_example_loads(name: str) -> None:
    loaded = load_specs([EXAMPLES / name])
    assert loaded.architecture or loaded.workload
    assert not loaded.unsupported


@pytest.mark.parametrize(("name", "command"), commands())
def test_command_shown_in_an_example_runs(name, command, monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [str(EXAMPLES.parent / word) if word.startswith("examples/") else word
                 for word in command.split()]
    assert cli.run(arguments) == 0, capsys.readouterr().err
    assert "total" in capsys.readouterr().out
    if "-o" in arguments:
        assert (tmp_path / "out" / "report.html").stat().st_size


def test_plain_python_finds_a_better_mapping_and_proves_it(capsys) -> None:
    by_hand, found = runpy.run_path(str(EXAMPLES / "plain_python.py"))["main"]()
    assert found <= by_hand
    assert "gap 0.00% (optimal)" in capsys.readouterr().out


def test_buffer_size_prints_a_proven_point_for_each_size(capsys) -> None:
    small, large = runpy.run_path(str(EXAMPLES / "buffer_size.py"))["main"](sizes=(16, 32))
    assert capsys.readouterr().out.count("optimal") == 2
    # More buffer, fewer words from memory.
    assert large.layers[0].cost.level("DRAM").energy_pj <= small.layers[0].cost.level("DRAM").energy_pj


def test_measured_density_skips_more_than_zeros_anywhere(capsys) -> None:
    measured, anywhere = runpy.run_path(str(EXAMPLES / "measured_density.py"))["main"]()
    out = capsys.readouterr().out
    assert "as measured" in out and "anywhere" in out
    assert measured.compute_states.algorithmic == anywhere.compute_states.algorithmic
    assert measured.cycles < 0.9 * anywhere.cycles
    assert measured.energy_pj < anywhere.energy_pj


def test_lockstep_takes_more_cycles_than_counting_zeros_one_by_one(capsys) -> None:
    assert cli.run(["evaluate", "--json", str(EXAMPLES / "lockstep.yaml")]) == 0
    layer, = json.loads(capsys.readouterr().out)["layers"]
    dense = 128 * 128 * 64 // 128
    assert layer["dense"]["cycles"] == dense
    assert dense / 6 * 1.5 < layer["cycles"] < dense / 2
