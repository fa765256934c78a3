"""Integer arithmetic that every kernel reproduces bit for bit, on tensors of int64.

Each function is a few vector instructions on every target; docs/quantization.md names them.
"""

import torch
from torch import Tensor

INT8_MIN, INT8_MAX = -128, 127
INT32_MAX = 2**31 - 1

# 1 / sqrt(a) is close to 2.1328 - 1.2187 a for a in [1/4, 1]: relative error at most 8.6 %, equal
# at both ends and between them.
GUESS = round(2.1328 * 2**29)  # * 2^29
GUESS_SLOPE = round(1.2187 * 2**29)
NEWTON_STEPS = 3
NEWTON_THREE = 3 << 27  # 3 * 2^27


def multiply_high(a: Tensor, b: Tensor | int) -> Tensor:
    """The product of two numbers of 32 bits, divided by 2^31 and rounded once: sqrdmulh of Arm.

    The pair (-2^31, -2^31), which would not fit, does not occur.
    """
    return (a * b + (1 << 30)) >> 31


def shifted(accumulator: Tensor, shift: int) -> Tensor:
    """An accumulator times 2^shift: saturating to the left, towards minus infinity to the right."""
    if shift > 0:
        return accumulator.clamp(-(1 << 31) >> shift, INT32_MAX >> shift) << shift
    return accumulator >> -shift


def requantize(
    accumulator: Tensor,
    multiplier: Tensor | int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
) -> Tensor:
    """The int8 result of an accumulator: clamp(zero_point + acc * 2^shift * m / 2^31, low, high).

    Args:
        accumulator: Integers that fit 32 bits.
        multiplier: m, broadcast against the accumulator.
        shift: A power of two, 0 for nearly every layer.
        zero_point: Of the result.
        low: The least result; at least -128.
        high: The greatest result; at most 127.
    """
    scaled = multiply_high(shifted(accumulator.long(), shift), multiplier)
    return (scaled.clamp(low - zero_point, high - zero_point) + zero_point).to(torch.int8)


def reciprocal_square_root(value: Tensor) -> Tensor:
    """2^29 / sqrt(a) for `value` = a * 2^31 with a in [1/4, 1): three steps of Newton's method.

    The error of the guess, 8.6 %, becomes 1.1 %, 0.02 % and 5e-8.
    """
    root = GUESS - multiply_high(value, GUESS_SLOPE)
    for _ in range(NEWTON_STEPS):
        square = multiply_high(root, root)  # y^2 * 2^27
        rest = NEWTON_THREE - multiply_high(value, square)  # (3 - a y^2) * 2^27
        root = multiply_high(root, rest << 2) << 1
    return root


def power_of_four(value: Tensor, most: int) -> Tensor:
    """The least h with value < 4^h, for values in [1, 4^most)."""
    exponent = torch.zeros_like(value)
    for i in range(most):
        exponent = exponent + (value >= 1 << 2 * i).long()
    return exponent
