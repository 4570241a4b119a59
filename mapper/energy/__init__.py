"""Energy, area and leakage of components."""

from .price import price
from .sram import Memory
from .table import EnergyTable, Operation

__all__ = ["EnergyTable", "Memory", "Operation", "price"]
