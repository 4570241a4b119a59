"""The result document, its schema, and the reports made from it."""

import csv
import doctest
import io
import json
import os
import sys
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from types import SimpleNamespace

import jsonschema
import pytest
import tilebound as tb
import yaml
from tilebound.api import read_mapping
from tilebound.files import write_atomic
from tilebound.model.evaluate import evaluate
from tilebound.report import chart, units
from tilebound.report.document import digest, dumps, load_document, load_result, to_document
from tilebound.report.html import render_html
from tilebound.report.output import OUTPUTS, render_mappings, write_outputs
from tilebound.report.rows import render_csv, render_markdown
from tilebound.report.schema import json_schema, validate
from tilebound.report.tables import Table, show
from tilebound.report.text import render_text, summary
from tilebound.report.views import energy_by_level, energy_by_tensor, nest
from tilebound.search.result import NetworkResult

ARCHITECTURE = {
    "name": "tiny", "cycle": "1 ns",
    "levels": [
        {"name": "DRAM", "class": "DRAM", "energy": 100, "read_bandwidth": 2},
        {"name": "GLB", "class": "SRAM", "size": "2048 words", "area": 5000,
         "energy": {"read": 2, "fill": 3, "update": 3, "leak": 0.5},
         "fanout": {"x": 4, "y": 4}, "network": {"name": "bus", "ingress_energy": 0.5}},
        {"name": "RF", "class": "regfile", "size": "64 words", "energy": 0.5}],
    "compute": {"name": "MAC", "class": "intmac", "energy": 1.0}}

WORKLOAD = {"name": "pair", "layers": [
    {"name": "first", "type": "matmul", "M": 16, "N": 8, "K": 4, "count": 3},
    {"name": "second", "type": "conv", "K": 4, "C": 2, "P": 6, "Q": 1, "R": 3, "S": 1, "input": "first"}]}

MAPPINGS = {
    "first": """DRAM
                for M in 2
                GLB
                for N in 2
                for K in 2 (Spatial-Y)
                for M in 4 (Spatial-X)
                RF
                for M in 2
                for N in 4
                for K in 2""",
    # K along both axes: Timeloop's entries have no words for it
    "second": """DRAM
                 for P in 2
                 GLB [Weights, Outputs]
                 for K in 2 (Spatial-Y)
                 for K in 2 (Spatial-X)
                 RF
                 for C in 2
                 for P in 3
                 for R in 3"""}


def certificate(cost, gap):
    return tb.Certificate("edp", cost.edp, cost.edp * (1 - gap), cost.edp / 2,
                          "time_limit" if gap else "optimal", 1e9, 40, 30, 12, 3456, 0.25, {"x": [1.5]})


@pytest.fixture(scope="module", params=["searched", "evaluated"])
def result(request):
    architecture, graph = tb.load_architecture(ARCHITECTURE), tb.load_workload(WORKLOAD)
    layers = []
    for index, einsum in enumerate(graph):
        mapping = read_mapping(MAPPINGS[einsum.name], architecture, einsum)
        cost = evaluate(architecture, einsum, mapping)
        proof = certificate(cost, 0.1 * index) if request.param == "searched" else None
        layers.append(tb.LayerResult(einsum, graph.count(einsum.name), mapping, cost, proof))
    return tb.Result(NetworkResult(architecture, graph.name, "edp", tuple(layers)), graph)


@pytest.fixture
def document(result):
    return result.to_dict()


def test_document_has_the_shape_of_the_schema(document):
    schema = json.loads(resources.files("tilebound.report").joinpath("result.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(dumps(document)), schema, cls=jsonschema.Draft202012Validator)


def test_shipped_schema_is_the_one_that_checks_documents():
    text = resources.files("tilebound.report").joinpath("result.schema.json").read_text()
    assert json.loads(text) == json_schema()


def test_every_object_of_the_schema_refuses_unknown_keys():
    objects = [x for x in json_schema()["$defs"].values() if x["type"] == "object"]
    assert objects and all(x["additionalProperties"] is False for x in objects)


def test_document_is_written_in_one_order(result):
    assert dumps(result.to_dict()) == dumps(result.to_dict())
    assert list(result.to_dict()) == [
        "schema", "tool", "objective", "interrupted", "semantics", "architecture", "workload", "total",
        "layers"]


def test_counts_are_totals_over_the_instances_in_use(result, document):
    for layer, entry in zip(result.layers, document["layers"], strict=True):
        for level, shown in zip(layer.cost.levels, entry["levels"], strict=False):
            for name, tensor in level.tensors.items():
                n = level.utilized_instances
                assert shown["tensors"][name]["reads"]["actual"] == tensor.reads * n
                assert shown["tensors"][name]["fills"]["algorithmic"] == tensor.fills * n
                assert isinstance(shown["tensors"][name]["updates"]["actual"], int)
        assert entry["computes"]["actual"] == layer.einsum.macs
    rf = document["layers"][0]["levels"][2]
    assert rf["utilized_instances"] == 8
    assert rf["tensors"]["Weights"]["reads"]["actual"] == 16 * 8 * 4      # one operand a MAC


def test_words_on_a_network_are_totals_too(document):
    bus = document["layers"][0]["networks"][1]
    words = {name: t["accesses"] for name, t in bus["tensors"].items()}
    # 2 x 2 steps outside, in each 2 tiles (one for each half of K) of 2 x 4 words, each for 4 instances
    assert words["Weights"] == [{"factor": 4, "words": 64}]
    assert bus["energy_pj"] == 0.5 * sum(a["words"] for t in words.values() for a in t)


def test_energies_add_up(document):
    for layer in document["layers"]:
        for parts in (energy_by_level(layer), energy_by_tensor(layer)):
            assert sum(parts.values()) == pytest.approx(layer["energy_pj"], rel=1e-12)
    total = sum(x["energy_pj"] * x["count"] for x in document["layers"])
    assert document["total"]["energy_pj"] == pytest.approx(total, rel=1e-12)
    assert document["total"]["cycles"] == sum(x["cycles"] * x["count"] for x in document["layers"])
    assert document["total"]["macs"] == 3 * 512 + 144


def test_gap_of_the_network_is_that_of_the_summed_objective(document):
    if "certificate" not in document["layers"][0]:
        assert "certificate" not in document["total"]
        return
    first, second = (x["certificate"] for x in document["layers"])
    total = document["total"]["certificate"]
    assert total["value"] == pytest.approx(3 * first["value"] + second["value"])
    assert total["gap"] == pytest.approx(0.1 * second["value"] / total["value"])


def test_figures_carry_their_source():
    document = tb.Result(NetworkResult(tb.load_architecture("eyeriss"), "none", "edp", ()),
                         tb.WorkloadGraph("none", [])).to_dict()
    for level in document["architecture"]["levels"]:
        assert level["figures"] and all(x["source"] for x in level["figures"].values())
    for text in (render_text(document), render_html(document)):
        assert "sram.csv" in text and "LPDDR4" in text


def test_a_document_reads_back_as_what_it_was_made_from(result, tmp_path):
    result.to_json(tmp_path / "r.json")
    network, graph = load_result(tmp_path / "r.json")
    assert network == result.network
    assert to_document(network, graph) == result.to_dict()
    assert dumps(tb.load_result(tmp_path / "r.json").to_dict()) == (tmp_path / "r.json").read_text()
    assert dumps(tb.load_result(result.to_dict()).to_dict()) == (tmp_path / "r.json").read_text()


def test_embedded_specs_match_their_digests(document):
    for part in (document["architecture"], document["workload"]):
        assert digest(json.loads(json.dumps(part["spec"]))) == part["sha256"]


@pytest.mark.parametrize("damage, place", [
    (lambda d: d.pop("total"), "total"),
    (lambda d: d.update(extra=1), "extra"),
    (lambda d: d.update(schema="tilebound.result/2"), "schema"),
    (lambda d: d["layers"][0].update(cycles=1.5), "layers.0.cycles"),
    (lambda d: d["layers"][0].update(macs=0), "layers.0.macs"),
    (lambda d: d["layers"][1].update(name="first"), "layers"),
    (lambda d: d["layers"][1]["levels"].pop(), "layers.1.levels"),
    (lambda d: d["layers"][1]["levels"][0]["tensors"]["Inputs"]["reads"].update(actual=-1), "actual"),
    (lambda d: d["layers"][0]["networks"][0].update(level="nowhere"), "layers.0.networks"),
    (lambda d: d["total"].update(energy_pj=float("inf")), "total.energy_pj"),
    (lambda d: d["architecture"].update(cycle_seconds=0), "architecture.cycle_seconds"),
])
def test_a_document_of_another_shape_is_refused(document, damage, place):
    broken = json.loads(dumps(document))
    damage(broken)
    with pytest.raises(tb.SpecError) as caught:
        validate(broken, "r.json")
    assert any(place in p.message and p.file == "r.json" for p in caught.value.problems)


@pytest.mark.parametrize("text", ["", "{", "[1, NaN]", "[1e999]", "3", "[" * 100_000, '{"schema": 1}',
                                  "\xff", "[1" + "0" * 400 + "]"])
def test_what_is_no_document_is_refused(tmp_path, text):
    path = tmp_path / "r.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(tb.SpecError):
        load_document(path)


def test_a_document_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(tb.SpecError, match="cannot read the file"):
        load_document(tmp_path / "none.json")


def test_nest_lines_know_their_level(document):
    lines = nest(document["layers"][0])
    assert [(x.kind, x.level) for x in lines] == [
        ("level", 0), ("temporal", 0), ("level", 1), ("temporal", 1), ("spatial", 1), ("spatial", 1),
        ("level", 2), ("temporal", 2), ("temporal", 2), ("temporal", 2), ("compute", 3)]


def test_mappings_are_written_as_one_document_a_layer(document, result):
    first, second = yaml.safe_load_all(render_mappings(document))
    assert first["layer"] == "first" and first["mapping"][0]["type"] == "temporal"
    assert document["layers"][1]["mapping_spec"] is None      # K along both axes
    for entry, layer in zip((first, second), result.layers, strict=True):
        assert read_mapping(entry["mapping"], result.architecture, layer.einsum) == layer.mapping


def test_text_report_shows_every_part(document, result):
    text = render_text(document)
    for layer in result.layers:
        assert f"Layer {layer.name}" in text
    for word in ("DRAM", "GLB", "RF", "MAC", "Weights", "Spatial-X", "bus", "leakage", "Energy figures"):
        assert word in text
    assert ("proven lower bound" in text) == (result.layers[0].certificate is not None)
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_summary_has_a_row_a_layer_and_a_total(document, result):
    table = summary(document)
    assert [row[0] for row in table.rows] == ["first", "second", "total"]
    assert ("gap" in table.header) == (result.layers[0].certificate is not None)
    assert str(result) == str(table)


def test_a_frame_has_the_rows_of_the_document(document, result, monkeypatch):
    made = SimpleNamespace(DataFrame=lambda columns: columns)
    monkeypatch.setitem(sys.modules, "pandas", made)
    columns = result.to_frame()
    assert columns["name"] == ["first", "second"]
    assert columns["energy_pj"] == [layer["energy_pj"] for layer in document["layers"]]
    assert ("gap" in columns) == ("certificate" in document["layers"][0])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"tilebound\[frames\]"):
        result.to_frame()


def test_a_frame_is_one_of_pandas(result):
    import pandas
    frame = result.to_frame()
    assert isinstance(frame, pandas.DataFrame) and len(frame) == 2 and frame["cycles"].sum() > 0


def test_rows_hold_the_figures_of_the_document(document):
    rows = list(csv.DictReader(render_csv(document).splitlines()))
    for row, layer in zip(rows, document["layers"], strict=True):
        assert (row["name"], int(row["cycles"]), float(row["energy_pj"])) == (
            layer["name"], layer["cycles"], layer["energy_pj"])
        if "certificate" in layer:
            assert float(row["lower_bound"]) == layer["certificate"]["lower_bound"]
    tables = render_markdown(document).split("\n\n")[1:]
    assert all(len({line.count("|") for line in table.splitlines()}) == 1 for table in tables)
    assert all(any(f"| {layer['name']} | " in table for table in tables) for layer in document["layers"])


class Page(HTMLParser):
    """Tags of a page, with a check that they close in order."""

    VOID = frozenset({"meta", "rect", "line", "link", "br", "img"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.data = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.data.append(data)


def test_html_report_is_one_well_formed_file_that_loads_nothing(document):
    text = render_html(document)
    page = Page(text)
    assert sum(tag == "section" and a.get("class") == "layer" for tag, a in page.tags) == 2
    assert sum(tag == "svg" for tag, _ in page.tags) == (4 if "certificate" in document["total"] else 3)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}
    assert not any(key in a for _, a in page.tags for key in ("src", "onload", "onclick"))
    assert "http" not in text and "@import" not in text and "url(" not in text


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>',
                                  "{{ 7 * 7 }}{% raw %}", "</style><b>", "naïve 层 \u202e"])
def test_names_are_text_in_every_report(result, name):
    layer = result.layers[0]
    evil = replace(layer, einsum=replace(layer.einsum, name=name))
    architecture = replace(result.architecture, name=name)
    document = to_document(replace(result.network, architecture=architecture, layers=(evil,)))
    plain = {tag for tag, _ in Page(render_html(result.to_dict())).tags}
    page = Page(render_html(document))
    assert {tag for tag, _ in page.tags} <= plain
    assert name in "".join(page.data)
    assert name in render_text(document)
    assert next(iter(csv.DictReader(render_csv(document).splitlines())))["name"] == name
    assert "<" not in render_markdown(document)
    assert next(yaml.safe_load_all(render_mappings(document)))["layer"] == name


def test_notebooks_show_the_report_in_a_frame_without_rights(result):
    page = Page(result._repr_html_())
    ((tag, attributes),) = page.tags
    assert tag == "iframe" and "sandbox" in attributes
    assert attributes["srcdoc"] == render_html(result.to_dict())


def test_outputs_are_all_there_or_as_before(document, tmp_path, monkeypatch):
    write_outputs(document, tmp_path / "new" / "folder")
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == sorted(OUTPUTS)
    target = tmp_path / "file"
    write_atomic(target, "before")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(target, "after")
    assert target.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_writing_follows_links_and_spares_devices(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_atomic(tmp_path / "link", "text\n")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "text\n"
    write_atomic(os.devnull, "text")
    assert not os.path.isfile(os.devnull)


def test_bars_are_to_scale():
    drawing = chart.stacked("t", [("a", {"x": 3.0, "y": 1.0}), ("b", {"y": 2.0})],
                            {"x": "#000", "y": "#111"}, lambda v: f"{v:g}")
    a, b = drawing.bars
    assert [s.color for s in a.segments] == ["#000", "#111"]
    assert a.segments[0].width == pytest.approx(3 * a.segments[1].width, abs=0.03)
    assert a.segments[1].x == pytest.approx(a.segments[0].x + a.segments[0].width, abs=0.02)
    assert b.segments[0].width == pytest.approx(2 * a.segments[1].width, abs=0.03)
    assert [t.text for t in drawing.ticks] == ["0", "1", "2", "3", "4"]
    assert drawing.ticks[4].x == pytest.approx(a.segments[1].x + a.segments[1].width, abs=0.02)
    assert [name for name, _ in drawing.legend] == ["x", "y"]


def test_long_networks_are_drawn_in_pieces_on_one_axis(result):
    layer = result.layers[0]
    layers = tuple(replace(layer, count=1, einsum=replace(layer.einsum, name=f"l{i}")) for i in range(50))
    page = Page(render_html(to_document(replace(result.network, layers=layers))))
    kinds = 4 if layer.certificate else 3
    assert sum(tag == "svg" for tag, _ in page.tags) == 2 * kinds
    assert sum(tag == "a" for tag, _ in page.tags) == 50


def test_an_empty_or_idle_result_is_reported():
    empty = tb.Result(NetworkResult(tb.load_architecture(ARCHITECTURE), "none", "edp", (), True),
                      tb.WorkloadGraph("none", []))
    assert "interrupted" in render_text(empty.to_dict())
    assert "The search was interrupted" in render_html(empty.to_dict())


@pytest.mark.parametrize("value, text", [
    (999, "999"), (1000, "1.000 k"), (999.96, "1.000 k"), (0.5, "500.0 m"), (1e-30, "1.000e-12 a"),
    (-1500.0, "-1.500 k"), (0, "0"), (float("inf"), "-"), (1e30, "1.000e+06 Y")])
def test_prefixes(value, text):
    assert units.si(value) == text


def test_plain_tables_align_and_rule_off_the_total():
    table = Table(("name", "n"), total=True)
    table.add("a", "1")
    table.add("bb", "22")
    table.add("total", "23")
    assert str(table).splitlines() == ["name    n", "-----  --", "a       1", "bb     22", "-----  --",
                                       "total  23"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_terminals_get_whole_cells_whatever_their_width(document, monkeypatch):
    for columns in ("40", "300"):
        monkeypatch.setenv("COLUMNS", columns)
        stream = Terminal()
        show(summary(document), stream)
        assert all(cell in stream.getvalue() for row in summary(document).rows for cell in row)
        assert "…" not in stream.getvalue()


def test_examples_in_the_text_of_the_modules():
    assert doctest.testmod(units).failed == 0
    assert doctest.testmod(tb).failed == 0
