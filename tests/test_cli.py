"""The command line: answers, files and exit statuses."""

import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tilebound
from click.testing import CliRunner
from tilebound import cli
from tilebound.cli_output import saver
from tilebound.search.result import NetworkResult

SPEC = """
architecture:
  name: tiny
  levels:
    - {name: DRAM, class: DRAM, energy: 100}
    - {name: GLB, class: SRAM, size: 512 words, energy: 2, fanout: {x: 4, y: 2}}
    - {name: RF, class: regfile, size: 32 words, energy: 0.5}
  compute: {name: MAC, class: intmac, energy: 1.0}
workload:
  name: gemm
  layers:
    - {name: gemm, type: matmul, M: 16, N: 8, K: 4}
"""

MAPPING = """
mapping:
  - {target: DRAM, type: temporal, factors: M=2 N=1 K=1, permutation: MNK}
  - {target: GLB, type: temporal, factors: M=1 N=2 K=1, permutation: NMK}
  - {target: GLB, type: spatial, factors: M=4 N=1 K=2, permutation: MKN, split: 1}
  - {target: RF, type: temporal, factors: M=2 N=4 K=2, permutation: KNM}
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    return str(path)


@pytest.fixture
def mapping(tmp_path):
    path = tmp_path / "mapping.yaml"
    path.write_text(MAPPING)
    return str(path)


def test_evaluate_prints_a_table_on_stdout_alone(spec, mapping, capsys):
    assert cli.run(["evaluate", spec, mapping]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    header, _, gemm, *_ = out.splitlines()
    assert header.split() == ["layer", "count", "energy", "cycles", "utilization", "bottleneck"]
    assert gemm.split()[0] == "gemm"


def test_json_on_stdout_is_the_document_and_nothing_else(spec, mapping, capsys, tmp_path):
    assert cli.run(["evaluate", spec, mapping, "--json", "-o", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    assert err == "" and out == (tmp_path / "out" / "result.json").read_text()
    document = json.loads(out)
    assert document["schema"] == "tilebound.result/1"
    assert document["layers"][0]["computes"]["actual"] == 512
    assert "certificate" not in document["layers"][0]


def test_written_files_are_read_back_by_the_other_verbs(spec, mapping, capsys, tmp_path):
    out = tmp_path / "deep" / "out"
    assert cli.run(["evaluate", spec, mapping, "-o", str(out)]) == 0
    files = {p.name for p in out.iterdir()}
    assert files == {"mapping.yaml", "report.html", "report.txt", "result.json"}
    capsys.readouterr()
    assert cli.run(["report", str(out / "result.json")]) == 0
    assert capsys.readouterr().out == (out / "report.txt").read_text()
    page = tmp_path / "r.html"
    assert cli.run(["report", str(out / "result.json"), "--format", "html", "-o", str(page)]) == 0
    assert page.read_text() == (out / "report.html").read_text()
    capsys.readouterr()
    assert cli.run(["evaluate", spec, str(out / "mapping.yaml"), "--json"]) == 0
    assert capsys.readouterr().out == (out / "result.json").read_text()


def test_a_multi_layer_workload_takes_a_mapping_a_layer(spec, mapping, tmp_path, capsys):
    text = SPEC.replace("K: 4}", "K: 4}\n    - {name: next, type: matmul, M: 1, N: 2, K: 8, count: 2}")
    (tmp_path / "spec.yaml").write_text(text)
    documents = MAPPING + "layer: gemm\n---\nlayer: next\nmapping: |\n  DRAM\n  for N in 2\n  for K in 8\n"
    (tmp_path / "mapping.yaml").write_text(documents)
    assert cli.run(["evaluate", spec, mapping, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [x["name"] for x in document["layers"]] == ["gemm", "next"]
    assert document["total"]["macs"] == 512 + 2 * 16
    (tmp_path / "mapping.yaml").write_text(documents.replace("layer: next", "layer: nxt"))
    assert cli.run(["evaluate", spec, mapping]) == 2
    err = capsys.readouterr().err
    assert "no mapping for layer 'next'" in err and "'nxt'" in err


@pytest.mark.parametrize("change, words", [
    (("GLB, type: spatial, factors: M=4", "GLB, type: spatial, factors: M=8"), ["8", "4"]),
    (("M=2 N=4 K=2", "M=2 N=4 K=1"), ["rank K", "need 4"]),
    (("target: RF", "target: RG"), ["mapping.yaml:6", "'RG'", "RF"]),
    (("type: spatial", "type: spacial"), ["mapping.yaml:5", "spatial"]),
    (("mapping:", "maping:"), ["mapping.yaml:2", "maping", "mapping"]),
])
def test_bad_mappings_give_status_2_and_say_where(spec, mapping, tmp_path, capsys, change, words):
    (tmp_path / "mapping.yaml").write_text(MAPPING.replace(*change))
    assert cli.run(["evaluate", spec, mapping]) == 2
    out, err = capsys.readouterr()
    assert out == "" and all(word in err for word in words)
    assert "Traceback" not in err


def test_every_problem_is_reported_on_its_line(spec, tmp_path, capsys):
    (tmp_path / "spec.yaml").write_text(SPEC.replace("fanout:", "fannout:").replace("M: 16", "M: -1"))
    assert cli.run(["evaluate", spec]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(": error: " in line for line in lines)


@pytest.mark.parametrize("arguments, words", [
    (["evaluate", "eyeris"], "did you mean 'eyeriss'"),
    (["evaluate", "eyeriss"], "no workload"),
    (["map", "alexnet"], "no architecture"),
    (["evaluate", "eyeriss", "alexnet"], "no mapping for layer 'conv1'"),
    (["report", "none.json"], "none.json"),
    (["check", "none.json"], "none.json"),
    (["map", "eyeriss", "alexnet", "--objective", "beauty"], "beauty"),
    (["map", "eyeriss", "alexnet", "--objective", "edp,edp"], "two that differ"),
    (["map", "eyeriss", "alexnet", "--jobs", "0"], "jobs"),
    (["frobnicate"], "frobnicate"),
    (["map", "eyeriss", "alexnet", "-o", ""], "expected a path"),
    (["map", "eyeriss", "alexnet", "--points", "5"], "only a front has points"),
    (["map", "eyeriss", "alexnet", "--objective", "edp,"], "objective 'edp,'"),
    (["map", "eyeriss", "alexnet", "--objective", "EDP"], "did you mean 'edp'"),
    (["convert", "eyeriss", "--to", "native", "-o", ""], "expected a path"),
    (["check", ""], "expected a path"),
    (["map", "eyeriss", ""], "without a name"),
    (["map", "eyeriss", "alexnet", "-D", "size=1"], "-D size: error: no SPEC takes a value by this name"),
    (["evaluate"], "SPEC"),
])
def test_bad_input_gives_status_2(arguments, words, capsys):
    assert cli.run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and words in err and "Traceback" not in err


def test_a_folder_that_cannot_be_made_is_bad_input(spec, mapping, tmp_path, capsys):
    assert cli.run(["evaluate", spec, mapping, "-o", str(tmp_path / "spec.yaml" / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "spec.yaml" in err


@pytest.mark.parametrize("text", ["mapping: [{target: NONE, type: temporal}]\n",
                                  "mapping: [{target: RF, type: temporal, factors: K=7}]\n"])
def test_nothing_is_left_behind_where_a_mapping_is_wrong(spec, tmp_path, capsys, text):
    (tmp_path / "wrong.yaml").write_text(text)
    assert cli.run(["evaluate", spec, str(tmp_path / "wrong.yaml"), "-o", str(tmp_path / "out")]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_constraints_are_kept_to_stored_and_checked(spec, tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("mapspace_constraints: [{target: RF, type: temporal, factors: K=1}]\n")
    assert cli.run(["map", spec, str(tmp_path / "c.yaml"), "-o", str(tmp_path / "out")]) == 0
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    assert document["constraints"] == {"levels": [{"level": "RF", "temporal": {"factors": {"K": 1}}}]}
    assert cli.run(["check", str(tmp_path / "out" / "result.json")]) == 0
    document["constraints"]["levels"][0]["temporal"]["factors"] = {"K": 7}
    (tmp_path / "forged.json").write_text(json.dumps(document))
    assert cli.run(["check", str(tmp_path / "forged.json")]) == 1
    assert "temporal factor of rank K" in capsys.readouterr().err


def test_faults_in_constraints_are_located(spec, tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("mapspace_constraints:\n  - {target: RG, type: temporal, factors: K=1}\n"
                                     "  - {target: RF, type: temporal, factors: X=1}\n")
    assert cli.run(["map", spec, str(tmp_path / "c.yaml")]) == 2
    err = capsys.readouterr().err
    assert "c.yaml:2:14: error: no storage level 'RG'" in err and "c.yaml:3:" in err


def test_a_constraint_that_rules_all_out_is_named(spec, tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("constraints: [{target: RF, type: temporal, factors: K=3}]\n")
    assert cli.run(["map", spec, str(tmp_path / "c.yaml")]) == 3
    err = capsys.readouterr().err
    assert "no valid mapping" in err and "c.yaml:1:" in err and "RF temporal factor of K is 3" in err


def test_the_mapper_section_gives_options_and_warnings(spec, mapping, searching, tmp_path, capsys):
    (tmp_path / "m.yaml").write_text("mapper: {optimization_metrics: [delay, edp, energy], num_threads: 3,\n"
                                     "         timeout: 100, live_status: false}\n")
    seen = {}
    searching(lambda architecture, graph, **options: seen.update(options) or found(spec, mapping))
    assert cli.run(["map", spec, str(tmp_path / "m.yaml")]) == 0
    assert (seen["objective"], seen["jobs"]) == ("latency,edp", 3)
    err = capsys.readouterr().err
    assert "m.yaml:1:45: warning: metric 'energy' is not used: mappings that are equal in latency and" in err
    assert "m.yaml:2:" in err
    assert cli.run(["map", spec, str(tmp_path / "m.yaml"), "--objective", "edp", "--jobs", "1"]) == 0
    assert (seen["objective"], seen["jobs"]) == ("edp", 1)


def test_the_library_is_listed(capsys):
    assert cli.run(["list"]) == 0
    out = capsys.readouterr().out
    assert "eyeriss" in out and "resnet18" in out
    assert cli.run(["list", "arch"]) == 0
    out = capsys.readouterr().out
    assert "eyeriss" in out and "resnet18" not in out


def found(spec_path, mapping_path, **changes):
    """A search result as `search_network` would give it."""
    loaded = tilebound.load_architecture(spec_path), tilebound.load_workload(spec_path)
    einsum = loaded[1]["gemm"]
    import yaml

    layer = tilebound.api.evaluate_layer(loaded[0], einsum, yaml.safe_load(MAPPING)["mapping"])
    proof = tilebound.Certificate("edp", layer.cost.edp, layer.cost.edp, layer.cost.edp / 2, "optimal",
                                  1e3, 4, 3, 2, 100, 0.5, {})
    layer = replace(layer, certificate=proof)
    return replace(NetworkResult(loaded[0], "gemm", "edp", (layer,)), **changes)


@pytest.fixture
def searching(monkeypatch):
    """Puts a function in the place of the search."""
    module = importlib.import_module("tilebound.search.network")
    return lambda function: monkeypatch.setattr(module, "search_network", function)


def test_map_hands_its_options_to_the_search(spec, mapping, searching, capsys):
    seen = {}

    def search_network(architecture, graph, **options):
        seen.update(options, levels=len(architecture.levels), layers=len(graph))
        return found(spec, mapping)

    searching(search_network)
    arguments = ["--objective", "edp", "--gap", "0.1", "--time-limit", "5", "--jobs", "2", "--seed", "7"]
    assert cli.run(["map", spec, *arguments]) == 0
    assert seen == {"objective": "edp", "gap": 0.1, "time_limit": 5.0, "jobs": 2, "seed": 7,
                    "constraints": tilebound.Constraints(), "semantics": "exact", "points": 20,
                    "explain": False, "progress": None, "save": None, "levels": 3, "layers": 1}
    out, err = capsys.readouterr()
    assert err == "" and "optimal" in out


def test_an_interrupted_search_writes_what_it_has(spec, mapping, searching, capsys, tmp_path):
    searching(lambda *_, **__: found(spec, mapping, interrupted=True))
    assert cli.run(["map", spec, "-o", str(tmp_path / "out")]) == 130
    out, err = capsys.readouterr()
    assert "gemm" in out and "interrupted" in err
    assert json.loads((tmp_path / "out" / "result.json").read_text())["interrupted"] is True


@pytest.mark.parametrize("error, status, words", [
    (tilebound.InfeasibleError("gemm: RF: 3 words needed, 2 there"), 3, "3 words needed"),
    (KeyboardInterrupt(), 130, "interrupted"),
    (ZeroDivisionError("oops"), 1, "internal error: ZeroDivisionError: oops"),
])
def test_errors_of_the_search_have_their_status(spec, searching, capsys, monkeypatch, error, status, words):
    def search_network(*_, **__):
        raise error

    monkeypatch.delenv("TILEBOUND_DEBUG", raising=False)
    searching(search_network)
    assert cli.run(["map", spec]) == status
    out, err = capsys.readouterr()
    assert out == "" and words in err and "Traceback" not in err


def test_internal_errors_are_raised_when_debugging(spec, searching, monkeypatch):
    def search_network(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setenv("TILEBOUND_DEBUG", "1")
    searching(search_network)
    with pytest.raises(ZeroDivisionError):
        cli.run(["map", spec])


def test_map_and_check_from_end_to_end(spec, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.run(["map", spec, "-o", str(out)]) == 0
    assert "optimal" in capsys.readouterr().out
    assert cli.run(["check", str(out / "result.json")]) == 0
    assert "hold" in capsys.readouterr().out
    assert cli.run(["evaluate", spec, str(out / "mapping.yaml"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    document = json.loads((out / "result.json").read_text())
    assert again["total"]["energy_pj"] == document["total"]["energy_pj"]
    document["layers"][0]["energy_pj"] *= 0.5
    (out / "result.json").write_text(json.dumps(document))
    assert cli.run(["check", str(out / "result.json")]) == 1
    assert "check failed" in capsys.readouterr().err


def test_help_names_the_exit_statuses():
    runner = CliRunner()
    for arguments in (["--help"], ["map", "--help"], ["evaluate", "--help"]):
        output = runner.invoke(cli.cli, arguments).output
        assert "Exit status" in output and "130" in output
    assert "check failed" in runner.invoke(cli.cli, ["check", "--help"]).output


def test_a_place_that_cannot_keep_the_best_so_far_does_not_end_a_search(spec, mapping, tmp_path, capsys):
    (tmp_path / "result.json").mkdir()
    save = saver(tilebound.load_workload(spec), tmp_path)
    save(found(spec, mapping))
    save(found(spec, mapping))
    assert capsys.readouterr().err.count("the best so far is not kept") == 1


@pytest.mark.parametrize(("change", "words"), [
    (("M: 16", "M: " + "9" * 400), "expected a whole number, at most 1125899906842624"),
    (("x: 4, y: 2", "x: 1e15, y: 1e15"), "instances; expected at most"),
    (("energy: 100", "energy: 1e308"), "expected a number of up to 1e+100"),
    (("type: matmul", "type: {a: 1}"), "unknown layer type a mapping"),
    (("type: matmul, M: 16, N: 8, K: 4", "type: conv, C: 4, K: 4, P: 4, Q: 4, R: 1, S: 1, stride: 1e14"),
     "too many words"),
    (("y: 2", "y: true"), "y is true; expected a whole number, 1 or more")])
def test_figures_that_cannot_be_reckoned_with_are_bad_input(spec, capsys, change, words):
    Path(spec).write_text(SPEC.replace(*change))
    assert cli.run(["map", spec]) == 2
    err = capsys.readouterr().err
    assert words in err and len(err) < 1000


def test_nothing_to_convert_is_said(tmp_path, capsys):
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert cli.run(["convert", str(tmp_path / "empty.yaml"), "--to", "native"]) == 2
    assert "nothing to convert" in capsys.readouterr().err


@pytest.mark.parametrize(("redirection", "status"), [
    (">&-", 0), ("2>&-", 0), ("| head -c 1 > {out}", 0), ("> /dev/full", 2)])
def test_an_answer_that_nobody_reads_is_no_fault_of_the_command(spec, mapping, tmp_path, redirection, status):
    command = f"{sys.executable} -m tilebound evaluate {spec} {mapping} {redirection}"
    shell = f"set -o pipefail; {command}".format(out=tmp_path / "out")
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert done.returncode == status and "internal" not in done.stderr and "Traceback" not in done.stderr


def test_the_exit_status_is_right_where_errors_cannot_be_printed(tmp_path):
    shell = f"{sys.executable} -m tilebound map {tmp_path}/none.yaml 2> /dev/full"
    assert subprocess.run(["bash", "-c", shell], check=False).returncode == 2


def test_the_module_runs_as_a_command(spec, mapping):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}      # a stdout without the sign for micro
    done = subprocess.run([sys.executable, "-m", "tilebound", "evaluate", spec, mapping],
                          capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"gemm" in done.stdout
    done = subprocess.run([sys.executable, "-m", "tilebound", "--version"], capture_output=True, check=True)
    assert tilebound.__version__ in done.stdout.decode()
    done = subprocess.run([sys.executable, "-m", "tilebound", "evaluate", "none.yaml"], capture_output=True,
                          check=False)
    assert done.returncode == 2 and b"none.yaml: error" in done.stderr


def test_import_leaves_heavy_modules_alone():
    code = ("import sys, tilebound, tilebound.cli\n"
            "heavy = {'numpy', 'networkx', 'cvxpy', 'scipy', 'pydantic', 'jinja2', 'rich', 'yaml'}\n"
            "print(heavy & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_public_names_are_there_and_search_stays_a_function():
    code = ("import tilebound as tb\n"
            "assert all(hasattr(tb, name) for name in tb.__all__)\n"
            "import tilebound.search.result\n"
            "from tilebound.search import result\n"
            "assert callable(tb.search) and tb.search.__module__ == 'tilebound.api'\n"
            "assert not hasattr(tb, 'nonsense') and '__version__' in dir(tb)\n")
    subprocess.run([sys.executable, "-c", code], check=True)


CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize("case, exact, timeloop", [
    ("gemm_imperfect_s", 7424, 7168), ("gemm2_order_MNK", 960, 960)])
def test_layers_that_the_semantics_count_differently_are_flagged(case, exact, timeloop, tmp_path, capsys):
    counts = {"exact": exact, "timeloop": timeloop}
    for semantics, other in (("exact", "timeloop"), ("timeloop", "exact")):
        folder = tmp_path / semantics
        case_file = str(CASES / case / "input.yaml")
        assert cli.run(["evaluate", case_file, "--semantics", semantics, "-o", str(folder)]) == 0
        document = json.loads((folder / "result.json").read_text())
        assert document["semantics"] == semantics
        layer = document["layers"][0]
        assert layer["computes"]["actual"] == counts[semantics]
        said = f"would differ under {other} semantics"
        differs = counts[semantics] != counts[other]
        assert (said in (folder / "report.txt").read_text()) == differs
        assert (said in (folder / "report.html").read_text()) == differs
        if differs:
            assert layer["difference"]["semantics"] == other
            assert layer["difference"]["computes"] == counts[other]
        else:
            assert "difference" not in layer
        assert cli.run(["check", str(folder / "result.json")]) == 0


def test_a_mapping_that_exact_semantics_refuse_says_so(tmp_path, capsys):
    arguments = [str(CASES / "gemm_skew" / "input.yaml"), "-o", str(tmp_path)]
    assert cli.run(["evaluate", *arguments, "--semantics", "timeloop"]) == 0
    assert json.loads((tmp_path / "result.json").read_text())["layers"][0]["difference"] == {
        "semantics": "exact", "energy_pj": None, "cycles": None, "computes": None}
    assert "refuse this mapping" in (tmp_path / "report.txt").read_text()
    assert cli.run(["check", str(tmp_path / "result.json")]) == 0
    assert cli.run(["evaluate", *arguments]) == 2
