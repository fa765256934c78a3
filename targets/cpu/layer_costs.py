"""What convolutions cost as products of integers, and of real numbers, before any is compiled."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..target import Target
from .integer_ops import for_dots, has_dots, word_length
from .integer_x86 import takes_halves
from .tiles import is_arm, product_cost
from .winograd import winograd_plan

_TO_REAL = 6.0  # instructions to make a vector of real numbers of integers and store it
_X86_PER_CYCLE = 2  # vector instructions, as tiles.py has it; one on ARM
_TO_INTEGERS = 4.0  # how many more than integer sums real ones take to become a vector of integers


@dataclass(frozen=True, kw_only=True)
class ConvolutionSizes:
    """A convolution without groups."""

    batch: int
    outputs: int
    depth: int
    taps: tuple[int, ...]
    sizes: tuple[int, ...]  # of the result
    inputs: int  # elements of the input
    plain: bool  # whether neither stride nor dilation is above 1

    @property
    def results(self) -> int:
        """Elements of the result."""
        return self.batch * self.outputs * math.prod(self.sizes)


def integer_cost(layer: ConvolutionSizes, target: Target) -> float | None:
    """Instructions of its sums of words; None for cores that have no instruction for these."""
    if not has_dots(target):
        return None
    instructions = 2 if takes_halves(target) else 1  # VPMADDWD and VPADDD
    words = math.prod(layer.taps[:-1]) * -(-layer.taps[-1] * layer.depth // word_length(target))
    return instructions * _products(layer, for_dots(target), words)


def real_cost(layer: ConvolutionSizes, target: Target, tiles: Sequence[int]) -> float:
    """Instructions of its sums in float32, and to convert there and back.

    `tiles`: sides of the tiles that Winograd's algorithm may use.
    """
    sums = [_products(layer, target, layer.depth * math.prod(layer.taps))]
    if layer.taps == (3, 3) and layer.plain:
        height, width = layer.sizes
        shape = layer.batch, (height, width), layer.depth, layer.outputs
        sums += [winograd_plan(target, tile, *shape).cost(target) for tile in tiles]
    converted = _TO_REAL * layer.inputs + _TO_INTEGERS * layer.results
    return min(sums) + converted / target.lanes(32)


def _products(layer: ConvolutionSizes, target: Target, depth: int) -> float:
    """Instructions of a tile's rows in each row of the result, or in all where these are joined."""
    rows, times = layer.sizes[-1], layer.batch * math.prod(layer.sizes[:-1])
    if layer.plain and math.prod(layer.taps) == 1:
        rows, times = rows * times, 1
    per_cycle = 1 if is_arm(target) else _X86_PER_CYCLE
    return per_cycle * times * product_cost(target, rows, layer.outputs, depth)
