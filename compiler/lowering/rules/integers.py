"""The integer arithmetic of docs/quantization.md on expressions of 32 bits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import te, tirx

from ....targets.cpu import integer_ops, integer_x86
from ...quantization.arithmetic import (
    GUESS,
    GUESS_SLOPE,
    INT32_MAX,
    NEWTON_STEPS,
    NEWTON_THREE,
)
from ..builder import Array, KernelBuilder
from ..math.floats import Lets

Value = Any  # a TIR expression


def multiply_high(a: Value, b: Value | int) -> Value:
    """(a * b + 2^30) >> 31, the product in 64 bits: one rounding, as Arm's sqrdmulh."""
    return integer_ops.multiply_high(a, tirx.const(b, "int32") if isinstance(b, int) else b)


def shifted(accumulator: Value, shift: int) -> Value:
    """acc * 2^shift: saturating to the left, towards minus infinity to the right."""
    if shift == 0:
        return accumulator
    if shift < 0:
        return accumulator >> tirx.const(-shift, "int32")
    low, high = -(1 << 31) >> shift, INT32_MAX >> shift
    return clamp(accumulator, low, high) << tirx.const(shift, "int32")


def requantize(
    accumulator: Value, multiplier: Value | int, shift: int, zero_point: int, low: int, high: int
) -> Value:
    """clamp(zero_point + multiply_high(acc * 2^shift, multiplier), low, high) as int8."""
    scaled = multiply_high(shifted(accumulator, shift), multiplier)
    return narrow(scaled, low, high, zero_point=zero_point)


@dataclass(frozen=True)
class Multipliers:
    """One multiplier per channel for `requantize`, as the core likes to read them.

    Args:
        read: The multiplier of a channel, or four times that.
        times: 1 or 4.
    """

    read: Callable[[Any], Value]
    times: int

    @classmethod
    def of(cls, multiplier: te.Tensor, kernel: KernelBuilder) -> "Multipliers":
        """Four times as much on x86, where the largest has room for it."""
        halves = integer_x86.rounds_halves(kernel.target) and kernel.is_constant(multiplier)
        if not halves or not kernel.stays_small(multiplier):
            return cls(multiplier, 1)
        return cls(kernel.pack(multiplier, _times_four, "quadruple"), 4)

    def requantize(
        self, accumulator: Value, channel: Any, shift: int, zero_point: int, low: int, high: int
    ) -> Value:
        """`requantize` with the multiplier of a channel."""
        multiplier = self.read(channel)
        if self.times == 1:
            return requantize(accumulator, multiplier, shift, zero_point, low, high)
        value = shifted(accumulator, shift)
        return integer_ops.requantize_by_halves(value, multiplier, zero_point, low, high)


def _times_four(multiplier: Array) -> Array:
    return 4 * multiplier


def narrow(value: Value, low: int, high: int, *, shift: int = 0, zero_point: int = 0) -> Value:
    """clamp((value >> shift) + zero_point, low, high) as int8, without overflow."""
    return integer_ops.narrow(value, low, high, shift=shift, zero_point=zero_point)


def clamp(value: Value, low: int, high: int) -> Value:
    """The nearest integer in [low, high]."""
    return tirx.max(tirx.min(value, tirx.const(high, "int32")), tirx.const(low, "int32"))


def bits_above(value: Value, first: int, last: int) -> Value:
    """How many of 2^first, 2^(first + 1), ... below 2^last the value reaches."""
    reached: Value = integer(0)
    for bit in range(first, last):
        reached = reached + tirx.Select(value >= integer(1 << bit), integer(1), integer(0))
    return reached


def integer(value: int) -> Value:
    """A constant of 32 bits."""
    return tirx.const(value, "int32")


def centered(value: Value, zero_point: int) -> Value:
    """How many steps an int8 is from zero."""
    wide = value.astype("int32")
    return wide - tirx.const(zero_point, "int32") if zero_point else wide


def reciprocal_square_root(value: Value) -> Value:
    """2^29 / sqrt(a) for a * 2^31, a in [1/4, 1): Newton's method from a line."""
    bind = Lets()
    value = bind(value)
    root = bind(tirx.const(GUESS, "int32") - multiply_high(value, GUESS_SLOPE))
    one, two = tirx.const(1, "int32"), tirx.const(2, "int32")
    for _ in range(NEWTON_STEPS):
        square = multiply_high(root, root)
        rest = bind(tirx.const(NEWTON_THREE, "int32") - multiply_high(value, square))
        root = bind(multiply_high(root, rest << two) << one)
    return bind.close(root)
