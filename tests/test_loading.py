"""Library names, files and dicts; merging; every fault of a set of inputs at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tilebound.errors import SpecError
from tilebound.hardware.write import architecture_to_dict
from tilebound.loading import library_names, load_architecture, load_specs, load_workload
from tilebound.workload.build import workload_to_dict

ARCHITECTURE = "architecture: {name: a, levels: [{name: DRAM, energy: 5}], compute: {name: PE, energy: 1}}\n"
WORKLOAD = "workload: {name: w, layers: [{name: l, type: matmul, M: 2, N: 2, K: 2}]}\n"


def write(folder: Path, **files: str) -> list[Path]:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return [folder / f"{name}.yaml" for name in files]


def faults(sources: list, **kwargs) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_specs(sources, **kwargs)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("name", [name for name, _ in library_names("arch")])
def test_library_architectures_load_and_have_every_energy(name: str) -> None:
    machine = load_architecture(name)
    assert machine.name == name
    assert all({"read", "fill", "update"} <= set(level.energy) for level in machine.levels)
    assert load_architecture(architecture_to_dict(machine)) == machine


@pytest.mark.parametrize("name", [name for name, _ in library_names("workloads")])
def test_library_workloads_load_and_survive_writing(name: str) -> None:
    graph = load_workload(name)
    again = load_workload(workload_to_dict(graph))
    assert graph.name == name
    assert list(again) == list(graph)
    assert [e.aliases for e in again] == [e.aliases for e in graph]
    assert workload_to_dict(again) == workload_to_dict(graph)
    assert list(again.graph.edges(data=True)) == list(graph.graph.edges(data=True))


def test_every_library_entry_says_what_it_is() -> None:
    for kind in ("arch", "workloads"):
        assert all(description for _, description in library_names(kind))


def test_files_merge_by_top_level_key(tmp_path: Path) -> None:
    paths = write(tmp_path, a=ARCHITECTURE, w=WORKLOAD, m="mapping: [{target: DRAM, type: temporal}]\n"
                  "constraints: {targets: []}\n")
    loaded = load_specs([paths[0], str(paths[1]), paths[2]], need=("architecture", "workload", "mapping"))
    assert loaded.architecture is not None and loaded.architecture.name == "a"
    assert loaded.workload is not None and loaded.workload.macs == 8
    assert loaded.mappings[""].plain() == [{"target": "DRAM", "type": "temporal"}]
    assert loaded.mappings[""][0]["type"].line == 1
    assert loaded.sections["constraints"].plain() == {"targets": []}
    assert loaded.unsupported == ()


def test_sections_may_name_library_entries() -> None:
    loaded = load_specs([{"architecture": "eyeriss", "workload": "alexnet"}])
    assert loaded.architecture == load_architecture("eyeriss")
    assert loaded.workload is not None and len(loaded.workload) == 8


def test_a_mapping_for_each_layer(tmp_path: Path) -> None:
    text = "layer: l1\nmapping: [a]\n---\nlayer: l2\nmapping: [b]\n"
    loaded = load_specs(write(tmp_path, m=text))
    assert {layer: node.plain() for layer, node in loaded.mappings.items()} == {"l1": ["a"], "l2": ["b"]}
    (fault,) = faults(write(tmp_path, m=text.replace("l2", "l1")))
    assert ":5:1: error: a second mapping; expected one; the first is at " in fault


def test_the_same_key_twice_names_both_places(tmp_path: Path) -> None:
    first, second = write(tmp_path, a=ARCHITECTURE, b=ARCHITECTURE)
    assert faults([first, second]) == [
        f"{second}:1:1: error: a second architecture; expected one; the first is at {first}:1"]
    both = faults([first, *write(tmp_path, w=WORKLOAD, p="problem: {}\n")])
    assert any("both a workload and a problem" in fault for fault in both)


def test_faults_of_all_files_come_together(tmp_path: Path) -> None:
    paths = write(tmp_path, a=ARCHITECTURE.replace("energy: 5", "enrgy: 5"), b="mapping: [", d="- 1\n",
                  w=WORKLOAD.replace("M: 2", "M: two"), c="architectur: {}\nmapper: \n")
    found = faults([*paths, tmp_path / "absent.yaml", "eyeris"])
    places = {fault.split(" error: ")[0].removeprefix(f"{tmp_path}/") for fault in found}
    assert places == {"a.yaml:1:47:", "b.yaml:2:1:", "c.yaml:1:1:", "c.yaml:2:1:", "d.yaml:1:1:",
                      "w.yaml:1:57:", "absent.yaml:", "eyeris:"}
    text = "\n".join(found)
    for part in ("did you mean 'energy'?", "did you mean 'architecture'?", "did you mean 'eyeriss'?",
                 "No such file", "mapper is empty", "M is 'two'", "the document is a list"):
        assert part in text


def test_faults_in_a_dict_have_a_place_too() -> None:
    machine = {"levels": [{"name": "A", "fanouts": 2}], "compute": {"name": "P"}}
    (fault,) = faults([{"architecture": machine}])
    assert fault.startswith("<dict>: error: unknown key 'fanouts' in level")
    with pytest.raises(SpecError, match="value of type set"):
        load_architecture({"levels": {1, 2}})


def test_what_is_needed_must_be_there(tmp_path: Path) -> None:
    (path,) = write(tmp_path, a=ARCHITECTURE)
    assert faults([path], need=("architecture", "workload")) == [
        f"{path}: error: no workload in it; expected the key 'workload'"]
    with pytest.raises(SpecError, match="no workload in it"):
        load_workload(path)
    with pytest.raises(SpecError, match=r"one of alexnet, .*; did you mean 'resnet18'"):
        load_workload("resnet_18")


def test_a_component_without_a_price_is_a_fault_at_its_level(tmp_path: Path) -> None:
    (path,) = write(tmp_path, a="architecture:\n  levels:\n  - {name: A, energy: 1}\n"
                    "  - {name: B, class: abacus}\n  compute: {name: P, energy: 1}\n")
    (fault,) = faults([path])
    assert fault.startswith(f"{path}:4:5: error: no energy for B")


def test_what_cannot_be_evaluated_is_refused_where_it_cannot_be_recorded() -> None:
    tree = {"subtree": [{"name": "s", "local": [
        {"name": "D", "class": "DRAM", "attributes": {"min_utilization": 0.5}},
        {"name": "P", "class": "mac"}]}]}
    table = {"tables": [{"name": "D", "actions": [{"name": "read", "energy": 1}]},
                        {"name": "P", "actions": [{"name": "mac", "energy": 1}]}]}
    assert len(load_specs([{"architecture": tree, "ERT": table}]).unsupported) == 1
    with pytest.raises(SpecError, match="a minimum utilization cannot be evaluated"):
        load_architecture({"architecture": tree, "ERT": table})
