"""Energy, area and leakage of components."""

from .kinds import Figures
from .price import price
from .sram import Memory
from .table import EnergyTable, Operation
from .wires import MainMemory, Wire

__all__ = ["EnergyTable", "Figures", "MainMemory", "Memory", "Operation", "Wire", "price"]
