"""What machines do about zeros, in recorded cases: as Timeloop read it, and as it is written again.

The environment variable TILEBOUND_REFERENCE names a folder with recorded cases, under public/, of specs
that others have published, and with their sources, under public_sources/.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tilebound.api import read_mapping
from tilebound.hardware.architecture import Architecture, Figure
from tilebound.hardware.sparsity import fallbacks
from tilebound.loading import load_specs
from tilebound.mapping.validate import check_mapping

from test_convert import again, contents
from test_sparsity_spec import machine

CASES = sorted((Path(__file__).parent / "sparse_cases").iterdir())
REFERENCE = Path(os.environ.get("TILEBOUND_REFERENCE") or "/none")
PUBLISHED = [path.parent for path in sorted(REFERENCE.glob("public/*/input.yaml"))
             if "sparse_optimizations" in path.read_text()]
SOURCES = sorted(REFERENCE.glob("public_sources/v0.4/sparseloop/*"))


def recorded(case: Path) -> tuple[Architecture, dict[str, Any]]:
    printed = json.loads((case / "expected.json").read_text())
    return machine(load_specs([case / "input.yaml"])), printed["levels"]


@pytest.mark.parametrize("case", [*CASES, *PUBLISHED], ids=lambda path: path.name)
def test_what_timeloop_read_of_the_levels(case: Path) -> None:
    """Stores of metadata, formats and energies are those that the program printed."""
    read, levels = recorded(case)
    assert read.levels
    for level in read.levels:
        if level.name not in levels:
            continue            # nothing passes through it
        specs, sparsity = levels[level.name]["specs"], level.sparsity
        if "metadata_storage_width_bits" in specs:
            assert (sparsity.metadata_width or 0) == specs["metadata_storage_width_bits"]
            depth = specs["metadata_storage_depth"]
            assert (sparsity.metadata_depth or 0) == (0 if depth == "-" else depth)
        for action, printed in (("read", "vector_read_energy"), ("decompress", "de_compression_energy"),
                                ("metadata_read", "vector_metadata_read_energy"),
                                ("metadata_fill", "vector_metadata_write_energy")):
            figure = level.energy.get(action, Figure(0.0, ""))
            assert figure.value == pytest.approx(specs.get(printed, figure.value))
        for tensor, printed in levels[level.name]["tensors"].items():
            if tensor in sparsity.formats:
                kinds = " ".join(rank.kind for rank in sparsity.formats[tensor].ranks)
                assert printed["representation_format"] == kinds.lower()
            else:
                assert printed.get("representation_format", "none") == "none"


@pytest.mark.parametrize("case", [*CASES, *PUBLISHED], ids=lambda path: path.name)
def test_energies_of_what_is_saved(case: Path) -> None:
    """Of tensors without metadata, recorded accesses times the figures add up to the recorded energy."""
    read, levels = recorded(case)
    for index, level in enumerate(read.levels):
        if level.name not in levels or level.block_words > 1 or level.cluster_size > 1:
            continue
        for name, tensor in levels[level.name]["tensors"].items():
            if tensor.get("representation_format") != "none":
                continue
            total = 0.0
            above = [x for x in read.levels[:index] if name in levels.get(x.name, {"tensors": ()})["tensors"]]
            if above and above[-1].sparsity.compressed(name):
                updates = levels[above[-1].name]["tensors"][name]["actual_scalar_updates_per_instance"]
                total += tensor["actual_scalar_fills_per_instance"] * level.energy["decompress"].value
                total += updates * level.energy["compress"].value
            for access in ("read", "fill", "update"):
                for state in ("actual", "gated", "skipped"):
                    count = tensor[f"{state}_scalar_{access}s_per_instance"]
                    names = (access,) if state == "actual" else fallbacks(f"{state}_{access}")
                    total += count * next((level.energy[x].value for x in names if x in level.energy), 0.0)
            assert total == pytest.approx(tensor["energy_per_instance"], rel=1e-6), (level.name, name)


@pytest.mark.parametrize("dialect", ["native", "timeloop"])
@pytest.mark.parametrize("case", [*CASES, *PUBLISHED], ids=lambda path: path.name)
def test_recorded_cases_read_back_equal(case: Path, dialect: str, tmp_path: Path) -> None:
    loaded = load_specs([case / "input.yaml"])
    assert contents(again(loaded, dialect, tmp_path)) == contents(loaded)


@pytest.mark.parametrize("case", [*CASES, *PUBLISHED], ids=lambda path: path.name)
def test_recorded_mappings_are_valid(case: Path) -> None:
    loaded = load_specs([case / "input.yaml"])
    einsum, = loaded.workload or ()
    if loaded.mappings:
        mapping = read_mapping(loaded.mappings[""], machine(loaded), einsum)
        assert check_mapping(machine(loaded), einsum, mapping) == []


@pytest.mark.parametrize("case", SOURCES, ids=lambda path: path.name)
def test_trees_of_nodes_say_what_their_resolved_form_says(case: Path) -> None:
    """Files for Timeloop's front-end, and what that made of them."""
    written = machine(load_specs(sorted(case.glob("*.yaml"))))
    resolved = machine(load_specs([case.parents[3] / "public" / f"sparseloop-{case.name}" / "input.yaml"]))
    assert any(level.sparsity.active for level in written.levels) or "DUDU" in case.name
    assert [level.sparsity for level in written.levels] == [level.sparsity for level in resolved.levels]
    assert written.compute.sparsity == resolved.compute.sparsity
