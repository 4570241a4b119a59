"""What zeros change, as tables for the text and the HTML report."""

from __future__ import annotations

from . import units
from .schema import Actions, ComponentEntry, LayerEntry, ResultDocument
from .tables import Table
from .views import is_sparse, metadata_energy

#: What is said below the tables.
_ACCESSES = ("Words. Actual accesses take place; gated ones do not, but their cycle passes; skipped ones "
             "take no time. The rest was never asked for.")
_FORMATS = ("Bits of the fullest tile in one instance. Moved: bits of metadata to bits of data, all accesses "
            "together. Share: of the energy of the tensor there.")


def totals(document: ResultDocument) -> list[tuple[str, str, str]]:
    """What becomes of operations, the energy of metadata, and what the same mappings cost where nothing is
    done about zeros, of the whole network as (name, value, detail); empty where that is so."""
    layers = [layer for layer in document["layers"] if is_sparse(layer)]
    if not layers:
        return []
    energy = metadata_energy(document)
    whole, done, gated, skipped = (
        sum(layer["count"] * layer["computes"][state] for layer in layers)
        for state in ("algorithmic", "actual", "gated", "skipped"))
    never = max(0, whole - done - gated - skipped)
    shares = (f"{units.percent(n / (whole or 1))} {what}" for n, what in (
        (done, "done"), (gated, "gated"), (skipped, "skipped"), (never, "never asked for")) if n)
    return [("computes", f"{units.si(done)} of {units.si(whole)}", ", ".join(shares)),
            ("metadata", units.energy(energy),
             f"{units.percent(energy / (document['total']['energy_pj'] or 1.0))} of the energy"),
            *_dense(document)]


def _dense(document: ResultDocument) -> list[tuple[str, str, str]]:
    """The whole network where nothing is done about zeros, if all of its mappings fit there."""
    energy, cycles = 0.0, 0
    for layer in document["layers"]:
        dense = layer.get("dense")
        if dense is None:
            return []
        energy += layer["count"] * dense["energy_pj"]
        cycles += layer["count"] * dense["cycles"]
    total = document["total"]
    return [("without zeros", f"{units.energy(energy)}, {units.si(cycles)} cycles",
             "the same mappings where nothing is done about zeros; these take "
             f"{_left(total['energy_pj'], energy, total['cycles'], cycles)}")]


def _left(energy: float, dense_energy: float, cycles: int, dense_cycles: int) -> str:
    return (f"{units.percent(energy / (dense_energy or 1.0))} of the energy and "
            f"{units.percent(cycles / (dense_cycles or 1))} of the cycles")


def computes(layer: LayerEntry) -> list[tuple[str, str]]:
    """What became of the computes of `layer`, as (name, text); empty where nothing is done about zeros."""
    if not is_sparse(layer):
        return []
    x, dense = layer["computes"], layer.get("dense")
    rows = [("computes", f"{x['actual']:,} of {x['algorithmic']:,}, {x['gated']:,} gated, "
                         f"{x['skipped']:,} skipped")]
    if dense is not None:
        left = _left(layer["energy_pj"], dense["energy_pj"], layer["cycles"], dense["cycles"])
        rows.append(("without zeros", f"{units.energy(dense['energy_pj'])}, {dense['cycles']:,} cycles; "
                                      f"this takes {left}"))
    return rows


def tables(layer: LayerEntry, components: list[ComponentEntry]) -> list[tuple[str, str, Table]]:
    """The tables of a layer as (title, note, table); none where nothing is done about zeros."""
    found = (("What zeros leave", _ACCESSES, accesses(layer)),
             ("Formats", _FORMATS, formats(layer, components)))
    return [(title, note, table) for title, note, table in found if table is not None]


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
