"""What a change of a program costs: where two programs differ, and which pass made them differ."""

from .bisection import Bisection, bisect
from .comparison import Comparison, compare
from .range_ends import Saturation, saturation

__all__ = ["Bisection", "Comparison", "Saturation", "bisect", "compare", "saturation"]
