"""25 convolutions of AlexNet, VGG16 and ResNet-18 on an Eyeriss-like machine, next to other mappers.

`python benchmarks/common_case.py [unified|split] [free|kept] [energy|edp] [LAYER...]` prints a line a layer,
then medians and the energy of whole networks next to that of other mappers (November 2026).

Words of 16 bits; DRAM 200 pJ a word, a buffer of 55,296 words 6 pJ, 14 x 12 elements with registers at 1 pJ,
one multiply-accumulate 1 pJ; no bandwidth binds, the array network is free. `unified`: 256 words of registers
an element; `split`: 192 of weights, 12 of inputs, 16 of outputs, as levels in that order. `kept`: every
operand passes the registers, as it has to in ZigZag and nn_dataflow; `free`: it need not. What else differs:
ZigZag cuts the loop nest at a place of its own for each of the three scratchpads; nn_dataflow keeps to
row-stationary dataflows, streams through registers where a tile would not fit, and counts no fills of them.
"""

from __future__ import annotations

import sys
from statistics import median
from time import process_time

import tilebound as tb

#: Network, layer, occurrences, K, C, P and Q, R and S, stride.
LAYERS = (
    ("alexnet", "conv1", 1, 96, 3, 55, 11, 4), ("alexnet", "conv2", 1, 256, 48, 27, 5, 1),
    ("alexnet", "conv3", 1, 384, 256, 13, 3, 1), ("alexnet", "conv4", 1, 384, 192, 13, 3, 1),
    ("alexnet", "conv5", 1, 256, 192, 13, 3, 1),
    ("vgg16", "conv1_1", 1, 64, 3, 224, 3, 1), ("vgg16", "conv1_2", 1, 64, 64, 224, 3, 1),
    ("vgg16", "conv2_1", 1, 128, 64, 112, 3, 1), ("vgg16", "conv2_2", 1, 128, 128, 112, 3, 1),
    ("vgg16", "conv3_1", 1, 256, 128, 56, 3, 1), ("vgg16", "conv3_2", 2, 256, 256, 56, 3, 1),
    ("vgg16", "conv4_1", 1, 512, 256, 28, 3, 1), ("vgg16", "conv4_2", 2, 512, 512, 28, 3, 1),
    ("vgg16", "conv5_1", 3, 512, 512, 14, 3, 1),
    ("resnet18", "conv1", 1, 64, 3, 112, 7, 2), ("resnet18", "layer1", 4, 64, 64, 56, 3, 1),
    ("resnet18", "layer2_0_conv1", 1, 128, 64, 28, 3, 2), ("resnet18", "layer2_down", 1, 128, 64, 28, 1, 2),
    ("resnet18", "layer2", 3, 128, 128, 28, 3, 1), ("resnet18", "layer3_0_conv1", 1, 256, 128, 14, 3, 2),
    ("resnet18", "layer3_down", 1, 256, 128, 14, 1, 2), ("resnet18", "layer3", 3, 256, 256, 14, 3, 1),
    ("resnet18", "layer4_0_conv1", 1, 512, 256, 7, 3, 2), ("resnet18", "layer4_down", 1, 512, 256, 7, 1, 2),
    ("resnet18", "layer4", 3, 512, 512, 7, 3, 1),
)
#: mJ a network of the best peer: ZigZag, by what registers there are.
PEERS = {"unified": {"alexnet": 4.307, "vgg16": 119.85, "resnet18": 13.62},
         "split": {"alexnet": 5.085, "vgg16": 141.60, "resnet18": 15.37}}
REGISTERS = {"unified": {"RF": (256, ("Weights", "Inputs", "Outputs"))},
             "split": {"WRF": (192, ("Weights",)), "IRF": (12, ("Inputs",)), "ORF": (16, ("Outputs",))}}


def machine(registers: str, kept: bool) -> tb.Architecture:
    levels: list[dict[str, object]] = [
        {"name": "DRAM", "energy": 200},
        {"name": "GLB", "size": "55296 words", "energy": 6, "fanout": {"x": 14, "y": 12}}]
    for name, (words, tensors) in REGISTERS[registers].items():
        others = [t for t in ("Weights", "Inputs", "Outputs") if t not in tensors]
        levels.append({"name": name, "size": f"{words} words", "energy": 1, "bypass": others,
                       "keep": list(tensors) if kept else []})
    return tb.load_architecture({"architecture": {"name": registers, "word_bits": 16, "levels": levels,
                                                  "compute": {"name": "MAC", "energy": 1}}})


def layer(name: str, k: int, c: int, p: int, r: int, stride: int) -> tb.WorkloadGraph:
    step = f"{stride}*" if stride > 1 else ""
    return tb.load_workload({"workload": {"layers": [{
        "name": name, "ranks": {"N": 1, "K": k, "C": c, "P": p, "Q": p, "R": r, "S": r},
        "tensors": {"Weights": "K, C, R, S", "Inputs": f"N, C, {step}P + R, {step}Q + S",
                    "Outputs": {"projection": "N, K, P, Q", "output": True}}}]}})


def main(registers: str = "unified", rules: str = "free", objective: str = "edp", *only: str) -> None:
    architecture, seconds, networks = machine(registers, rules == "kept"), [], dict[str, float]()
    for network, name, count, *sizes in LAYERS:
        if only and not any(x in f"{network}/{name}" for x in only):
            continue
        workload, start = layer(name, *sizes), process_time()
        found, = tb.search(architecture, workload, objective=objective).layers
        proof = found.certificate
        seconds.append(process_time() - start)
        networks[network] = networks.get(network, 0.0) + count * found.cost.energy_pj * 1e-9
        print(f"{network + '/' + name:24} {proof.value:12.6g} {proof.status:10} gap {proof.gap:8.4%} "
              f"{seconds[-1]:6.2f} CPU s", flush=True)
    print(f"median {median(seconds):.2f} CPU s, worst {max(seconds):.2f}")
    for network, energy in networks.items() if not only else ():
        peer = PEERS[registers][network]
        print(f"{network}: {energy:.3f} mJ, {energy / peer:.3f} of {peer:.3f} mJ of the best peer")


if __name__ == "__main__":
    main(*sys.argv[1:])
