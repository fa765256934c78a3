"""Softmax in integers: a table of exponentials, one division of 32 bits per row."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import CompileError
from .arithmetic import INT32_MAX
from .scales import QuantizedRange

LARGEST = 2**15 - 1  # entries of the table, and the inverse step, are positive int16
MOST_ELEMENTS = 2**16  # of a row: their sum fits 32 bits
SUM_BITS = 16  # that are left of a sum before the division


@dataclass(frozen=True)
class SoftmaxPlan:
    """The constants of one softmax.

    Args:
        table: [256] int16, round(32767 * exp(-d * input scale)) at d.
        inverse: 1 / output scale as `inverse` * 2^-(shift - 15), at least 2^14.
        shift: Of the products, before the sum's own power of two.
    """

    table: Tensor
    inverse: int
    shift: int

    @classmethod
    def of(cls, x: QuantizedRange, result: QuantizedRange) -> "SoftmaxPlan":
        """The constants for a row of x and its softmax."""
        if not 2.0**-20 <= result.scale <= 2.0**10:
            raise CompileError(
                "the step of a softmax must be in [2^-20, 2^10]", got=f"scale {result.scale}"
            )
        distances = torch.arange(256, dtype=torch.float64)
        table = torch.round(LARGEST * torch.exp(-distances * x.scale)).to(torch.int16)
        fraction, exponent = math.frexp(1 / result.scale)
        inverse = min(round(fraction * 2**15), LARGEST)
        return cls(table, inverse, 30 - exponent)


def softmax_int8(
    x: Tensor,
    table: Tensor,
    dim: int,
    inverse: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
) -> Tensor:
    """Softmax of int8 x over `dim`, int8: the formula is in docs/quantization.md."""
    integers = x.long()
    exponentials = table.long()[integers.amax(dim, keepdim=True) - integers]
    total = exponentials.sum(dim, keepdim=True)
    excess = torch.zeros_like(total)  # bits of the total above 16
    for bit in range(SUM_BITS, 31):
        excess = excess + (total >= 1 << bit).long()
    reciprocal = INT32_MAX // (total >> excess)
    factor = (reciprocal * inverse) >> 16
    down = (excess + shift).clamp(max=31)
    value = (exponentials * factor + (torch.ones_like(down) << down - 1)) >> down
    return (value + zero_point).clamp(low, high).to(torch.int8)
