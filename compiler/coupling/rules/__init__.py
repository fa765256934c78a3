"""Coupling rules, one file for each family of operators; importing a file registers its rules."""

from . import (
    attention,
    convolution,
    elementwise,
    lookups,
    moves,
    norms,
    products,
    recurrent,
    reductions,
    views,
    windows,
    writes,
)

__all__ = [
    "attention",
    "convolution",
    "elementwise",
    "lookups",
    "moves",
    "norms",
    "products",
    "recurrent",
    "reductions",
    "views",
    "windows",
    "writes",
]
