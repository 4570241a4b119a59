"""`tilebound energy`: figures of a component, of a whole machine, and the classes there are."""

import json

import pytest
import tilebound as tb
from tilebound.cli import run


def asked(capsys, *arguments, status=0):
    assert run(["energy", *arguments]) == status
    return capsys.readouterr()


def test_a_component(capsys):
    out = asked(capsys, "sram", "depth=16384", "width=64", "node=45nm").out
    cell = tb.EnergyTable.default().sram(bits=16384 * 64, width=64, node_nm=45)
    for value in (cell.read_pj, cell.write_pj, cell.area_um2, cell.leakage_mw, cell.read_pj / 64):
        assert f"{value:.4g}" in out
    assert out.startswith("sram ") and "depth=16384" in out.splitlines()[0]
    assert "table row" in out and "sram.csv 45nm itrs-lstp 1RW" in out


def test_a_component_as_json(capsys):
    captured = asked(capsys, "sram", "depth=16384", "width=64", "node=0.045um", "--json")
    found = json.loads(captured.out)
    cell = tb.EnergyTable.default().sram(bits=16384 * 64, width=64, node_nm=45)
    assert found["actions"]["read"]["value"] == cell.read_pj and found["access_bits"] == 64
    assert found["actions"]["read"]["basis"] == "table row" and found["actions"]["read"]["source"]
    assert (found["area_um2"]["value"], found["leakage_mw"]["value"]) == (cell.area_um2, cell.leakage_mw)
    assert found["parameters"]["node"] == {"value": 45, "unit": "nm"}
    assert captured.err == ""


def test_a_size_stands_for_a_depth(capsys):
    one, other = (json.loads(asked(capsys, "sram", *given, "node=65nm", "--json").out) for given in (
        ("depth=13824", "width=64"), ("size=108KiB", "width=8B")))
    assert one["actions"] == other["actions"] and one["area_um2"] == other["area_um2"]


@pytest.mark.parametrize("name", ["eyeriss", "machine.yaml"])
def test_a_machine_where_a_class_should_stand(capsys, name):
    assert "expected --arch before it" in asked(capsys, name, status=2).err


def test_components_of_a_description(capsys, tmp_path):
    path = tmp_path / "own.yaml"
    row = "{class: my_mac, bits: 8, node: 45nm, compute: 0.2 pJ, source: our chip}"
    path.write_text(f"components: [{row}]")
    out = asked(capsys, "my_mac", "bits=8", "node=45nm", "--arch", str(path)).out
    assert "our chip" in out and out.startswith("my_mac bits=8")
    out = asked(capsys, "my_mac", "bits=8", "node=45nm").out      # a name that the library takes for its own
    assert "our chip" not in out and out.startswith("my_mac (intmac) bits=8")


def test_what_is_beyond_the_table_is_marked(capsys):
    out = asked(capsys, "sram", "depth=1024", "width=4", "node=45nm").out
    assert "Extrapolated: read, write" in out
    out = asked(capsys, "intmac", "bits=8", "node=32nm").out
    assert "Scaled: compute" in out and "intmac bits=8 node=32nm" in out and "scaled from 45nm" in out


def test_classes_and_their_parameters(capsys):
    out = asked(capsys).out
    for word in ("sram", "regfile", "dram", "intmac", "depth", "required", "itrs-lstp"):
        assert word in out
    listed = json.loads(asked(capsys, "--json").out)["components"]
    sram = next(x for x in listed if x["component"] == "sram")
    assert {"name": "node", "unit": "nm"}.items() <= next(
        p for p in sram["parameters"] if p["name"] == "node").items()


@pytest.mark.parametrize(("arguments", "lines"), [
    (["sramm", "depth=64"], ["argument 1: error: class 'sramm': unknown class", "did you mean 'sram'"]),
    (["sram", "depth=64", "-D", "a=1"], ["-D without --arch"]),
    (["srma", "depth=64"], ["argument 1: error: class 'srma': unknown class", "did you mean 'sram'"]),
    (["sram", "depht=64", "width=12x", "node", "cell=itrs"], [
        "argument 2: error: unknown parameter 'depht'", "did you mean 'depth'",
        "argument 3: error: ", "unit 'x'", "argument 4: error: 'node'; expected key=value",
        "argument 5: error: cell is 'itrs'", "sram: error: no depth"]),
    (["sram", "depth=64", "depth=128", "width=8", "node=45"], [
        "argument 3: error: depth a second time; the first is argument 2"]),
    (["sram", "depth=64", "width=64", "node=45nm", "ports=3RW"], ["sram: error: ", "3RW", "known are"]),
    (["sram", "size=1KiB", "depth=128", "width=8", "node=45"], [
        "argument 3: error: both size and depth"]),
    (["regfile", "size=1KiB", "node=45"], ["regfile: error: no width; expected width=VALUE"]),
    (["--arch", "alexnet"], ["no architecture given"]),
])
def test_bad_input(capsys, arguments, lines):
    captured = asked(capsys, *arguments, status=2)
    for line in lines:
        assert line in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("name", ["eyeriss", "simba"])
def test_a_machine(capsys, name):
    machine = tb.load_architecture(name)
    out = asked(capsys, "--arch", name).out
    for part in (*machine.levels, machine.compute):
        assert part.name in out
        assert all(figure.source in out for figure in part.energy.values())
    assert "leakage each" in out and "total" in out
    found = json.loads(asked(capsys, "--arch", name, "--json").out)
    assert found["levels"][1]["figures"]["read"]["value"] == machine.levels[1].energy["read"].value
    assert found["total"]["area_um2"] > 0 and "spec" not in found


def test_a_machine_with_wires(capsys, tmp_path):
    path = tmp_path / "machine.yaml"
    path.write_text("""architecture:
  technology: 45nm
  levels:
    - {name: GLB, class: SRAM, size: 16 KiB, width: 64, fanout: {x: 4}, network: {wires: itrs-lop}}
    - {name: PAD, energy: 1, area: 900}
  compute: {name: MAC, class: intmac}
""")
    out = asked(capsys, "--arch", str(path)).out
    assert "wires.csv 45nm itrs-lop" in out and "floorplan: side of a square of PAD 900 + MAC 976 um2" in out
    assert "Leakage not known, and none counted: GLB, PAD, MAC." in out     # no time of a cycle
