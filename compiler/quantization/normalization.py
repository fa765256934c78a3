"""Layer norm and RMS norm in integers: exact sums, one reciprocal square root per row."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import CompileError
from .arithmetic import (
    INT32_MAX,
    multiply_high,
    power_of_four,
    reciprocal_square_root,
)
from .scales import QuantizedRange

MOST_ELEMENTS = 2**13  # of a row: all that is computed from it fits
FRACTION_BITS = 8  # of the variance, for eps; an even number
_MOST_FRACTION_BITS = 16
_MOST_OFFSET = 1 << 30


@dataclass(frozen=True)
class NormalizationPlan:
    """The constants of one normalization.

    Args:
        gain: int32 [n], weight / output scale * 2^(shift + 3 + c), c = ceil(log2(n) / 2).
        offset: int32 [n], (bias / output scale + zero point) * 2^shift and the half that rounds.
        epsilon: n^2 * eps / input scale^2 * 2^8.
        shift: Fraction bits of the result before it is rounded.
    """

    gain: Tensor
    offset: Tensor
    epsilon: int
    shift: int

    @classmethod
    def of(
        cls,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        x: QuantizedRange,
        result: QuantizedRange,
    ) -> "NormalizationPlan":
        """The constants for rows of x; `weight` and `bias` are real, [n].

        Raises:
            CompileError: Rows are too long, eps outweighs every row, or results are out of range.
        """
        n = weight.numel()
        if not 1 <= n <= MOST_ELEMENTS:
            raise CompileError(f"rows of at most {MOST_ELEMENTS} elements", got=f"{n} elements")
        epsilon = round(n * n * eps / x.scale**2 * 2**FRACTION_BITS)
        if epsilon > n * n << 16 + FRACTION_BITS:
            raise CompileError("eps is more than the squares of a row", got=f"eps {eps}")
        gains = weight.double() / result.scale
        offsets = bias.double() / result.scale + result.zero_point
        grown = 3 + root_bits(n)
        shift = min(
            _MOST_FRACTION_BITS,
            31 - grown - math.frexp(float(gains.abs().max()))[1],
            30 - math.frexp(float(offsets.abs().max()))[1],
        )
        if shift < 1:
            raise CompileError(
                "weight or bias of a normalization is too large for the scale of its result",
                got=f"up to {float(gains.abs().max()):.3g} and {float(offsets.abs().max()):.3g}",
            )
        gain = torch.round(gains * 2.0 ** (shift + grown)).clamp(-INT32_MAX, INT32_MAX)
        offset = torch.round(offsets * 2.0**shift) + 2 ** (shift - 1)
        assert float(offset.abs().max()) <= _MOST_OFFSET + 2**shift, "the shift leaves room"
        return cls(gain.to(torch.int32), offset.to(torch.int32), epsilon, shift)


def root_bits(n: int) -> int:
    """The least c with sqrt(n) <= 2^c: no normalized value exceeds sqrt(n)."""
    return math.ceil(math.log2(n) / 2)


def exponent_count(n: int) -> int:
    """How many powers of four n * (squares of a row) + epsilon may reach, fraction included."""
    return (n * n << 17 + FRACTION_BITS).bit_length() // 2 + 1


def normalize_int8(
    x: Tensor,
    gain: Tensor,
    offset: Tensor,
    axes: int,
    input_zero_point: int,
    centered: bool,
    epsilon: int,
    shift: int,
    low: int,
    high: int,
) -> Tensor:
    """Layer norm (`centered`) or RMS norm of int8 x over its last `axes`, int8.

    The formula is in docs/quantization.md.
    """
    rows = x.flatten(-axes).long() - input_zero_point
    n = rows.shape[-1]
    total = rows.sum(-1, keepdim=True) if centered else torch.zeros_like(rows[..., :1])
    squares = (rows * rows).sum(-1, keepdim=True)
    variance = ((n * squares - total * total << FRACTION_BITS) + epsilon).clamp(min=1)
    exponent = power_of_four(variance, exponent_count(n))
    up, down = (31 - 2 * exponent).clamp(min=0), (2 * exponent - 31).clamp(min=0)
    root = reciprocal_square_root((variance << up) >> down)
    # at most 2^(30 - up), and 0 where that would shift by more than 30
    up = (30 + FRACTION_BITS // 2 - root_bits(n) - exponent).clamp(max=30)
    normal = multiply_high((n * rows - total) << up, root)
    value = (multiply_high(normal, gain.flatten().long()) + offset.flatten()) >> shift
    return value.clamp(low, high).to(torch.int8).reshape(x.shape)
