"""Fit arch/tables/organisation.csv to arch/tables/sram.csv: `python benchmarks/fit_arrays.py [arch/tables]`.

For each kind of array, what a partition costs (`tilebound.energy.organisation`): coefficients of at least
zero, by robust least squares of relative errors. Few rows are helped by many: a kind is drawn to what all
kinds have in common, and other ports to one port. And a partition that CACTI did not choose must have
cost more than the one it chose, which says how slow such partitions are at the least.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Iterator, Mapping, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tilebound.energy.organisation import (
    QUANTITIES,
    TERMS,
    Built,
    Census,
    Organisation,
    Partition,
    tree_terms,
)

#: Leakage is fitted in two parts, which differ between cells and nodes.
FITTED = ("read_pj", "write_pj", "subthreshold_mw", "gate_leak_bank_mw", "area_um2", "access_ns")
_TERMS_OF = {"subthreshold_mw": "leak_bank_mw", "gate_leak_bank_mw": "leak_bank_mw"}
_READ, _DELAY = FITTED.index("read_pj"), FITTED.index("access_ns")

Array = NDArray[np.float64]
Matrices = dict[str, Array]         # by quantity
KindKey = tuple[str, str, str, int]     # node, cell, ports, banks

_FIRM_KIND, _FIRM_PORTS = 0.003, 0.03   # how much a kind is drawn to all kinds, and ports to one port
_OUTLIER = 0.03                         # relative error from which on a row counts less
_LATE = 0.3                             # weight of partitions that were not chosen against those that were
_HEADER = """\
# What a partition of an array costs: coefficients of the terms in mapper/energy/organisation.py, fitted to
# sram.csv by benchmarks/fit_arrays.py. part: a bank, or the tree of wires between banks.
"""
_COLUMNS = ("node_nm", "cell", "ports", "part", "quantity", "term", "coefficient")


class Sample(NamedTuple):
    """Tabulated arrays of a kind: how they are built, their fitted quantities (n, 6), and banks of each."""

    built: Built
    chosen: Array       # partitions (n, 4)
    values: Array
    banks: Array

    def columns(self) -> Matrices:
        return columns(self.built)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table; lines that begin with # are comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def samples_of(rows: list[dict[str, str]]) -> dict[KindKey, Sample]:
    """Those rows of sram.csv that say how CACTI partitioned the array, by kind."""
    kinds: dict[KindKey, list[dict[str, str]]] = {}
    for row in rows:
        if row["ndwl"]:
            kinds.setdefault((row["node_nm"], row["cell"], row["ports"], int(row["banks"])), []).append(row)
    return {kind: sample(rows) for kind, rows in kinds.items()}


def sample(rows: list[dict[str, str]]) -> Sample:
    numbers = {key: np.array([float(row[key]) for row in rows])
               for key in ("banks", "width_bits", "capacity_bytes", *Partition._fields, *QUANTITIES,
                           "gate_leak_bank_mw")}
    numbers["subthreshold_mw"] = numbers["leak_bank_mw"] - numbers["gate_leak_bank_mw"]
    chosen = np.column_stack([numbers[key] for key in Partition._fields])
    depth = numbers["capacity_bytes"] * 8 / numbers["width_bits"] / numbers["banks"]
    return Sample(Built.of(depth, numbers["width_bits"], chosen), chosen,
                  np.column_stack([numbers[key] for key in FITTED]), numbers["banks"])


def columns(built: Built) -> Matrices:
    """Terms of each fitted quantity, (n, terms)."""
    matrices = {name: np.column_stack(list(terms(built).values())) for name, terms in TERMS.items()}
    return {name: matrices[_TERMS_OF.get(name, name)] for name in FITTED}


def fit(terms: Array, values: Array, prior: Array | None = None, firm: float = 0.0,
        weights: Array | float = 1.0) -> Array:
    """Coefficients >= 0 of `terms` (n, k) for `values` (n), drawn to `prior` (k) times a factor."""
    from scipy.optimize import nnls

    size = terms.max(axis=0)
    seen = size > 0
    if not seen.all():      # what no row shows is as elsewhere
        found = np.zeros(len(size)) if prior is None else prior / np.median(terms @ prior / values)
        found[seen] = fit(terms[:, seen], values, None if prior is None else prior[seen], firm, weights)
        return found
    scaled = terms / size
    share = (np.median(scaled / values[:, None], axis=0) + np.mean(scaled / values[:, None], axis=0)) / 2
    share = np.sqrt(firm * len(values)) * np.maximum(share, 1e-9)
    weight = weights / values
    for _ in range(6):
        left, right = scaled * weight[:, None], values * weight
        if prior is not None:
            target = prior * size / np.median(terms @ prior / values)
            left, right = np.vstack((left, np.diag(share))), np.concatenate((right, share * target))
        found = nnls(left, right, maxiter=5000)[0]
        error = np.log(np.maximum(scaled @ found, 1e-300) / values)
        weight = weights / values / np.sqrt(1 + (error / _OUTLIER)**2)
    return found / size


def in_common(samples: Mapping[KindKey, Sample]) -> Matrices:
    """Coefficients for all kinds together, each up to a factor of its own."""
    terms, found = [s.columns() for s in samples.values()], {}
    for q, name in enumerate(FITTED):
        matrices, values = [t[name] for t in terms], [s.values[:, q] for s in samples.values()]
        factors = [np.median(v) for v in values]
        for _ in range(4):
            scaled = [v / f for v, f in zip(values, factors, strict=True)]
            found[name] = fit(np.vstack(matrices), np.concatenate(scaled))
            factors = [np.median(v / (m @ found[name])) for v, m in zip(values, matrices, strict=True)]
    return found


def fit_kind(rows: Sample, common: Matrices, census: Census) -> Matrices:
    """Coefficients of one kind, whose delays also keep the partitions that lost from winning."""
    terms = rows.columns()
    found = {name: fit(terms[name], rows.values[:, q], common[name], _FIRM_KIND)
             for q, name in enumerate(FITTED)}
    row, others = _others(rows, census)
    lost = columns(others)
    product = rows.values[:, _READ] * rows.values[:, _DELAY]**2
    least = np.sqrt(product[row] / (lost["read_pj"] @ found["read_pj"]))      # delay of those that lost
    broken = np.zeros(len(row), dtype=bool)
    for _ in range(6):
        delay = lost["access_ns"] @ found["access_ns"]
        broken |= delay < least * (1 - 1e-3)
        count = int(broken.sum())
        weights = np.ones(len(product) + count)
        weights[len(product):] = np.sqrt(_LATE * min(1.0, len(product) / max(count, 1)))
        found["access_ns"] = fit(
            np.vstack((terms["access_ns"], lost["access_ns"][broken])),
            np.concatenate((rows.values[:, _DELAY], np.maximum(delay, least)[broken])),
            common["access_ns"], _FIRM_KIND, weights)
    return found


def _others(rows: Sample, census: Census) -> tuple[NDArray[np.intp], Built]:
    """All partitions of each array but the one that was chosen."""
    row, other = np.divmod(np.arange(len(rows.chosen) * len(census.partitions)), len(census.partitions))
    partitions = census.partitions[other]
    built = Built.of(rows.built.depth[row], rows.built.width[row], partitions)
    keep = built.exists() & np.any(partitions != rows.chosen[row], axis=1)
    return row[keep], Built(*(x[keep] for x in built))


def fit_ports(samples: list[Sample], single: list[Matrices]) -> list[Matrices]:
    """Coefficients of kinds with the same ports: those of one port times factors that all have in common."""
    terms, factors = [s.columns() for s in samples], {}
    for q, name in enumerate(FITTED):
        matrix = np.vstack([t[name] * one[name] for t, one in zip(terms, single, strict=True)])
        values = np.concatenate([s.values[:, q] for s in samples])
        factors[name] = fit(matrix, values, np.ones(matrix.shape[1]), _FIRM_PORTS)
    return [{name: one[name] * factors[name] for name in FITTED} for one in single]


def fit_tree(samples: list[Sample], bank: Matrices) -> dict[str, dict[str, float]]:
    """Coefficients of the wires between banks, for all numbers of banks of a node and cell."""
    from scipy.optimize import nnls

    built = Built(*(np.concatenate(parts) for parts in zip(*(s.built for s in samples), strict=True)))
    values, banks = np.vstack([s.values for s in samples]), np.concatenate([s.banks for s in samples])
    terms, tree, found = columns(built), tree_terms(built, banks), {}
    for q, name in enumerate(FITTED):
        alone = terms[name] @ bank[name] * (banks if name == "area_um2" else 1)
        own = tree[_TERMS_OF.get(name, name)]
        matrix = np.column_stack(list(own.values()))
        size, weight = np.maximum(matrix.max(axis=0), 1e-300), 1 / values[:, q]
        for _ in range(6):
            excess = np.maximum((values[:, q] - alone) * weight, -0.2)
            coefficients = nnls(matrix / size * weight[:, None], excess)[0] / size
            error = np.log((alone + matrix @ coefficients) / values[:, q])
            weight = 1 / values[:, q] / np.sqrt(1 + (error / _OUTLIER)**2)
        found[name] = coefficients
    return _named(found, tree)


def fit_all(samples: Mapping[KindKey, Sample]) -> dict[KindKey, Organisation]:
    """Organisations by kind; those of several banks have the number 2 for it."""
    plain = {k: s for k, s in samples.items() if k[2:] == ("1RW", 1) and len(s.banks) >= 40}
    census = Census(np.zeros((sum(len(s.banks) for s in samples.values()), 2)),
                    [Partition(*map(int, p)) for s in samples.values() for p in s.chosen])
    common = in_common(plain)
    single = {k: fit_kind(s, common, census) for k, s in plain.items()}
    found = {k: Organisation(_named(k2), {}) for k, k2 in single.items()}
    for ports in sorted({k[2] for k in samples} - {"1RW"}):
        kinds = [k for k in samples if k[2] == ports]
        fitted = fit_ports([samples[k] for k in kinds], [single[*k[:2], "1RW", 1] for k in kinds])
        found |= {k: Organisation(_named(f), {}) for k, f in zip(kinds, fitted, strict=True)}
    for node, cell in sorted({k[:2] for k in samples if k[3] > 1}):
        one = node, cell, "1RW", 1
        several = [s for k, s in samples.items() if k[:3] == one[:3] and k[3] > 1]
        found[node, cell, "1RW", 2] = Organisation(found[one].bank, fit_tree(several, single[one]), 2)
    return found


def _named(coefficients: Matrices, terms: Mapping[str, Mapping[str, Array]] | None = None
           ) -> dict[str, dict[str, float]]:
    """Coefficients by quantity and term, both leakages in one."""
    one = Built(*np.full((len(Built._fields), 1), 4.0))
    terms = terms or {name: function(one) for name, function in TERMS.items()}
    summed: Matrices = {}
    for name, values in coefficients.items():
        quantity = _TERMS_OF.get(name, name)
        summed[quantity] = summed.get(quantity, 0.0) + values
    return {name: dict(zip(terms[name], values.tolist(), strict=True)) for name, values in summed.items()}


def table(organisations: Mapping[KindKey, Organisation]) -> Iterator[dict[str, str]]:
    """Rows of organisation.csv: the coefficients above zero."""
    for (node, cell, ports, banks), found in sorted(organisations.items()):
        part, coefficients = ("tree", found.tree) if banks > 1 else ("bank", found.bank)
        for name in QUANTITIES:
            for term, value in coefficients[name].items():
                if value > 0:
                    row = node, cell, ports, part, name, term, f"{value:.6g}"
                    yield dict(zip(_COLUMNS, row, strict=True))


def main(folder: str = "arch/tables") -> None:
    rows = table(fit_all(samples_of(read_rows(Path(folder, "sram.csv")))))
    with Path(folder, "organisation.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(_HEADER)
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
