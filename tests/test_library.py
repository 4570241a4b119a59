"""The shipped workloads and architectures against published figures."""

from configparser import ConfigParser
from dataclasses import replace
from fnmatch import fnmatch
from importlib import resources
from math import prod
from pathlib import Path

import pytest
import tilebound as tb
from tilebound.energy import price

# Layers, multiply-accumulates, those of convolutions only, weights, and all parameters (with biases and batch
# normalisation), as torchvision, Caffe (alexnet_grouped) and the paper (mobilenet_v1) have them.
NETWORKS = {
    "alexnet": (8, 714_188_480, 655_566_528, 61_090_496, 61_100_840),
    "alexnet_grouped": (8, 724_406_816, 665_784_864, 60_954_656, 60_965_224),
    "alexnet_sparse": (5, 665_784_864, 665_784_864, 2_332_704, 2_334_080),
    "vgg16": (16, 15_470_264_320, 15_346_630_656, 138_344_128, 138_357_544),
    "vgg16_sparse": (13, 15_346_630_656, 15_346_630_656, 14_710_464, 14_714_688),
    "resnet18": (21, 1_814_073_344, 1_813_561_344, 11_678_912, 11_689_512),
    "resnet50": (54, 4_089_184_256, 4_087_136_256, 25_502_912, 25_557_032),
    "mobilenet_v1": (28, 568_740_352, 567_716_352, 4_209_088, 4_231_976),
    "mobilenet_v2": (53, 300_774_272, 299_494_272, 3_469_760, 3_504_872),
    "mobilenet_v3_large": (64, 216_589_760, 212_573_760, 5_451_272, 5_483_032),
    "mobilenet_v3_small": (54, 56_510_400, 54_437_824, 2_525_832, 2_542_856),
}
ARCHITECTURES = ("eyeriss", "eyeriss_sparse", "simba", "systolic")


def entries(folder):
    return {Path(f.name).stem for f in resources.files(f"tilebound.library.{folder}").iterdir()
            if f.name.endswith(".yaml")}


def is_matmul(einsum):
    return einsum.ranks == ("M", "N", "K")


def channels(einsum):
    """Channels of the input map and of the output map."""
    extent = einsum.extent
    if is_matmul(einsum):
        return extent["K"], extent["N"]
    groups = extent.get("G", 1)
    return groups * extent["C"], groups * extent.get("K", extent["C"])


def test_every_entry_is_held_to_figures_here():
    assert entries("workloads") == set(NETWORKS)
    assert entries("arch") == set(ARCHITECTURES)


@pytest.mark.parametrize("name", NETWORKS)
def test_published_figures(name):
    layers, macs, conv_macs, weights, parameters = NETWORKS[name]
    network = tb.load_workload(name)
    assert network.name == name
    assert len(network) == layers
    assert network.macs == macs
    assert sum(e.macs for e in network if not is_matmul(e)) == conv_macs
    assert sum(e.tensor_words("Weights") for e in network) == weights
    assert network.parameters == parameters


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_feed_each_other(name):
    network = tb.load_workload(name)
    order = list(network.graph)
    assert [n for n, degree in network.graph.in_degree if degree == 0] == order[:1]
    assert [n for n, degree in network.graph.out_degree if degree == 0] == order[-1:]
    for producer, consumer in network.graph.edges:
        assert order.index(producer) < order.index(consumer)
    for einsum in network:
        producers = list(network.graph.predecessors(einsum.name))
        for index, producer in enumerate(producers):
            made, (read, written) = channels(network[producer])[1], channels(einsum)
            if index == 0:      # the input map; a matmul may read it flattened
                assert read == made or (is_matmul(einsum) and read % made == 0)
                assert dict(einsum.aliases)["Inputs"] == producer
            else:               # a residual, or the gate of the input map
                assert made in (read, written)


@pytest.mark.parametrize(("name", "blocks"), [("resnet18", 8), ("resnet50", 16)])
def test_residual_networks_add_a_residual_in_every_block(name, blocks):
    graph = tb.load_workload(name).graph
    joins = [n for n in graph if graph.in_degree(n) == 2]
    assert len(joins) == blocks
    assert len({n.rsplit(".", 1)[0] for n in joins}) == blocks


def test_residual_edges():
    graph = tb.load_workload("resnet18").graph
    assert list(graph.predecessors("layer1.0.conv2")) == ["layer1.0.conv1", "conv1"]
    assert list(graph.predecessors("layer2.0.conv2")) == ["layer2.0.conv1", "layer2.0.downsample"]
    assert list(graph.successors("layer1.1.conv2")) == ["layer2.0.downsample", "layer2.0.conv1"]
    graph = tb.load_workload("resnet50").graph
    assert list(graph.predecessors("layer4.2.conv3")) == ["layer4.2.conv2", "layer4.1.conv3"]
    assert graph.edges["layer4.1.conv3", "layer4.2.conv3"]["tensor"] == "layer4.1.conv3"


def test_shapes_of_single_layers():
    conv2 = tb.load_workload("alexnet_grouped")["conv2"]
    assert conv2.extent == {"N": 1, "G": 2, "K": 128, "C": 48, "P": 27, "Q": 27, "R": 5, "S": 5}
    assert tb.load_workload("alexnet_grouped")["conv1"].tensor_words("Inputs") == 3 * 227 * 227
    depthwise = tb.load_workload("mobilenet_v1")["dw2"]
    assert depthwise.extent == {"N": 1, "C": 64, "P": 56, "Q": 56, "R": 3, "S": 3}
    assert depthwise.tensor_words("Inputs") == 64 * 113 * 113      # stride 2
    assert tb.load_workload("vgg16")["fc6"].extent == {"M": 1, "N": 4096, "K": 512 * 7 * 7}


@pytest.mark.parametrize(("name", "dense"),
                         [("alexnet_sparse", "alexnet_grouped"), ("vgg16_sparse", "vgg16")])
def test_networks_with_zeros_are_the_convolutions_of_dense_ones(name, dense):
    network, whole = tb.load_workload(name), tb.load_workload(dense)
    assert [(e.name, e.extent) for e in network] == [
        (e.name, e.extent) for e in whole if not is_matmul(e)]
    for einsum in network:
        for tensor in einsum.tensors:
            shape = einsum.tensor_shape(tensor.name)
            assert 0.09 < tensor.density.bind(shape).mean <= 1
            assert whole[einsum.name].tensor_shape(tensor.name) == shape


def test_zeros_of_networks():
    """Shares of the multiply-accumulates in which two non-zeros meet; SCNN's authors have the same."""
    def effectual(einsum):
        return prod(t.density.bind(einsum.tensor_shape(t.name)).mean
                    for t in einsum.tensors if not t.is_output)

    alexnet, vgg = ({e.name: effectual(e) for e in tb.load_workload(x)}
                    for x in ("alexnet_sparse", "vgg16_sparse"))
    assert alexnet["conv3"] == pytest.approx(0.275 * 0.3461, rel=1e-3)
    assert vgg["conv1_2"] * 1_849_688_064 == pytest.approx(203_365_539, rel=1e-3)
    assert vgg["conv5_3"] * 462_422_016 == pytest.approx(51_291_536, rel=1e-3)


def test_repeated_shapes_are_found():
    distinct = tb.load_workload("resnet18").distinct()
    assert len(distinct) == 12
    assert ["layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "layer1.1.conv2"] in distinct.values()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_can_be_priced(name):
    machine = price(tb.load_architecture(name))
    for level in machine.levels:
        assert {"read", "fill", "update"} <= level.energy.keys()
        if level.sparsity.formats:
            assert {"metadata_read", "metadata_fill", "metadata_update"} <= level.energy.keys()
        assert level.area is not None
        assert all(figure.basis == "rule" or (figure.value > 0 and ".csv" in figure.source)
                   for figure in level.energy.values())
    assert machine.compute.energy["compute"].value > 0
    reads = [level.energy["read"].value / level.block_words for level in machine.levels]
    assert reads[0] > 4 * max(reads[1:])
    assert all(reads[-1] < read for read in reads[:-1])


def test_eyeriss():
    machine = tb.load_architecture("eyeriss")
    dram, glb, rf = machine.levels
    assert [x.name for x in (dram, glb, rf, machine.compute)] == ["DRAM", "GLB", "RF", "MAC"]
    assert machine.fanout(1) == (14, 12) and machine.compute.instances == 168
    assert (dram.size_words, glb.size_words, rf.size_words) == (None, 55_296, 256)
    assert {x.word_bits for x in machine.levels} == {machine.compute.word_bits} == {16}
    assert all(x.spatial_x is None and x.spatial_y is None and not x.keep and not x.bypass
               for x in machine.levels)
    # Table IV of ISCA 2016 has 1 : 1 : 6 : 200 for MAC, RF, GLB and DRAM at this node.
    priced = price(machine)
    ratio = [x.energy["read"].value / x.block_words / priced.compute.energy["compute"].value
             for x in priced.levels]
    assert ratio == pytest.approx([91.2, 9.7, 0.95], rel=0.01)


def test_eyeriss_sparse_is_eyeriss_but_for_zeros():
    """Three values of 16 bits and three runs of 5 go into 64 bits."""
    dense, machine = price(tb.load_architecture("eyeriss")), price(tb.load_architecture("eyeriss_sparse"))
    for one, other in zip(dense.levels, machine.levels, strict=True):
        assert {k: other.energy[k] for k in one.energy} == one.energy
        assert replace(other, name=one.name, energy=one.energy, keep=one.keep, sparsity=one.sparsity) == one
    dram, glb, rf = machine.levels
    assert dram.energy["metadata_read"].value / dram.energy["read"].value == pytest.approx(15 / 64)
    assert glb.keep == {"Inputs", "Outputs"} and glb.sparsity.compresses and glb.sparsity.decompresses
    assert rf.keep == {"Weights", "Outputs"} and {x.kind for x in rf.sparsity.optimizations} == {"gating"}
    assert machine.compute.energy["gated_compute"].value == pytest.approx(
        machine.compute.energy["compute"].value * 0.066 / 2.20035, rel=0.01)


MAPPED = """
DRAM
  for G in 2
    for K in 2
GLB [Inputs, Outputs]
      for C in 48
        for P in 13
          for Q in 13 (Spatial-X)
            for K in 4 (Spatial-Y)
              for S in 3 (Spatial-Y)
RF
                for C in 4
                  for R in 3
                    for K in 16
"""


def test_eyeriss_sparse_gates_and_compresses():
    """Zero inputs gate weights, partial sums and multiply-accumulates; the cycles pass."""
    layer = tb.load_workload("alexnet_sparse")["conv5"]
    sparse, dense = (tb.evaluate(name, layer, MAPPED) for name in ("eyeriss_sparse", "eyeriss"))
    done = sparse.compute_states
    assert done.algorithmic == layer.macs and done.skipped == 0
    assert done.gated / layer.macs == pytest.approx(0.77, abs=1e-4)
    assert sparse.cycles == dense.cycles == layer.macs // 156
    weights, outputs = (sparse.level("RF").tensors[x].sparse for x in ("Weights", "Outputs"))
    assert weights.reads.gated / weights.reads.algorithmic == pytest.approx(0.77, abs=1e-4)
    assert outputs.updates.gated / outputs.updates.algorithmic == pytest.approx(0.77, abs=1e-4)
    inputs, words = sparse.level("DRAM").tensors["Inputs"], dense.level("DRAM").tensors["Inputs"]
    assert inputs.energy_pj / words.energy_pj == pytest.approx(0.23 * (16 + 5) / 16, rel=1e-3)


def test_systolic():
    machine = tb.load_architecture("systolic")
    unified, accumulators, weights = machine.levels[1:]
    assert machine.compute.instances == 1024
    assert (accumulators.mesh_x, accumulators.mesh_y) == (32, 1)
    assert (unified.size_words, accumulators.size_words) == (384 * 1024, 512)
    assert accumulators.word_bits == 32 and weights.capacity_words == 1
    assert [sorted(x.keep) for x in machine.levels[1:]] == [["Inputs", "Outputs"], ["Outputs"], ["Weights"]]
    assert unified.spatial_x == ("K", "N") and accumulators.spatial_y == ("C", "K")


def test_simba():
    machine = tb.load_architecture("simba")
    assert machine.fanout(1) == (4, 4) and machine.fanout(4) == (8, 8)
    assert machine.compute.instances == 1024
    mesh = machine.levels[1].network
    assert mesh.hop_pj.value == pytest.approx(8 * mesh.tile_um.value / 1000 * mesh.wire_pj_bit_mm.value)
    assert 300 < mesh.tile_um.value < 600 and mesh.router_pj.value > 0
    sizes = {x.name: x.size_words for x in machine.levels}
    assert sizes == {"DRAM": None, "GLB": 65_536, "IBUF": 8192, "WBUF": 32_768, "ABUF": 1024, "WREG": 1}
    for level in machine.levels[1:]:
        assert level.keep | level.bypass == {"Inputs", "Weights", "Outputs"}


def test_package_data_names_every_file_of_the_library():
    root = Path(__file__).parent.parent
    setup = ConfigParser()
    setup.read(root / "setup.cfg")
    for package, folder in (("arch", "arch"), ("workloads", "workloads"), ("templates", "templates")):
        patterns = setup["options.package_data"][f"tilebound.library.{package}"].split(", ")
        for file in (root / folder).rglob("*"):
            if file.is_file() and file.suffix not in (".py", ".pyc"):
                name = file.relative_to(root / folder).as_posix()
                assert any(fnmatch(name, pattern) for pattern in patterns), name
