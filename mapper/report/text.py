"""The report as text, and the short table of the command line."""

from __future__ import annotations

from typing import Iterator

from . import figures, front, potential, units, why, zeros
from .schema import CertificateEntry, ComponentEntry, LayerEntry, LevelEntry, ResultDocument
from .tables import Table
from .views import bandwidths, counting, energy_by_tensor, network_energy, occupancy


def summary(document: ResultDocument) -> Table:
    """One row a layer and a total: energy, cycles, utilisation and, where searched, the proof."""
    searched = any("certificate" in layer for layer in document["layers"])
    proof = ("bound", "gap", "seconds", "status") if searched else ()
    table = Table(("layer", "count", "energy", "cycles", "utilization", "bottleneck", *proof),
                  left=frozenset({0, 5, 9}), total=True)
    for layer in document["layers"]:
        table.add(layer["name"], str(layer["count"]), units.energy(layer["energy_pj"]),
                  units.si(layer["cycles"]), units.percent(layer["utilization"]),
                  layer["bottleneck"], *(_proof(layer) if searched else ()))
    total = document["total"]
    cells = [str(sum(layer["count"] for layer in document["layers"])),
             units.energy(total["energy_pj"]), units.si(total["cycles"]),
             units.percent(total["utilization"]), ""]
    if searched:
        certificate = total.get("certificate")
        bound = ("-", "-") if certificate is None else (
            units.objective(document["objective"], certificate["lower_bound"]),
            units.percent(certificate["gap"]))
        cells += [*bound, "", "interrupted" if document["interrupted"] else ""]
    table.add("total", *cells)
    return table


def _proof(layer: LayerEntry) -> tuple[str, str, str, str]:
    proof = layer.get("certificate")
    if proof is None:
        return "-", "-", "-", "-"
    return (units.objective(proof["objective"], proof["lower_bound"]), units.percent(proof["gap"]),
            f"{proof['seconds']:.2f}", proof["status"])


def totals(document: ResultDocument) -> list[tuple[str, str, str]]:
    """The figures of the whole network as (name, value, detail)."""
    total = document["total"]
    seconds = document["architecture"]["cycle_seconds"]
    certificate, name = total.get("certificate"), document["objective"]
    per_mac = f"{total['energy_pj'] / total['macs']:#.4g} pJ / MAC" if total["macs"] else ""
    rows = [
        ("energy", units.energy(total["energy_pj"]), per_mac),
        ("latency", f"{units.si(total['cycles'])} cycles",
         f"{units.si(total['cycles'] * seconds, 's')} at {units.short(units.si(1 / seconds, 'Hz'))}"
         if seconds else ""),
        ("energy-delay product", units.objective("edp", total["edp_pj_cycles"]), ""),
        ("utilization", units.percent(total["utilization"]), "of the compute units"),
    ]
    if certificate is not None:
        rows.append(("proven gap", units.percent(certificate["gap"]),
                     f"at least {units.objective(name, certificate['lower_bound'])}, "
                     f"{units.OBJECTIVE_NAMES[name.split(',')[0]]} summed over layers"))
    rows += potential.total(document)
    layers, listed = sum(x["count"] for x in document["layers"]), len(document["layers"])
    rows.append(("work", f"{units.si(total['macs'])} MACs",
                 f"{layers} layers" + (f", {listed} listed" if listed != layers else "")))
    rows += zeros.totals(document)
    machine = document["architecture"].get("total")
    if total["area_um2"] is not None:
        rows.append(("area", f"{total['area_um2'] / 1e6:,.4g} mm²", ""))
    elif machine is not None and machine["area_um2"]:
        rows.append(("area", f"more than {machine['area_um2'] / 1e6:,.4g} mm²",
                     f"not known of {', '.join(machine['area_unknown'])}"))
    return rows


def title(document: ResultDocument) -> str:
    """What the report is about, e.g. 'alexnet on eyeriss, least EDP'."""
    searched = any("certificate" in layer for layer in document["layers"])
    what = f", {units.goal(document['objective'])}" if searched else ""
    state = " (interrupted)" if document["interrupted"] else ""
    return f"{document['workload']['name']} on {document['architecture']['name']}{what}{state}"


def interruption(document: ResultDocument) -> str:
    """What there is to say of a search that was interrupted; "" of one that was not."""
    if not document["interrupted"]:
        return ""
    found = ("The search was interrupted: these are the best mappings found until then, with the bounds "
             "proven until then.")
    missing = document.get("missing")
    return f"{found} No mapping yet of {', '.join(missing)}: no figure counts them." if missing else found


def render_text(document: ResultDocument) -> str:
    """The whole report as plain text."""
    sections = [_heading(title(document), "="), *_pairs([(name, f"{value} ({detail})" if detail else value)
                         for name, value, detail in totals(document)]), "",
                *([interruption(document), ""] if document["interrupted"] else []),
                *_heading("Layers", "-").splitlines(), *summary(document).lines(), "",
                counting(document), "",
                *_front(document),
                "Figures below are for one occurrence of a layer; counts are words over all instances.",
                "", *_network_energy(document)]
    for layer in document["layers"]:
        sections += ["", *_layer(layer, document["architecture"]["levels"], document["objective"])]
    sections += ["", *_energy_page(document), "",
                 f"{document['tool']['name']} {document['tool']['version']}, "
                 f"architecture {document['architecture']['sha256'][:12]}, "
                 f"workload {document['workload']['sha256'][:12]}"]
    return "\n".join(sections) + "\n"


def _front(document: ResultDocument) -> Iterator[str]:
    """The front of the whole network."""
    if (table := front.summary(document, most=100)) is not None and "front" in document:
        yield from (*_heading("Front of energy and cycles", "-").splitlines(), *table.lines(), "",
                    front.note(document["front"]), "")


def _heading(text: str, rule: str) -> str:
    return f"{text}\n{rule * len(text)}"


def _pairs(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in rows)
    return [f"{name.ljust(width)}  {value}" for name, value in rows]


def energy_tables(document: ResultDocument) -> Iterator[Table]:
    """Energy of the whole network by level and by tensor."""
    whole = document["total"]["energy_pj"] or 1.0
    for by in ("level", "tensor"):
        table = Table((by, "energy", "share"))
        for name, energy in network_energy(document, by).items():
            table.add(name, units.energy(energy), units.percent(energy / whole))
        yield table


def _network_energy(document: ResultDocument) -> Iterator[str]:
    for table in energy_tables(document):
        yield from (*_heading(f"Energy by {table.header[0]}", "-").splitlines(), *table.lines(), "")


def _layer(layer: LayerEntry, components: list[ComponentEntry], objective: str) -> Iterator[str]:
    yield from _heading(f"Layer {layer['name']}", "=").splitlines()
    seen = [("occurrences", str(layer["count"])),
            ("ranks", " ".join(f"{rank}={n}" for rank, n in layer["ranks"].items())),
            ("multiply-accumulates", f"{layer['macs']:,}"),
            ("energy", f"{units.energy(layer['energy_pj'])} "
                       f"({layer['energy_pj'] / layer['macs']:#.4g} pJ / MAC)"),
            ("cycles", f"{layer['cycles']:,}, bound by {layer['bottleneck']}"),
            ("utilization", units.percent(layer["utilization"]))]
    yield from _pairs(seen + zeros.computes(layer) + difference(layer) + certificate(layer))
    yield from ("", *(f"    {line}" for line in layer["mapping"]), "")
    if (table := front.layer_table(layer)) is not None:
        yield from (*table.lines(), "")
    yield from (*_levels(layer, components).lines(), "")
    yield from _tensors(layer).lines()
    for name, note, table in zeros.tables(layer, components):
        yield from ("", f"{name}. {note}", *table.lines())
    yield from why.lines(layer)
    if any(network["tensors"] for network in layer["networks"]):
        yield from ("", *networks(layer).lines())
    yield ""
    shares = Table(("tensor", "energy", "share"))
    for name, energy in energy_by_tensor(layer).items():
        shares.add(name, units.energy(energy), units.percent(energy / (layer["energy_pj"] or 1.0)))
    yield from shares.lines()


def difference(layer: LayerEntry) -> list[tuple[str, str]]:
    """What the other semantics make of `layer`, as (name, text); empty where the two agree."""
    other = layer.get("difference")
    if other is None:
        return []
    name = f"{other['semantics']} semantics"
    if other["energy_pj"] is None:
        return [(name, "refuse this mapping")]
    return [(name, f"{units.energy(other['energy_pj'])}, {other['cycles']:,} cycles, "
             f"{other['computes']:,} computes")]


def certificate(layer: LayerEntry) -> list[tuple[str, str]]:
    """What is proven about the mapping of `layer`, as (name, text); empty when nothing is."""
    proof = layer.get("certificate")
    if proof is None:
        return []
    name, then = proof["objective"], proof.get("then")
    return [
        (units.OBJECTIVE_NAMES[name], units.objective(name, proof["value"])),
        ("proven lower bound", f"{units.objective(name, proof['lower_bound'])}, "
                               f"gap {units.percent(proof['gap'])} ({proof['status']})"),
        *([] if then is None else [_then(then)]),
        ("convex relaxation", units.objective(name, proof["relaxed_bound"])),
        *potential.rows(proof),
        ("mapspace", f"{proof['mapspace_size']:.3g} mappings in {proof['classes']:,} classes, "
                     f"{proof['classes_pruned']:,} of them ruled out by bounds"),
        ("work", f"{proof['evaluated']:,} evaluations, {proof['bound_solves']:,} bounds solved, "
                 f"{proof['seconds']:.2f} s"),
    ]


def _then(proof: CertificateEntry) -> tuple[str, str]:
    """What is proven of the next objective, among mappings that are no worse in the one before."""
    name = proof["objective"]
    value, least = (units.objective(name, proof[key]) for key in ("value", "lower_bound"))
    return (f"then {units.OBJECTIVE_NAMES[name]}",
            f"{value}, at least {least} among mappings as good, gap {units.percent(proof['gap'])} "
            f"({proof['status']})")


def _levels(layer: LayerEntry, components: list[ComponentEntry]) -> Table:
    """Instances, energy, cycles and bandwidth of every level."""
    table = Table(("level", "instances", "used", "full", "energy", "leakage", "share", "cycles",
                   "read w/cyc", "write w/cyc", "limit"))
    for level, component in zip(layer["levels"], components, strict=True):
        storage = level is not layer["levels"][-1]
        moved = bandwidths(level, component, layer["cycles"]) if storage else []
        rates = [f"{x.words:.4g}" for x in moved[:2]] or ["-", "-"]
        limits = [f"{x.name} {x.limit:g}" for x in moved if x.limit is not None]
        full = occupancy(level, component)
        table.add(level["name"], f"{level['instances']:,}", f"{level['utilized_instances']:,}",
                  "-" if full is None else units.percent(full), units.energy(level["energy_pj"]),
                  units.energy(level["leakage_pj"]),
                  units.percent(level["energy_pj"] / (layer["energy_pj"] or 1.0)),
                  f"{level['cycles']:,}", *rates, ", ".join(limits) or "-")
    return table


def _tensors(layer: LayerEntry) -> Table:
    """Accesses and energy of every tensor at every level that keeps it."""
    table = Table(("level", "tensor", "tile", "reads", "fills", "updates", "energy", "share"),
                  left=frozenset({0, 1}))
    for level in layer["levels"]:
        for row in tensor_rows(level, layer["energy_pj"]):
            table.add(level["name"], *row)
    return table


def tensor_rows(level: LevelEntry, whole: float) -> list[tuple[str, ...]]:
    """Tensor, tile, reads, fills, updates, energy and its share of `whole` pJ."""
    return [(name, units.words(t["tile_words"]), units.words(t["reads"]["actual"]),
             units.words(t["fills"]["actual"]), units.words(t["updates"]["actual"]),
             units.energy(t["energy_pj"]), units.percent(t["energy_pj"] / (whole or 1.0)))
            for name, t in level["tensors"].items()]


def networks(layer: LayerEntry) -> Table:
    """What each network carries: words sent, by how many instances receive each of them, the words
    that enter and the links they pass over on average."""
    table = Table(("network", "tensor", "words sent", "ingresses", "hops", "energy", "receivers"),
                  left=frozenset({0, 1, 6}))
    for network in layer["networks"]:
        for name, transfer in network["tensors"].items():
            accesses = transfer["accesses"]
            hops = transfer["hops"]
            table.add(network["name"], name, units.words(sum(x["words"] for x in accesses)),
                      units.words(round(transfer["ingresses"])), "-" if hops is None else f"{hops:.4g}",
                      units.energy(transfer["energy_pj"]),
                      ", ".join(str(x["factor"]) if len(accesses) == 1 else
                                f"{x['factor']} ({x['words']:,} words)" for x in accesses))
    return table


def _energy_page(document: ResultDocument) -> Iterator[str]:
    """Area, leakage and every energy figure, with where each comes from."""
    machine = document["architecture"]
    yield from (*_heading("Energy figures", "=").splitlines(), *figures.figure_table(machine).lines(), "")
    yield from (*figures.notes(machine), "")
    if (table := figures.machine_table(machine)).rows:
        yield from (*_heading("Area and leakage", "-").splitlines(), *table.lines())
