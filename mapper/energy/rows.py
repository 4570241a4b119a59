"""`RowComponent`: a component of one's own, given as rows of figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log
from typing import TYPE_CHECKING, Mapping

from ..hardware.architecture import Basis, Figure
from ..spec.nodes import one_of
from .component import Estimate, Parameter, Value, Values

if TYPE_CHECKING:
    from .table import EnergyTable

@dataclass(frozen=True)
class UserRow:
    """Figures of one unit: pJ by action, `area` (um^2), `leakage` and `refresh` (mW), where given.
    `node_nm` None: the same at every node."""

    name: str
    parameters: Mapping[str, Value]
    actions: Mapping[str, float]
    powers: Mapping[str, float] = field(default_factory=dict)      # "area" is one of them
    node_nm: float | None = None
    source: str = "user"


@dataclass(frozen=True)
class RowComponent:
    """All rows of one class. Between rows that differ in one number the logs are interpolated; at another
    node energy and area are scaled as logic is, and leakage is unknown."""

    rows: tuple[UserRow, ...]
    classes: Mapping[str, Values] = field(default_factory=dict)
    source: str = "rows of the user's own"

    @property
    def name(self) -> str:
        return self.rows[0].name

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        names = dict.fromkeys(name for row in self.rows for name in row.parameters)
        listed = [Parameter(name, "as in a row", kind="text" if any(
            isinstance(row.parameters.get(name), str) for row in self.rows) else "number") for name in names]
        noded = any(row.node_nm is not None for row in self.rows)
        node = Parameter("node", "technology node", "nm", kind="number")
        return (*listed, node) if noded else tuple(listed)

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        node = float(given["node"]) if "node" in given else None
        row, basis, how = self._nearest(given, node)
        energy, space, leaks = 1.0, 1.0, True
        warnings: tuple[str, ...] = ()
        if row.node_nm is not None and node is not None and row.node_nm != node:
            energy, space = table.units.scaling.between(row.node_nm, node)
            basis, leaks = "scaled", False
            how += f", at {node:g}nm scaled from {row.node_nm:g}nm"
            warnings = (f"{self.name} is scaled from {row.node_nm:g}nm to {node:g}nm as logic is; its "
                        "leakage there is unknown",)
        source = f"{row.source}{how}"
        powers = {name: Figure(value * (space if name == "area" else 1.0), source, basis)
                  for name, value in row.powers.items() if leaks or name == "area"}
        bits = given.get("width", given.get("bits"))
        return Estimate({name: Figure(value * energy, source, basis) for name, value in row.actions.items()},
                        powers.get("area"), powers.get("leakage"), powers.get("refresh"),
                        access_bits=None if bits is None else int(bits), warnings=warnings)

    def _nearest(self, given: Values, node: float | None) -> tuple[UserRow, Basis, str]:
        """The row for these parameters, or one between two of them."""
        nodes = {row.node_nm for row in self.rows if row.node_nm is not None}
        near = None if node is None or not nodes else min(nodes, key=lambda n: abs(log(n / node)))
        rows = [row for row in self.rows if row.node_nm in (None, near)]
        for row in rows:
            if not _unlike(row, given):
                return row, "user", ""
        for name in dict.fromkeys(name for row in rows for name in row.parameters):
            if isinstance(wanted := given.get(name), str) or wanted is None:
                continue
            line = {float(row.parameters[name]): row for row in rows if _unlike(row, given) == [name]}
            low, high = max((x for x in line if x < wanted), default=None), \
                min((x for x in line if x > wanted), default=None)
            if low is not None and high is not None:
                share = log(wanted / low) / log(high / low)
                return _between(line[low], line[high], share), "interpolated", \
                    f", interpolated from {name} {low:g} and {high:g}"
        listed = one_of([_told(row.parameters) or "any" for row in rows], 8)
        wanted_text = _told({name: value for name, value in given.items() if name != "node"})
        raise ValueError(f"no row for {wanted_text}, nor two around it; expected {listed}")


def _told(values: Values) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _unlike(row: UserRow, given: Values) -> list[str]:
    """The parameters in which a row is not as wanted."""
    return [name for name, value in row.parameters.items() if given.get(name) != value]


def _between(a: UserRow, b: UserRow, share: float) -> UserRow:
    """The row `share` of the way from `a` to `b`, of what both give."""
    def mixed(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
        return {name: one[name] ** (1 - share) * other[name] ** share if one[name] and other[name]
                else one[name] * (1 - share) + other[name] * share for name in one if name in other}
    return UserRow(a.name, a.parameters, mixed(a.actions, b.actions), mixed(a.powers, b.powers), a.node_nm,
                   f"{a.source} and {b.source}" if a.source != b.source else a.source)
