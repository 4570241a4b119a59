"""What zeros change, as tables for the text and the HTML report."""

from __future__ import annotations

from . import units
from .schema import Actions, ComponentEntry, LayerEntry, ResultDocument
from .tables import Table
from .views import is_sparse, metadata_energy


def totals(document: ResultDocument) -> list[tuple[str, str, str]]:
    """Operations that zeros spare, and the energy of metadata, of the whole network as (name, value,
    detail); empty where nothing is done about zeros."""
    layers = [layer for layer in document["layers"] if is_sparse(layer)]
    if not layers:
        return []
    energy = metadata_energy(document)
    whole, done = (sum(layer["count"] * layer["computes"][state] for layer in layers)
                   for state in ("algorithmic", "actual"))
    return [("computes", units.si(done), f"{units.percent(done / (whole or 1))} of {units.si(whole)}"),
            ("metadata", units.energy(energy),
             f"{units.percent(energy / (document['total']['energy_pj'] or 1.0))} of the energy")]


def computes(layer: LayerEntry) -> list[tuple[str, str]]:
    """What became of the computes of `layer`, as (name, text); empty where nothing is done about zeros."""
    if not is_sparse(layer):
        return []
    x = layer["computes"]
    return [("computes", f"{x['actual']:,} of {x['algorithmic']:,}, {x['gated']:,} gated, "
                         f"{x['skipped']:,} skipped")]


def accesses(layer: LayerEntry) -> Table | None:
    """Accesses by what became of them; None where nothing is done about zeros."""
    if not is_sparse(layer):
        return None
    table = Table(("level", "tensor", "access", "algorithmic", "actual", "gated", "skipped", "left"),
                  left=frozenset({0, 1, 2}))
    for level in layer["levels"]:
        for name, tensor in level["tensors"].items():
            kinds = (("reads", tensor["reads"]), ("fills", tensor["fills"]), ("updates", tensor["updates"]))
            for access, x in kinds:
                if x["algorithmic"]:
                    table.add(level["name"], name, access, *_states(x))
    return table


def _states(x: Actions) -> tuple[str, ...]:
    words = [units.words(n) for n in (x["algorithmic"], x["actual"], x["gated"], x["skipped"])]
    return (*words, units.percent(x["actual"] / x["algorithmic"]))


def formats(layer: LayerEntry, components: list[ComponentEntry]) -> Table | None:
    """What representations take: bits of the fullest tile, metadata to data among all bits that are
    moved, and energy of metadata; None where no tensor has one."""
    table = Table(("level", "tensor", "format", "density", "data bits", "metadata bits", "moved",
                   "metadata energy", "share"), left=frozenset({0, 1, 2}))
    for level, component in zip(layer["levels"], components, strict=True):
        for name, tensor in level["tensors"].items():
            x = tensor.get("sparse")
            if x is None or not x["formats"]:
                continue
            data = component["word_bits"] * sum(
                actions["actual"] for actions in (tensor["reads"], tensor["fills"], tensor["updates"]))
            moved = tensor["metadata"]
            metadata = moved["reads"] + moved["fills"] + moved["updates"]
            table.add(level["name"], name, " ".join(x["formats"]), units.percent(x["density"]),
                      units.words(x["tile_bits"]), units.words(x["tile_metadata_bits"]),
                      units.percent(metadata / data) if data else "-",
                      units.energy(x["metadata_pj"]),
                      units.percent(x["metadata_pj"] / (tensor["energy_pj"] or 1.0)))
    return table if table.rows else None
