"""How layers of microcontrollers become C: functions over raw pointers and micro-kernels.

Modules that `lowers_layer` registers functions of are imported here.
"""

from . import (
    averages,
    dense,
    depthwise,
    maxima,
    moves,
    mve_dense,
    mve_depthwise,
    mve_planes,
    mve_pointwise,
    pointwise,
)

__all__ = [
    "averages",
    "dense",
    "depthwise",
    "maxima",
    "moves",
    "mve_dense",
    "mve_depthwise",
    "mve_planes",
    "mve_pointwise",
    "pointwise",
]
