"""What mappings that a search did not consider could save at most, in words."""

from __future__ import annotations

from . import units
from .schema import CertificateEntry, ResultDocument

#: By option of a search what it brings in.
_NAMES = {"imperfect": "imperfect factors", "uneven": "uneven mappings"}


def rows(proof: CertificateEntry) -> list[tuple[str, str]]:
    """Of one layer, as (name, text)."""
    name = proof["objective"]
    return [(_NAMES.get(x["option"], x["option"]),
             f"could save {units.about('at most', x['share'])} (no less than "
             f"{units.objective(name, x['bound'])}; not considered without --{x['option']})")
            for x in proof.get("potential", ())]


def total(document: ResultDocument) -> list[tuple[str, str, str]]:
    """Of all layers together, as (name, value, detail)."""
    proofs = [(layer["count"], layer["certificate"]) for layer in document["layers"]
              if "certificate" in layer]
    everything = sum(count * proof["value"] for count, proof in proofs)
    saved: dict[str, float] = {}
    for count, proof in proofs:
        for x in proof.get("potential", ()):
            saved[x["option"]] = saved.get(x["option"], 0.0) + count * (proof["value"] - x["bound"])
    objective = document["objective"].split(",")[0]
    return [(_NAMES.get(option, option), f"{units.about('at most', value / everything)} less",
             f"{units.OBJECTIVE_NAMES[objective]} with --{option}") for option, value in saved.items()]


def sentences(document: ResultDocument) -> list[str]:
    """The same in sentences."""
    return [f"{name[0].upper()}{name[1:]} were not considered: {value} {detail}."
            for name, value, detail in total(document)]
