"""Real scales as integers: what the compiler computes once for each layer."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import CompileError
from .arithmetic import INT8_MAX, INT8_MIN, INT32_MAX

SMALLEST_EXPONENT = -15  # scales below 2^-16 shift the accumulator, to keep 16 bits of multiplier
MOST_SHIFT = 30
_MOST_BIAS = 2.0**30
_MOST_PAIR_SHIFT = 22  # zero points, shifted so far, leave room for a sum in 32 bits


@dataclass(frozen=True)
class QuantizedRange:
    """What the integers of a tensor stand for: real = scale * (integer - zero_point).

    Args:
        scale: The real value of one step.
        zero_point: The integer that stands for 0.
        low: The least integer that occurs.
        high: The greatest one.
    """

    scale: float
    zero_point: int
    low: int = INT8_MIN
    high: int = INT8_MAX

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise CompileError("a scale must be positive and finite", got=f"scale {self.scale}")
        if not INT8_MIN <= self.low <= self.zero_point <= self.high <= INT8_MAX:
            raise CompileError(
                "a zero point must be one of the integers of its tensor",
                got=f"zero point {self.zero_point}, integers {self.low} to {self.high}",
            )

    def quantized(self, real: float) -> int:
        """The integer next to a real value, infinite ones included."""
        steps = min(max(real / self.scale, -1e6), 1e6)
        return min(max(round(steps) + self.zero_point, self.low), self.high)

    def bounds(self, low: float, high: float) -> tuple[int, int]:
        """The least and the greatest integer where an activation keeps values in [low, high].

        Rounding is monotonic: to clamp integers so is to clamp real values before rounding.
        """
        return self.quantized(low), self.quantized(high)

    def reals(self) -> Tensor:
        """What each of the 256 integers stands for, from -128 on, as float32."""
        integers = torch.arange(INT8_MIN, INT8_MAX + 1, dtype=torch.float32)
        return (integers - self.zero_point) * self.scale


@dataclass(frozen=True)
class Rescaling:
    """Real scales as 2^shift * multiplier / 2^31, one multiplier each and one shift for all.

    The shift is 0 where the largest scale is in [2^-16, 1).
    """

    multipliers: Tensor  # int32
    shift: int

    @classmethod
    def of(cls, scales: Tensor) -> "Rescaling":
        """The integers for some scales, which may be negative.

        Raises:
            CompileError: A scale is not finite, or 2^30 or more.
        """
        scales = scales.double()
        largest = float(scales.abs().max())
        exponent = math.frexp(largest)[1] if math.isfinite(largest) else MOST_SHIFT + 1
        if exponent > MOST_SHIFT:
            raise CompileError("a scale is out of range", got=f"{largest}, not below 2^30")
        shift = max(exponent, 0) + min(exponent - SMALLEST_EXPONENT, 0)
        shift = max(shift, -MOST_SHIFT)
        integers = torch.round(scales * 2.0 ** (31 - shift)).clamp(-INT32_MAX, INT32_MAX)
        return cls(integers.to(torch.int32), shift)

    @classmethod
    def of_one(cls, scale: float) -> tuple[int, int]:
        """Multiplier and shift for one scale."""
        rescaling = cls.of(torch.tensor([scale], dtype=torch.float64))
        return int(rescaling.multipliers[0]), rescaling.shift


@dataclass(frozen=True)
class PairSum:
    """(left * x + right * y + offset) >> shift: a sum of two int8 tensors in int16 products.

    `offset` holds the zero points and the half that rounds.
    """

    left: int
    right: int
    offset: int
    shift: int

    @classmethod
    def of(
        cls,
        x: QuantizedRange,
        y: QuantizedRange | None,
        result: QuantizedRange,
        factors: tuple[float, float] = (1.0, 1.0),
    ) -> "PairSum":
        """The integers for factors[0] * x + factors[1] * y, without y for factors[0] * x.

        Raises:
            CompileError: A step of an operand is 2^14 steps of the result, or more.
        """
        ratios = [factors[0] * x.scale / result.scale]
        ratios.append(0.0 if y is None else factors[1] * y.scale / result.scale)
        largest = max(map(abs, ratios))
        shift = min(15 - math.frexp(largest)[1], _MOST_PAIR_SHIFT)
        if round(largest * 2.0**shift) > 2**15 - 1:
            shift -= 1
        if shift < 1:
            raise CompileError(
                "a step of an operand must be less than 2^14 steps of the result",
                got=f"{largest:g} steps",
            )
        left, right = (round(ratio * 2.0**shift) for ratio in ratios)
        zero_points = left * x.zero_point + (0 if y is None else right * y.zero_point)
        offset = (result.zero_point << shift) + (1 << shift - 1) - zero_points
        return cls(left, right, offset, shift)


@dataclass(frozen=True)
class Affine:
    """(x * multiplier + offset) >> shift: each element with constants of its own, int32."""

    multiplier: Tensor
    offset: Tensor
    shift: int

    @classmethod
    def of(
        cls, x: QuantizedRange, factors: Tensor, added: Tensor, result: QuantizedRange
    ) -> "Affine":
        """The integers for factors * x + added, both real and broadcast to x.

        Raises:
            CompileError: Factors or what is added are too large for the steps of the result.
        """
        ratios = factors.double() * x.scale / result.scale
        starts = added.double() / result.scale + result.zero_point - ratios * x.zero_point
        shift = min(
            15 - math.frexp(float(ratios.abs().max()))[1],
            29 - math.frexp(float(starts.abs().max()))[1],
            _MOST_PAIR_SHIFT,
        )
        if shift < 1:
            raise CompileError(
                "a constant is too large for the scale of what is computed with it",
                got=f"up to {float(starts.abs().max()):.3g} steps",
            )
        multiplier = torch.round(ratios * 2.0**shift)
        offset = torch.round(starts * 2.0**shift) + 2 ** (shift - 1)
        return cls(multiplier.to(torch.int32), offset.to(torch.int32), shift)


@dataclass(frozen=True)
class LayerConstants:
    """What a layer adds up: int8 weight [O, ...] and int32 bias [O], in steps of each channel.

    The bias holds what the zero point of the input adds. A step is real, float64 [O].
    """

    weight: Tensor
    bias: Tensor
    steps: Tensor

    @classmethod
    def of(cls, weight: Tensor, steps: Tensor, bias: Tensor, x: QuantizedRange) -> "LayerConstants":
        """The constants of y = steps * sum((x - zero point) * weight) + bias.

        Where a bias is more than 2^30 steps, as in channels whose weights are next to nothing,
        weights are rounded to larger steps: at most an error of |bias| / 2^31 for each product
        with the largest input.

        Args:
            weight: int8 [O, ...].
            steps: [O], in float64; negative ones turn the sums around.
            bias: Real, [O].
            x: The layer's input; where there is padding, it holds x.zero_point.

        Raises:
            CompileError: Inputs exist for which 32 bits are too few.
        """
        weight, steps = _with_room(weight, steps.double(), bias.double())
        sums = weight.long().flatten(1)
        folded = torch.round(bias.double() / steps) - x.zero_point * sums.sum(1)
        largest = folded.abs() + sums.abs().sum(1) * -INT8_MIN
        worst = int(largest.argmax())
        if not largest[worst] < 2**31:
            raise CompileError(
                "the sums of this layer may not fit 32 bits",
                got=f"output channel {worst}: up to {float(largest[worst]):.3g}, bias included",
                fix="keep this layer in floating point",
            )
        return cls(weight, folded.to(torch.int32), steps)


def _with_room(weight: Tensor, steps: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and steps, larger where a bias would be more than 2^30 of them."""
    least = bias.abs() / _MOST_BIAS
    sign = torch.where(steps < 0, -1.0, 1.0)
    larger = sign * torch.maximum(steps.abs(), least)
    larger = torch.where(larger == 0, 1.0, larger)
    factors = (steps / larger).view(-1, *[1] * (weight.dim() - 1))
    return torch.round(weight * factors).to(torch.int8), larger
