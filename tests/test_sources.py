"""Files that include others and templates: what they give, where faults point, and what they cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest
from tilebound.errors import SpecError
from tilebound.loading import load_specs
from tilebound.spec.nodes import Node, Problems
from tilebound.spec.sources import Sources


def read(folder: Path, files: dict[str, str], define: dict[str, object] | None = None,
         first: str = "top.yaml") -> tuple[list[Node], list[str]]:
    """The documents of one of the files, and the faults with places relative to the folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    problems = Problems()
    documents = Sources([folder], problems, define).read(folder / first)
    return documents, [str(error).replace(f"{folder}/", "") for error in problems.errors]


def one(folder: Path, files: dict[str, str], define: dict[str, object] | None = None,
        first: str = "top.yaml") -> Node:
    documents, faults = read(folder, files, define, first)
    assert faults == [] and len(documents) == 1
    return documents[0]


def test_listed_files_are_read_as_well(tmp_path: Path) -> None:
    documents, faults = read(tmp_path, {"top.yaml": "include: [sub/a.yaml, b.yaml]\nx: 1\n",
                                        "sub/a.yaml": "include: c.yaml\ny: 2\n", "sub/c.yaml": "z: 3\n",
                                        "b.yaml": "w: 4\n"})
    assert faults == [] and [d.plain() for d in documents] == [{"x": 1}, {"y": 2}, {"z": 3}, {"w": 4}]
    assert documents[2]["z"].place == f"{tmp_path}/sub/c.yaml:1"


def test_a_value_of_another_file_is_put_in_place(tmp_path: Path) -> None:
    top = one(tmp_path, {"top.yaml": "a: !include part.yaml\nb: !include [part.yaml, x.y]\n",
                         "part.yaml": "x:\n  y: [1, 2]\n"})
    assert top.plain() == {"a": {"x": {"y": [1, 2]}}, "b": [1, 2]}
    assert top["b"][1].place == f"{tmp_path}/part.yaml:2"


def test_merging(tmp_path: Path) -> None:
    top = one(tmp_path, {"top.yaml": "base: &base {a: {x: 1, y: 2}, b: 1}\n"
                         "flat: {<<: *base, a: {x: 3}}\ndeep: {<<<: *base, a: {x: 3}, c: 4}\n"
                         "file: {<<<: !include more.yaml, a: {x: 5}}\n", "more.yaml": "a: {z: 6}\n"})
    assert top["flat"].plain() == {"a": {"x": 3}, "b": 1}
    assert top["deep"].plain() == {"a": {"x": 3, "y": 2}, "b": 1, "c": 4}
    assert top["file"].plain() == {"a": {"x": 5, "z": 6}}


def test_a_template_computes_includes_and_keeps_places(tmp_path: Path) -> None:
    files = {"top.yaml.jinja2": """# a comment with {{ nothing.in_it }} that matters
{{add_to_path(cwd() ~ '/lib')}}
{% set size = 4 * factor + 1 %}
{% set name = name | default('part.yaml') %}
{% if path_exists('absent.yaml') %}
wrong: 1
{% endif %}
value: {{ size }}
part: {{ include(name, 'x') }}
all: {{ include_all('parts/*.yaml', 'classes') }}
list: {{ [1, 'two', true] }}
{% for i in range(2) %}
item{{ i }}: {{ find_path('part.yaml') | length > 0 }}
{% endfor %}
{{ include_text('text.yaml') }}
last: [
""", "lib/part.yaml": "x: {{ factor }}\n", "parts/a.yaml": "classes: [{name: a}]\n",
             "parts/b.yaml": "classes:\n- {name: b}\n", "text.yaml": "text: 7\n"}
    documents, faults = read(tmp_path, files | {"top.yaml.jinja2": files["top.yaml.jinja2"].replace(
        "{{ nothing.in_it }} ", "").replace("last: [\n", "")}, {"factor": 2}, "top.yaml.jinja2")
    assert faults == []
    top = documents[0]
    assert top.plain() == {
        "value": 9, "part": 2, "all": [{"name": "a"}, {"name": "b"}], "list": [1, "two", True],
        "item0": True, "item1": True, "text": 7}
    assert top["value"].line == 8 and top["item1"].line == 13
    assert top["part"].place == f"{tmp_path}/lib/part.yaml:1"
    assert top["all"][1]["name"].place == f"{tmp_path}/parts/b.yaml:2"


def test_faults_in_templates_are_located(tmp_path: Path) -> None:
    _, faults = read(tmp_path, {"top.yaml": "{% if true %}\n\n{% endif %}\na: 1\nb: [\n"})
    assert len(faults) == 1 and faults[0].startswith("top.yaml:6:1: error: YAML syntax")
    _, faults = read(tmp_path, {"top.yaml": "a: 1\nb: {{ widht }}\n"}, {"width": 3})
    assert faults == ["top.yaml:2: error: template: 'widht' is undefined; expected names that are defined, "
                      "plain values, {% set %}, {% if %} and {% for %}; values can be given: -D widht=VALUE"]
    _, faults = read(tmp_path, {"top.yaml": "a: 1\n\nb: {{ include('prat.yaml') }}\n", "part.yaml": "x: 1\n"})
    assert faults[0].startswith("top.yaml:3: error: template: cannot include 'prat.yaml': it is no file")
    assert faults[0].endswith("did you mean 'part.yaml'?")
    _, faults = read(tmp_path, {"top.yaml": "a: !include [part.yaml, y]\n", "part.yaml": "x: 1\n"})
    assert faults == ["part.yaml:1:1: error: no 'y' to include here; expected x"]


def test_all_names_without_a_value_are_told_at_once(tmp_path: Path) -> None:
    text = ("{% set own = 2 %}\n{% if path_exists(cwd()) and extra is defined %}\nx: {{ extra }}\n"
            "{% endif %}\na: {{ width }}\nb: {{ own }}\nc: {{ depth | default(1) }}\nd: {{ kind }}\n")
    _, faults = read(tmp_path, {"top.yaml": text})
    assert len(faults) == 1 and faults[0].startswith("top.yaml:5: error: template: 'width' is undefined")
    assert faults[0].endswith("; values can be given: -D kind=VALUE -D width=VALUE")
    documents, faults = read(tmp_path, {"top.yaml": text}, {"width": 3, "kind": "intmac"})
    assert faults == [] and documents[0].plain() == {"a": 3, "b": 2, "c": 1, "d": "intmac"}


def test_values_that_no_template_asks_for_are_faults(tmp_path: Path) -> None:
    (tmp_path / "machine.yaml").write_text(
        "architecture:\n  levels: [{name: D, energy: 1, fanout: {{ PES | default(2) }}}]\n"
        "  compute: {name: M, energy: 1}\n")
    assert load_specs([tmp_path / "machine.yaml"], define={"PES": 4}).architecture.fanout(0)[0] == 4
    for define, message in (({"PE": 4}, "expected PES; did you mean 'PES'?"),
                            ({"PES": 2, "range": 1}, "expected PES")):
        with pytest.raises(SpecError) as error:
            load_specs([tmp_path / "machine.yaml"], define=define)
        wrong = [*define][-1]
        assert str(error.value) == f"-D {wrong}: error: no SPEC takes a value by this name; {message}"
    with pytest.raises(SpecError, match="expected a SPEC that is a template"):
        load_specs(["eyeriss"], define={"PES": 4})
    with pytest.raises(SpecError) as error:
        load_specs([tmp_path / "none.yaml"], define={"PES": 4})
    assert "-D" not in str(error.value)         # what the file asks for is not known


def test_plain_files_are_no_templates(tmp_path: Path) -> None:
    assert one(tmp_path, {"top.yaml": "# {{ this }} and {% that %}\na: 1 # {{ more }}\n"}).plain() == {"a": 1}


@pytest.mark.parametrize("text", [
    "{{ ''.__class__.__mro__ }}", "{{ cwd.__globals__ }}", "{{ include.__init__.__globals__ }}",
    "{{ ''['__class__'] }}", "{{ (cwd)['__globals__'] }}", "{{ ''|attr('__class__') }}", "{{ self }}",
    "{{ self.__init__ }}", "{{ config }}", "{{ lipsum }}", "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner() }}", "{{ namespace() }}", "{{ dict(a=1) }}", "{{ [].append(1) }}", "{{ 'a'.format(1) }}",
    "{{ '{0.__class__}'.format(1) }}", "{{ '%s' % 1 }}", "{{ 'a'|format(1) }}", "{{ [1]|map('upper') }}",
    "{{ 1|pprint }}", "{% import 'a' as b %}", "{% include 'top.yaml' %}", "{% extends 'top.yaml' %}",
    "{% macro f() %}{% endmacro %}", "{% block a %}{% endblock %}", "{% filter upper %}{% endfilter %}",
    "{% set x %}{% endset %}", "{% with a = 1 %}{% endwith %}", "{{ cwd }}", "{{ range }}", "{{ cwd()() }}",
    "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}", "{{ loop }}", "{{ 'abc'[0:2] }}",
    "{{ caller() }}", "{{ request.application }}", "{{ undefined_name }}", "{{ 1/0 }}", "{{ 'a' + 1 }}",
    "{% for a in 5 %}{% endfor %}", "{{ }}", "{% if %}", "{% endfor %}", "{{ 1", "{{ include() }}"])
def test_templates_cannot_leave_the_sandbox(text: str, tmp_path: Path) -> None:
    _, faults = read(tmp_path, {"top.yaml": f"a: 1\n{text}\n"})
    assert len(faults) == 1 and faults[0].startswith("top.yaml:") and "error: template: " in faults[0]


@pytest.mark.parametrize("text", [
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(9999999) %}{% endfor %}", "{{ 'a' * 1000000000 }}", "{{ [0] * 1000000000 }}",
    "{{ 9 ** 99999 }}", "{{ 10 ** 100000000 }}", "{{ 'a'|center(1000000000) }}", "{{ '%1000000000d' % 1 }}",
    "{{ 'a'.ljust(1000000000) }}", "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}",
    "{% set x = [1] %}" + "{% set x = [x, x] %}" * 40 + "{{ x }}",
    "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x + x %}" * 40, "{{ " + "(" * 5000 + ")" * 5000 + " }}",
    "{{ " + "-" * 100000 + "1 }}", "{{ 1.5|round(1000000000) }}", "{{ lipsum(1000000) }}",
    "{% set x = {'a': 1} %}" + "{% set x = {'a': x, 'b': x} %}" * 40])
def test_templates_cannot_run_away(text: str, tmp_path: Path) -> None:
    _, faults = read(tmp_path, {"top.yaml": f"a: 1\n{text}\n"})
    assert len(faults) == 1 and "error: template: " in faults[0]


@pytest.mark.parametrize("name", [
    "../secret.yaml", "/etc/passwd", "sub/../../secret.yaml", "link.yaml", "folder/secret.yaml", "~/x",
    "file:///etc/passwd", "..", ".", "", "a\x00b", "x" * 5000])
def test_nothing_outside_of_the_folders_is_read(name: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.yaml").write_text("secret: 1\n")
    (inside / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (inside / "folder").symlink_to(tmp_path)
    quoted = name.replace("\x00", "\\0")
    for text in (f'a: !include "{quoted}"\n', f'include: ["{quoted}"]\n',
                 f'a: {{{{ include("{quoted}") }}}}\n', f'a: {{{{ include_text("{quoted}") }}}}\n',
                 f'a: {{{{ find_path("{quoted}") }}}}\n'):
        documents, faults = read(inside, {"top.yaml": text})
        assert len(faults) == 1 and faults[0].startswith("top.yaml:1:")
        assert "secret" not in str([document.plain() for document in documents])
    documents, faults = read(inside, {"top.yaml": f'a: {{{{ path_exists("{quoted}") }}}}\n'})
    assert faults == [] and documents[0].plain() == {"a": False}


@pytest.mark.parametrize("text", ["{{ add_to_path('..') }}", "{{ include_all('../*.yaml', 'secret') }}",
                                  "{{ include_all('*/../../*', 'secret') }}"])
def test_the_path_stays_inside_too(text: str, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.yaml").write_text("secret: 1\n")
    _, faults = read(tmp_path / "inside", {"top.yaml": f"a: {text}\n"})
    assert len(faults) == 1 and faults[0].startswith("top.yaml:1: error: template: cannot include")


@pytest.mark.parametrize("text", ["include: top.yaml\na: 1\n", "a: !include top.yaml\n",
                                  "a: {{ include('top.yaml') }}\n", "include: b.yaml\n"])
def test_files_cannot_include_themselves(text: str, tmp_path: Path) -> None:
    _, faults = read(tmp_path, {"top.yaml": text, "b.yaml": "include: top.yaml\n"})
    assert len(faults) == 1 and "a file that includes itself" in faults[0]


def test_values_do_not_multiply_without_end(tmp_path: Path) -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9))
    _, faults = read(tmp_path, {"top.yaml": laughs})
    assert any("aliases expand to millions of values" in fault for fault in faults)
    files = {f"f{i}.yaml": "[" + ", ".join([f"!include f{i - 1}.yaml"] * 10) + "]\n" for i in range(1, 9)}
    _, faults = read(tmp_path, files | {"f0.yaml": "[1]\n", "top.yaml": "a: !include f8.yaml\n"})
    assert faults and all("error: " in fault for fault in faults)
    merged = "a0: &a0 {x: {y: 1}}\n" + "".join(
        f"a{i}: &a{i} {{l: *a{i - 1}, r: *a{i - 1}, <<<: *a{i - 1}}}\n" for i in range(1, 30))
    _, faults = read(tmp_path, {"top.yaml": merged})
    assert any("aliases expand to millions of values" in fault for fault in faults)
