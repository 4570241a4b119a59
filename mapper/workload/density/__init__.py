"""Density models: where the non-zeros of a sparse tensor are, as far as it is known."""

from .banded import Banded
from .histogram import Histogram
from .measured import Measured
from .pattern import KernelPattern
from .permuted import PermutedDiagonal
from .protocol import BoundDensity, Density, Occupancies
from .structured import StructuredNM
from .uniform import Binomial, FixedStructured, Hypergeometric

__all__ = ["Banded", "Binomial", "BoundDensity", "Density", "FixedStructured", "Histogram", "Hypergeometric",
           "KernelPattern", "Measured", "Occupancies", "PermutedDiagonal", "StructuredNM"]
