"""The exact functions as expressions in kernels: each operation is rounded, none are joined."""

from collections.abc import Callable
from typing import Any

from tvm import tirx

from .floats import Expr, Lets, at_least, at_most, bits, from_bits, like, opaque, rounded

# Added to a number below 2^22, it leaves the nearest integer in the last bits: the addition
# rounds halves to even, as every operation does.
_MAGIC = 1.5 * 2**23


class Rounded:
    """A float32 expression; no later sum takes in a product before that is rounded."""

    def __init__(self, value: Expr) -> None:
        self.value = value

    def __add__(self, other: "Rounded | float") -> "Rounded":
        return Rounded(self.value + self._other(other))

    def __radd__(self, other: float) -> "Rounded":
        return Rounded(like(self.value, other) + self.value)

    def __sub__(self, other: "Rounded | float") -> "Rounded":
        return Rounded(self.value - self._other(other))

    def __rsub__(self, other: float) -> "Rounded":
        return Rounded(like(self.value, other) - self.value)

    def __mul__(self, other: "Rounded | float") -> "Rounded":
        return Rounded(rounded(self.value * self._other(other)))

    def __rmul__(self, other: float) -> "Rounded":
        return self * other

    def __truediv__(self, other: "Rounded | float") -> "Rounded":
        return Rounded(self.value / self._other(other))

    def __rtruediv__(self, other: float) -> "Rounded":
        return Rounded(like(self.value, other) / self.value)

    def _other(self, other: "Rounded | float") -> Expr:
        return other.value if isinstance(other, Rounded) else like(self.value, other)


class ExpressionNumbers:
    """Expressions as the `Numbers` of the exact functions."""

    def __init__(self) -> None:
        self.lets = Lets()

    def name(self, x: Rounded) -> Rounded:
        """A variable that stands for x."""
        return Rounded(self.lets(x.value))

    def at_least(self, bound: float, x: Rounded) -> Rounded:
        """max(bound, x)."""
        return Rounded(at_least(like(x.value, bound), x.value))

    def at_most(self, bound: float, x: Rounded) -> Rounded:
        """min(bound, x)."""
        return Rounded(at_most(like(x.value, bound), x.value))

    def nearest(self, x: Rounded) -> Rounded:
        """The nearest integer, halves to even."""
        return Rounded(opaque(x.value + like(x.value, _MAGIC)) - like(x.value, _MAGIC))

    def power_of_two(self, n: Rounded) -> Rounded:
        """2**n: the last bits of n + 127 in the place of the exponent."""
        biased = bits(n.value + like(n.value, _MAGIC + 127))
        return Rounded(from_bits(biased << tirx.const(23, "int32")))


def exactly(function: Callable[..., Any], *operands: Expr) -> Expr:
    """An exact function of float32 expressions as one expression."""
    numbers = ExpressionNumbers()
    named = [numbers.name(Rounded(operand)) for operand in operands]
    result: Rounded = function(*named, numbers)
    return numbers.lets.close(result.value)
