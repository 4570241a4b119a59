"""`Registry`: the component that a class in a description means. Users add their own to it."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import Iterable

from ..spec.nodes import did_you_mean
from .component import Component, Values

#: Modules of components/, in the order in which their components are listed.
_MODULES = ("registers", "sram", "smart_buffer", "fifo", "dram", "arithmetic", "logic", "crossbar", "wire",
            "router", "codec")
#: What a word of a class must end with to mean a component where it is no name of one; the first counts.
_PARTS = {"dram": "dram", "metadata": "smart_buffer", "smartbuffer_rf": "regfile", "regfile": "regfile",
          "register": "regfile", "_rf": "regfile", "smartbuffer": "smart_buffer", "sram": "sram",
          "storage": "sram", "fpmac": "fpmac", "fp_mac": "fpmac", "mac": "intmac"}
#: Where a word of a class ends: `SRAM_2`, `SramBank` and `SRAMBank` have a word `sram`, and `sramm` has none.
_END = "(?:(?![A-Za-z])|(?<=[a-z])(?=[A-Z])|(?=[A-Z][a-z]))"
_added: list[Component] = []


class Registry:
    """Components by the classes that mean them. Later ones come before earlier ones of the same name."""

    def __init__(self, components: Iterable[Component]) -> None:
        self.components: dict[str, Component] = {}
        self._classes: dict[str, tuple[Component, Values]] = {}
        for component in components:
            self.components[component.name] = component
            for name, fixed in {component.name: {}, **component.classes}.items():
                self._classes[name.lower()] = component, fixed

    def exact(self, name: str) -> tuple[Component, Values] | None:
        """The component of which `name` is the name or a class."""
        return self._classes.get(name.lower())

    def find(self, name: str) -> tuple[Component, Values] | None:
        """The component that a class means, and the values of parameters that its name fixes; None when
        it means none."""
        if (found := self.exact(name)) is not None:
            return found
        model = next((model for part, model in _PARTS.items() if re.search(f"(?i:{part}){_END}", name)), None)
        return next(((component, {}) for component in built_in() if component.name == model), None)

    def named(self, name: str) -> tuple[Component, Values]:
        """`find`, with a ValueError that says what is near where there is nothing."""
        found = self.find(name)
        if found is None:
            known = sorted(self.components)
            raise ValueError(f"unknown class; known are {', '.join(known)}, and names with a "
                             f"word that ends in {', '.join(dict.fromkeys(_PARTS))}"
                             f"{did_you_mean(name, [*self._classes, *_PARTS], 0.5)}")
        return found


def register_component(component: type[Component] | Component) -> None:
    """Make a component of one's own known to every table from now on, by its name and its classes.

    A class is instantiated without arguments. It takes the place of another of the same name.

    Raises
    ------
    TypeError
        For what lacks a part of the protocol `Component`.
    """
    made = component() if isinstance(component, type) else component
    missing = [part for part in ("name", "classes", "parameters", "source", "estimate")
               if not hasattr(made, part)]
    if missing:
        raise TypeError(f"{type(made).__name__} is no component: it has no {', '.join(missing)}")
    _added.append(made)


def registry(components: Iterable[Component] = ()) -> Registry:
    """What comes with tilebound, what was registered, and `components`."""
    return Registry([*built_in(), *_added, *components])


@cache
def built_in() -> tuple[Component, ...]:
    """The components that come with tilebound."""
    modules = (import_module(f".components.{name}", __package__) for name in _MODULES)
    return tuple(component for module in modules for component in module.COMPONENTS)

