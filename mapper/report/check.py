"""Check a result document: evaluate its mappings again, and re-derive its bounds by arithmetic."""

from __future__ import annotations

from dataclasses import replace
from math import isclose
from typing import Any, Iterator

from ..errors import MappingError, SpecError
from ..mapping.constraints import violations
from ..mapping.validate import validate
from ..model.evaluate import evaluate
from ..search.check import ProofError, rederive
from ..search.differences import difference
from ..search.result import Certificate, LayerResult, NetworkResult, objective_value
from .document import from_document, to_document
from .schema import ResultDocument

_SAME = 1e-9      # relative difference that rounding may cause


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
        cost = evaluate(result.architecture, layer.einsum, layer.mapping, result.semantics, result.options)
        other = difference(result.architecture, layer.einsum, layer.mapping, cost, result.semantics,
                           result.options)
        layers.append(replace(layer, cost=cost, difference=other))
    again = to_document(replace(result, layers=tuple(layers)), graph)
    found += _differences(document, again, "")
    proofs: dict[Any, list[str]] = {}
    for layer in layers:
        if layer.certificate is not None:
            key = (layer.einsum.canonical, *((x.objective, x.value, x.lower_bound, x.among, x.status)
                                             for x in _stages(layer.certificate)))
            if key not in proofs:
                proofs[key] = [text for proof in _stages(layer.certificate)
                               for text in _certificate(result, layer, proof)]
            found += [f"{layer.name}: {x}" for x in proofs[key]]
    return found


def _stages(certificate: Certificate) -> Iterator[Certificate]:
    """A certificate, and those of the next objectives."""
    yield certificate
    if certificate.then is not None:
        yield from _stages(certificate.then)


def _certificate(result: NetworkResult, layer: LayerResult, claimed: Certificate) -> list[str]:
    """What a certificate of a layer claims beyond what it proves."""
    found = []
    # A search counts exactly, also where its mappings are then counted with other semantics.
    energy_pj, cycles = layer.cost.energy_pj, layer.cost.cycles
    if result.semantics != "exact" and (exact := layer.difference) is not None:
        energy_pj, cycles = exact.energy_pj or 0.0, exact.cycles or 0
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
        relaxed, proven = rederive(result.architecture, layer.einsum, claimed.objective, claimed.value,
                                   dict(claimed.dual), result.constraints, claimed.among)
    except ProofError as error:
        return [*found, f"the certificate is no proof: {error}"]
    for what, states, has in (("relaxed bound", claimed.relaxed_bound, relaxed),
                              ("lower bound", claimed.lower_bound, proven)):
        if states > has * (1 + _SAME):
            found.append(f"the certificate states a {what} of {states:.9g}, its multipliers prove {has:.9g}")
    if claimed.status == "optimal" and proven < claimed.value * (1 - _SAME):
        found.append("the certificate states an optimum that it does not prove")
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
