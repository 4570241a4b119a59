"""Certificates and fronts in the result document, and back."""

from __future__ import annotations

from math import isfinite
from typing import Any, Sequence, cast

from ..errors import MappingError
from ..hardware.architecture import Architecture
from ..mapping.nest import Mapping
from ..mapping.text import format_nest, parse_nest
from ..mapping.timeloop import to_timeloop
from ..search.certificate import Certificate, FrontPoint, LayerFront, Potential
from ..search.combine import NetworkFront
from ..spec.nodes import locate
from ..workload.einsum import Einsum
from .schema import CertificateEntry, FrontEntry, FrontPointEntry, LayerFrontEntry, PotentialEntry


def certificate_entry(x: Certificate) -> CertificateEntry:
    """A certificate as the document has it."""
    entry = cast(CertificateEntry, {
        "objective": x.objective, "value": x.value, "lower_bound": x.lower_bound, "gap": x.gap,
        "relaxed_bound": x.relaxed_bound, "status": x.status, "mapspace_size": x.mapspace_size,
        "classes": x.classes, "classes_pruned": x.classes_pruned, "bound_solves": x.bound_solves,
        "evaluated": x.evaluated, "seconds": x.seconds, "dual": dict(x.dual)})
    if x.among is not None:
        entry["among"] = cast(Any, {"objective": x.among[0], "most": x.among[1]})
    if x.then is not None:
        entry["then"] = certificate_entry(x.then)
    if x.potential:
        entry["potential"] = [cast(PotentialEntry, {"option": p.option, "bound": p.bound,
                                                    "share": p.share(x.value), "dual": dict(p.dual)})
                              for p in x.potential]
    return entry


def certificate(entry: CertificateEntry) -> Certificate:
    """The inverse of `certificate_entry`."""
    fields: dict[str, Any] = dict(entry)
    del fields["gap"]
    if "among" in entry:
        fields["among"] = entry["among"]["objective"], entry["among"]["most"]
    if "then" in entry:
        fields["then"] = certificate(entry["then"])
    fields["potential"] = tuple(Potential(p["option"], p["bound"], p["dual"])
                                for p in entry.get("potential", ()))
    return Certificate(**fields)


def timeloop_entries(mapping: Mapping, einsum: Einsum,
                     architecture: Architecture) -> list[dict[str, Any]] | None:
    """A mapping as Timeloop entries; None where that format has no words for it."""
    try:
        return to_timeloop(mapping, einsum, [level.name for level in architecture.levels])
    except MappingError:        # a rank unrolled along both X and Y has no Timeloop spelling
        return None


def layer_front_entry(front: LayerFront, architecture: Architecture, einsum: Einsum) -> LayerFrontEntry:
    """The front of a layer as the document has it."""
    return {
        "tolerance": front.tolerance if isfinite(front.tolerance) else None,
        "fastest": certificate_entry(front.fastest),
        "points": [{
            "cycles": p.cycles, "energy_pj": p.energy_pj,
            "mapping": format_nest(p.mapping, architecture, einsum),
            "mapping_spec": timeloop_entries(p.mapping, einsum, architecture),
            "certificate": certificate_entry(p.certificate)} for p in front.points]}


def layer_front(entry: LayerFrontEntry, architecture: Architecture, einsum: Einsum,
                origin: str) -> LayerFront:
    """The inverse of `layer_front_entry`; raises SpecError where a mapping is wrong."""
    def point(x: FrontPointEntry) -> FrontPoint:
        mapping = parse_nest(locate(x["mapping"], origin), architecture, einsum)
        return FrontPoint(x["energy_pj"], x["cycles"], mapping, certificate(x["certificate"]))

    return LayerFront(certificate(entry["fastest"]), tuple(map(point, entry["points"])))


def front_entry(front: NetworkFront, layers: Sequence[str]) -> FrontEntry:
    """The front of a network, whose `layers` are named, as the document has it."""
    return {
        "tolerance": front.tolerance if isfinite(front.tolerance) else None,
        "points": [{"cycles": p.cycles, "energy_pj": p.energy_pj,
                    "choice": dict(zip(layers, p.choice, strict=True))} for p in front.points]}
