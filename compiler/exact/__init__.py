"""Functions of real numbers that have one definition, which every target computes bit by bit."""

from . import ops as ops
