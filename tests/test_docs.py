"""What README.md and docs/ show is true: YAML loads, Python examples give what is printed, commands run."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest
from tilebound import cli
from tilebound.api import read_constraints
from tilebound.loading import load_architecture, load_specs, load_workload

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
FILE_NAME = re.compile(r"# (\w+\.(?:yaml|py))\n")

SMALL = """workload:
  name: small
  layers:
  - {name: conv, type: conv, C: 4, K: 8, P: 5, Q: 4, R: 1, S: 1, densities: {Inputs: 0.5}}
  - {name: fc, type: matmul, M: 1, N: 12, K: 20}
"""


def blocks(language: str) -> list[tuple[str, int, str]]:
    """(page, number, text) of every block in a language."""
    return [(page.name, i, text) for page in PAGES for i, (found, text) in
            enumerate(BLOCK.findall(page.read_text())) if found == language]


def page(name: str) -> str:
    return next(p for p in PAGES if p.name == name).read_text()


@pytest.mark.parametrize(("name", "number", "text"), blocks("yaml"))
def test_yaml_block_loads(name, number, text, tmp_path) -> None:
    path = tmp_path / "block.yaml"
    path.write_text(text)
    loaded = load_specs([path])
    assert loaded.architecture or loaded.workload or loaded.mappings or "constraints" in loaded.sections
    assert not loaded.unsupported
    if "constraints" in loaded.sections:
        machine, graph = load_architecture("eyeriss"), load_workload("alexnet")
        assert read_constraints([loaded.sections["constraints"]], machine, graph)


@pytest.mark.parametrize("name", [p.name for p in PAGES if "\n>>> " in p.read_text()])
def test_python_blocks_give_what_they_show(name, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "\n".join(block for language, block in BLOCK.findall(page(name)) if language == "python")
    test = doctest.DocTestParser().get_doctest(text, {}, name, name, 0)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


def test_mappings_shown_in_the_format_page_fit_what_it_shows(tmp_path) -> None:
    texts = [text for name, _, text in blocks("yaml") if name == "format.md"]
    machine, workload, nest, entries, uneven = texts[:5]
    head = re.search(r"layers:\n", workload).end()        # the mappings are for one of the layers
    layer = next(line for line in workload.splitlines() if "name: head" in line)
    one = workload[:head] + layer.replace(", input: grouped", "") + "\n"
    machine = machine.replace("x_ranks: [K, P, Q], y_ranks: [C, R, S]", "x_ranks: [N], y_ranks: [K]")
    costs = []
    for mapping in (nest, entries, uneven):
        for file, text in (("a", machine), ("w", one), ("m", mapping)):
            (tmp_path / f"{file}.yaml").write_text(text)
        assert cli.run(["evaluate", *(str(tmp_path / f"{x}.yaml") for x in "awm"),
                        "-o", str(tmp_path)]) == 0
        costs.append((tmp_path / "mapping.yaml").read_text())
    assert costs[0] == costs[1] != costs[2]


def test_worked_example_of_the_model_page_evaluates(tmp_path, capsys) -> None:
    path = tmp_path / "filter.yaml"
    path.write_text(next(text for name, _, text in blocks("yaml") if name == "model.md"))
    assert cli.run(["evaluate", str(path)]) == 0
    assert "2.213 nJ" in capsys.readouterr().out


@pytest.mark.parametrize("instead", [
    {"alexnet": "small.yaml", "alexnet_sparse": "small.yaml"}, pytest.param({}, marks=pytest.mark.slow)])
def test_commands_of_the_tour_run_in_order(instead, tmp_path, monkeypatch, capsys) -> None:
    """README's tour in a fresh folder: files that it shows are written, then every command runs, on small
    layers `instead` of networks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "small.yaml").write_text(SMALL)
    ran = 0
    for language, text in BLOCK.findall(page("README.md")):
        if name := FILE_NAME.match(text):
            (tmp_path / name[1]).write_text(text)
        for line in text.splitlines() if language == "sh" else ():
            words = shlex.split(line.partition("&& ")[2] or line, comments=True)
            if words[:1] == ["tilebound"]:
                words = [instead.get(word, word) for word in words]
                assert cli.run(words[1:]) == 0, f"{line}\n{capsys.readouterr().err}"
                ran += 1
    assert ran >= 6
    assert {"result.json", "report.txt", "report.html", "mapping.yaml"} <= {
        x.name for x in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize("name", [p.name for p in PAGES])
def test_links_lead_somewhere(name) -> None:
    where = next(p for p in PAGES if p.name == name).parent
    for target in LINK.findall(page(name)):
        if "://" not in target:
            assert (where / target).exists(), target


def test_the_format_page_names_every_key() -> None:
    from tilebound.hardware import build as hardware
    from tilebound.hardware import build_network as network
    from tilebound.workload import build as workload

    text = page("format.md")
    keys = {*hardware._LEVEL_KEYS, *hardware._ARCHITECTURE_KEYS, *network._KEYS, *workload._COMMON,
            *workload._WINDOW, "groups", "ranks", "tensors",
            "projection", "output", "alias", "layer", "mapping"}
    assert {key for key in keys if not re.search(rf"\b{key}\b", text)} == set()


def test_the_result_page_names_every_key() -> None:
    from tilebound.report.schema import json_schema

    text = page("result.md")
    names = {name for part in json_schema()["$defs"].values() for name in part.get("properties", ())}
    known_elsewhere = {"read_bandwidth", "write_bandwidth", "shared_bandwidth"}      # "bandwidths"
    assert {n for n in names - known_elsewhere if not re.search(rf"\b{n}\b", text)} == set()


def test_the_page_on_the_code_names_every_module_of_bounds_and_searches() -> None:
    text = page("architecture.md")
    for path in re.findall(r"`((?:bounds|search)/[\w/]+\.py)`", text):
        assert (ROOT / "mapper" / path).exists(), path
    rooms = re.findall(r"^\| `((?:bounds|search)/\w*/?)`[^|]*\|(.*)\|$", text, re.MULTILINE)
    assert len(rooms) > 5
    for room, row in rooms:
        there = {path.stem for path in (ROOT / "mapper" / room).glob("*.py")} - {"__init__"}
        assert set(re.findall(r"`(\w+)`", row)) == there, room
