"""How much buffer does a network need? Energy of AlexNet's third layer against the size of the buffer,
each point with the proof that no mapping does better.

    python examples/buffer_size.py
"""

import tilebound as tb


def machine(kib: int) -> dict[str, object]:
    """An 8 x 8 array below a buffer of `kib` KiB, as the YAML would say it."""
    return {
        "name": f"buffer of {kib} KiB", "technology": "65nm", "cycle": "5 ns", "word_bits": 16,
        "levels": [
            {"name": "DRAM", "class": "DRAM", "type": "LPDDR4", "width": 64},
            {"name": "GLB", "class": "SRAM", "size": f"{kib} KiB", "width": 64, "fanout": {"x": 8, "y": 8}},
            {"name": "RF", "class": "regfile", "size": "256 B", "width": 16}],
        "compute": {"name": "MAC", "class": "intmac"}}


def main(sizes: tuple[int, ...] = (16, 32, 64, 128)) -> list[tb.Result]:
    layer = tb.load_workload("alexnet")["conv3"]
    results = []
    for kib in sizes:
        result = tb.search(machine(kib), layer, objective="energy")
        found = result.layers[0]
        by_level = ", ".join(f"{level.name} {level.energy_pj / 1e6:.1f}" for level in found.cost.levels)
        print(f"{kib:4} KiB: {result.energy_pj / 1e6:7.1f} uJ ({by_level}), "
              f"gap {found.certificate.gap:.1%}, {found.certificate.status}")
        results.append(result)
    return results


if __name__ == "__main__":
    main()
