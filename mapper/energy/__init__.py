"""Energy, area and leakage of components."""

from .component import Component, Estimate, Parameter
from .kinds import Figures
from .price import Priced, price, priced
from .registry import register_component
from .sram import Memory
from .table import EnergyTable
from .wires import MainMemory, Wire

__all__ = ["Component", "EnergyTable", "Estimate", "Figures", "MainMemory", "Memory", "Parameter", "Priced",
           "Wire", "price", "priced", "register_component"]
