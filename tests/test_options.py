"""Switches that Timeloop takes from environment variables: in a file, on the command line, in the result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tilebound as tb
import yaml
from tilebound.cli import run
from tilebound.errors import SpecError
from tilebound.loading import load_specs
from tilebound.model.options import with_switches
from tilebound.report.check import check_document

CASES = Path(__file__).parent / "cases"
RECORDED = {"env_no_first_elision": ("first-read-elision=off", "TIMELOOP_ENABLE_FIRST_READ_ELISION", 0),
            "env_updated_rmw": ("updated-rmw=on", "TIMELOOP_ENABLE_UPDATED_RMW", "1"),
            "conv1_sp_link_toroidal": ("torus=on", "TIMELOOP_ENABLE_TOROIDAL_LINKS", True)}


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["evaluate", "--json", "--semantics", "timeloop", *arguments]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def words(document: dict[str, Any]) -> dict[str, Any]:
    return {(level["name"], tensor): [x[key]["actual"] for key in ("reads", "fills", "updates")]
            for level in document["layers"][0]["levels"] for tensor, x in level["tensors"].items()}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_cases_run_from_the_command_line(name: str, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    switch, variable, value = RECORDED[name]
    file = str(CASES / name / "input.yaml")
    document = evaluated(capsys, file, "--option", switch)
    expected = json.loads((CASES / name / "expected.json").read_text())
    assert document["total"]["energy_pj"] == pytest.approx(expected["summary"]["energy_pj"], rel=1e-9)
    instances = {level["name"]: level["utilized_instances"] for level in document["layers"][0]["levels"]}
    for level, printed in expected["levels"].items():
        for tensor, x in printed.get("tensors", {}).items():
            assert words(document)[level, tensor] == [x[f"scalar_{key}_per_instance"] * instances[level]
                                                      for key in ("reads", "fills", "updates")]
    usual = evaluated(capsys, file)
    assert words(usual) != words(document) and "options" not in usual
    key = switch.partition("=")[0].replace("-", "_")
    assert document["options"] == {key: switch.endswith("on")}
    assert check_document(document) == []  # type: ignore[arg-type]
    path = tmp_path / "globals.yaml"
    path.write_text(yaml.safe_dump({"globals": {"version": 0.4, "environment_variables": {variable: value}}}))
    assert evaluated(capsys, file, str(path)) == document
    usually = switch.replace("=on", "=0") if switch.endswith("on") else switch.replace("=off", "=1")
    assert evaluated(capsys, file, str(path), "--option", usually) == usual


def test_reports_say_what_was_switched(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = str(CASES / "conv1_sp_link_toroidal" / "input.yaml")
    arguments = ["--option", "torus=on", "--option", "first-read-elision=off", "-o", str(tmp_path)]
    assert run(["evaluate", file, *arguments]) == 0
    said = "Counted with exact semantics, without first read elision, with toroidal links; "
    assert said in (tmp_path / "report.txt").read_text() and said in (tmp_path / "report.html").read_text()
    capsys.readouterr()
    assert run(["check", str(tmp_path / "result.json")]) == 0
    loaded = tb.load_result(tmp_path / "result.json")
    assert loaded.network.options == tb.Options(first_read_elision=False, torus=True)


def test_a_search_refuses_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "globals.yaml"
    path.write_text("globals:\n  environment_variables:\n    TIMELOOP_ENABLE_FIRST_READ_ELISION: 1\n"
                    "    TIMELOOP_ENABLE_TOROIDAL_LINKS: 1\n")
    assert run(["map", "eyeriss", str(CASES / "conv1_s1" / "input.yaml"), str(path)]) == 2     # two machines
    capsys.readouterr()
    assert run(["map", str(CASES / "conv1_s1" / "input.yaml"), str(path)]) == 2
    line, = capsys.readouterr().err.splitlines()
    assert line == (f"{path}:4:5: unsupported: TIMELOOP_ENABLE_TOROIDAL_LINKS=1: a search does not take it; "
                    "expected the default; given mappings can be evaluated so")


@pytest.mark.parametrize(("switch", "reason"), [
    ("torsu=on", "no option 'torsu'; expected one of first-read-elision, torus, updated-rmw; "
                 "did you mean 'torus'?"),
    ("torus=maybe", "torus is 'maybe'; expected on or off"), ("torus", "'torus'; expected NAME=on|off")])
def test_wrong_switches(switch: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(CASES / "conv1_s1" / "input.yaml"), "--option", switch]) == 2
    assert reason in " ".join(capsys.readouterr().err.split())


def test_variables_of_other_names_and_values(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("globals:\n  environment_variables:\n    TIMELOOP_ENABLE_TORODAL_LINKS: 1\n"
                    "    TIMELOOP_HIDE_INCONSEQUENTIAL_STATS: 0\n    OTHER: 1\n")
    loaded = load_specs([path])
    note, = loaded.notes
    assert note.line == 3 and "did you mean 'TIMELOOP_ENABLE_TOROIDAL_LINKS'?" in note.message
    assert loaded.options == tb.Options()
    path.write_text("globals: {environment_variables: {TIMELOOP_ENABLE_UPDATED_RMW: yes please}}\n")
    with pytest.raises(SpecError, match=r"1:64: error: TIMELOOP_ENABLE_UPDATED_RMW is 'yes please'"):
        load_specs([path])


def test_settings_one_by_one() -> None:
    given = tb.Options(torus=True)
    assert with_switches(given, {"updated_rmw": "ON"}) == replace(given, updated_rmw=True)
    assert with_switches(given, {}).changed() == {"torus": True}


def test_sections_without_a_meaning_are_noted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "more.yaml"
    path.write_text("layout: []\nmodel:\n  version: 0.4\n")
    assert run(["evaluate", str(CASES / "conv1_s1" / "input.yaml"), str(path)]) == 0
    noted = [line for line in capsys.readouterr().err.splitlines() if "more.yaml" in line]
    assert noted == [f"{path}:1:9: note: 'layout' is not used here",
                     f"{path}:3:3: note: 'model' is not used here"]
