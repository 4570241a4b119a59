"""The errors that tilebound raises on purpose; each maps to an exit status of the command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence


@dataclass(frozen=True, order=True)
class Problem:
    """One fault in a user's input, with its place. Lines and columns count from 1; 0 means that there is
    none: the fault is one of the file as a whole, or of an object that came from no file, whose name
    `file` then holds. What is printed is a true place or none."""

    file: str
    line: int
    column: int
    message: str          # "WHAT; expected WHAT; hint"
    severity: str = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.column else \
            f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.severity}: {self.message}"


class TileboundError(Exception):
    """Base of all errors raised on purpose."""


class SpecError(TileboundError):
    """The input is wrong (exit status 2). `problems` holds every fault found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(p) for p in self.problems))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)     # how it travels between processes


class MappingError(TileboundError):
    """A mapping does not fit its Einsum or architecture. `reasons` holds every fault found; each
    names level, tensor or rank, need and have."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("\n".join(self.reasons))


class InfeasibleError(TileboundError):
    """The input is valid but no mapping fits (exit status 3); the message names the constraint. `conflict`
    holds the demands that conflict (`search.conflict.relief.Conflict`) where these were found."""

    def __init__(self, message: str, conflict: Any = None) -> None:
        self.conflict = conflict
        super().__init__(message)

    def __reduce__(self) -> tuple[type[InfeasibleError], tuple[str, Any]]:
        return type(self), (str(self), self.conflict)
