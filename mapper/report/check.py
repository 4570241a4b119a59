"""Check a result document: evaluate its mappings again, and re-derive its bounds by arithmetic."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import isclose
from typing import Any, Iterator

from ..errors import MappingError, SpecError
from ..mapping.constraints import violations
from ..mapping.validate import validate
from ..model.evaluate import evaluate
from ..search.certificate import Certificate, LayerFront
from ..search.check import ProofError, rederive
from ..search.differences import difference
from ..search.objectives import objective_value, stages
from ..search.result import LayerResult, NetworkResult
from .check_explain import explanation_faults
from .document import from_document, to_document
from .schema import CertificateEntry, ResultDocument

_SAME = 1e-9      # relative difference that rounding may cause
_ENOUGH = 1.0 + 1e-6      # bounds are derived no further than to what is stated, and a bit more


def check_document(document: ResultDocument) -> list[str]:
    """Every difference between what the document states and what follows from the specs, mappings
    and multipliers that it holds. No solver is called."""
    try:
        result, graph = from_document(document)
    except SpecError as error:
        return [str(p) for p in error.problems]
    found, layers = [], []
    for layer in result.layers:
        try:
            validate(result.architecture, layer.einsum, layer.mapping)
        except MappingError as error:
            found += [f"{layer.name}: {reason}" for reason in error.reasons]
            return found
        if layer.certificate is not None:       # what is only evaluated may be any mapping
            broken = violations(result.constraints, result.architecture, layer.einsum, layer.mapping)
            found += [f"{layer.name}: {reason}" for reason in broken]
        try:
            cost = evaluate(result.architecture, layer.einsum, layer.mapping, result.semantics,
                            result.options)
        except (MappingError, ValueError) as error:     # such as a figure that is not there
            return [*found, f"{layer.name}: {error}"]
        other = difference(result.architecture, layer.einsum, layer.mapping, cost, result.semantics,
                           result.options)
        try:
            layers.append(replace(layer, cost=cost, difference=other, front=_costed(result, layer)))
        except MappingError as error:
            return [*found, *(f"{layer.name}: front: {reason}" for reason in error.reasons)]
    again = to_document(replace(result, layers=tuple(layers)), graph)
    found += _differences(document, again, "")
    found += [f"{layer.name}: {text}" for layer in layers for text in _front_shape(layer)]
    found += [f"{layer.name}: {text}" for layer in layers for text in _later(result.objective, layer)]
    found += [f"{layer.name}: {text}" for layer in layers for text in explanation_faults(result, layer)]
    proofs: dict[Any, list[str]] = {}
    for layer in layers:
        for energy_pj, cycles, claimed in _claims(result, layer):
            key = (layer.einsum.canonical, energy_pj, cycles, repr(claimed))
            if key not in proofs:
                proofs[key] = _certificate(result, layer, claimed, energy_pj, cycles)
            found += [f"{layer.name}: {x}" for x in proofs[key]]
    return found


def certificates(document: ResultDocument) -> Iterator[CertificateEntry]:
    """All certificates of a document, every one once."""
    for layer in document["layers"]:
        found = [layer["certificate"]] if "certificate" in layer else []
        if "front" in layer:        # that of the layer is among those of the points
            found = [layer["front"]["fastest"], *(p["certificate"] for p in layer["front"]["points"])]
        for entry in found:
            yield entry
            if "then" in entry:
                yield entry["then"]


def _costed(result: NetworkResult, layer: LayerResult) -> LayerFront | None:
    """The front of a layer with its mappings evaluated; raises MappingError."""
    if layer.front is None:
        return None
    points = []
    for point in layer.front.points:
        validate(result.architecture, layer.einsum, point.mapping)
        if broken := violations(result.constraints, result.architecture, layer.einsum, point.mapping):
            raise MappingError(broken)
        cost = evaluate(result.architecture, layer.einsum, point.mapping)
        points.append(replace(point, energy_pj=cost.energy_pj, cycles=cost.cycles))
    return replace(layer.front, points=tuple(points))


def _front_shape(layer: LayerResult) -> Iterator[str]:
    """Where the points of a front, and what their certificates speak of, are no staircase."""
    front = layer.front
    if front is None:
        return
    for point, later in pairwise(front.points):
        if not (point.cycles < later.cycles and point.energy_pj > later.energy_pj and point.cap < later.cap):
            yield f"front: {point.cycles} and {later.cycles} cycles are no two steps of a staircase"
    if any(p.certificate.objective != "energy" or (p.certificate.among or ("latency",))[0] != "latency"
           for p in front.points) or front.fastest.objective != "latency" or front.fastest.among is not None:
        yield "front: its certificates do not speak of energy under limits on cycles, and of the fewest"
    if all(p.mapping != layer.mapping for p in front.points):
        yield "front: the mapping of the layer is not on it"


def _later(objective: str, layer: LayerResult) -> Iterator[str]:
    """Where two objectives were asked for, and an optimum is claimed of the first alone."""
    claimed = layer.certificate
    if claimed is None or "," not in objective:
        return
    _, asked = stages(objective)
    if claimed.then is not None and claimed.then.objective != asked:
        yield f"the next certificate is about {claimed.then.objective}, expected {asked}"
    if claimed.status == "optimal" and (claimed.then is None or claimed.then.status != "optimal"):
        yield f"the certificate states an optimum, but not of {asked}, which was asked for as well"


def _claims(result: NetworkResult, layer: LayerResult) -> Iterator[tuple[float, int, Certificate]]:
    """The certificates of a layer, each with the energy and cycles of the mapping that it is about."""
    if layer.front is not None:
        first = layer.front.points[0]
        yield first.energy_pj, first.cycles, layer.front.fastest
        yield from ((p.energy_pj, p.cycles, p.certificate) for p in layer.front.points)
    if layer.certificate is not None:
        # A search counts exactly, also where its mappings are then counted with other semantics.
        energy_pj, cycles = layer.cost.energy_pj, layer.cost.cycles
        if result.semantics != "exact" and (exact := layer.difference) is not None:
            energy_pj, cycles = exact.energy_pj or 0.0, exact.cycles or 0
        yield from ((energy_pj, cycles, x) for x in _stages(layer.certificate))


def _stages(certificate: Certificate) -> Iterator[Certificate]:
    """A certificate, and those of the next objectives."""
    yield certificate
    if certificate.then is not None:
        yield from _stages(certificate.then)


def _certificate(result: NetworkResult, layer: LayerResult, claimed: Certificate, energy_pj: float,
                 cycles: int) -> list[str]:
    """What a certificate of a layer claims beyond what it proves."""
    found = []
    value = objective_value(claimed.objective, energy_pj, cycles)
    if not isclose(value, claimed.value, rel_tol=_SAME):
        found.append(f"the certificate states an objective of {claimed.value:.9g}, "
                     f"the mapping has {value:.9g}")
    if claimed.among is not None:
        of, most = claimed.among
        if objective_value(of, energy_pj, cycles) > most * (1 + _SAME):
            found.append(f"the certificate speaks of mappings with at most {most:.9g} {of}: this is none")
    if claimed.then is not None and (claimed.then.among or ("", 0.0))[0] != claimed.objective:
        found.append(f"the next certificate does not speak of mappings as good in {claimed.objective}")
    try:
        relaxed, proven = rederive(
            result.architecture, layer.einsum, claimed.objective,
            _ENOUGH * max(claimed.lower_bound, claimed.relaxed_bound), dict(claimed.dual), result.constraints,
            claimed.among)
    except ProofError as error:
        return [*found, f"the certificate is no proof: {error}"]
    for what, states, has in (("relaxed bound", claimed.relaxed_bound, relaxed),
                              ("lower bound", claimed.lower_bound, proven)):
        if states > has * (1 + _SAME):
            found.append(f"the certificate states a {what} of {states:.9g}, its multipliers prove {has:.9g}")
    if claimed.status == "optimal" and proven < claimed.value * (1 - _SAME):
        found.append("the certificate states an optimum that it does not prove")
    return [*found, *_potential(result, layer, claimed)]


def _potential(result: NetworkResult, layer: LayerResult, claimed: Certificate) -> list[str]:
    """What a certificate says of other mappings beyond what it proves."""
    found = []
    for x in claimed.potential:
        wider = replace(result.constraints, imperfect=x.option == "imperfect", uneven=x.option == "uneven")
        try:
            _, proven = rederive(result.architecture, layer.einsum, claimed.objective, _ENOUGH * x.bound,
                                 dict(x.dual), wider)
        except ProofError as error:
            found.append(f"what {x.option} could save is no proof: {error}")
            continue
        if x.bound > proven * (1 + _SAME):
            found.append(f"the certificate states a bound of {x.bound:.9g} with {x.option}, its multipliers "
                         f"prove {proven:.9g}")
    return found


def _differences(stated: Any, derived: Any, place: str) -> list[str]:
    """Where two JSON values differ, floats by more than rounding. Order of keys does not count."""
    if isinstance(stated, dict) and isinstance(derived, dict):
        found = [f"{place}/{k}: only in one of the two" for k in sorted(stated.keys() ^ derived.keys())]
        for key in stated.keys() & derived.keys():
            found += _differences(stated[key], derived[key], f"{place}/{key}")
        return sorted(found)
    if isinstance(stated, list) and isinstance(derived, list) and len(stated) == len(derived):
        pairs = zip(stated, derived, strict=True)
        return [x for i, pair in enumerate(pairs) for x in _differences(*pair, f"{place}/{i}")]
    numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (stated, derived))
    if numbers and isclose(stated, derived, rel_tol=_SAME):
        return []
    if stated == derived or place == "/tool/version":
        return []
    return [f"{place}: states {stated!r}, evaluates to {derived!r}"]
