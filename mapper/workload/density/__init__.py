"""Density models: where the non-zeros of a sparse tensor are, as far as it is known."""

from .protocol import BoundDensity, Density, Occupancies
from .uniform import Binomial, FixedStructured, Hypergeometric

__all__ = ["Binomial", "BoundDensity", "Density", "FixedStructured", "Hypergeometric", "Occupancies"]
