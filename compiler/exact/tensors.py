"""The exact functions on tensors: what the operators compute in PyTorch."""

import torch
from torch import Tensor

WIDTH = 16  # partial sums of a row: whole vectors on every CPU


class TensorNumbers:
    """float32 tensors as `Numbers`; PyTorch rounds after each operation."""

    def name(self, x: Tensor) -> Tensor:
        """x."""
        return x

    def at_least(self, bound: float, x: Tensor) -> Tensor:
        """max(bound, x)."""
        return x.clamp(min=bound)

    def at_most(self, bound: float, x: Tensor) -> Tensor:
        """min(bound, x)."""
        return x.clamp(max=bound)

    def nearest(self, x: Tensor) -> Tensor:
        """The nearest integer, halves to even."""
        return x.round()

    def power_of_two(self, n: Tensor) -> Tensor:
        """2**n, written as the bits of its exponent."""
        exponent = n.nan_to_num(0.0).to(torch.int32) + 127
        return (exponent << 23).view(torch.float32)


def square_root(x: Tensor) -> Tensor:
    """The square root, correctly rounded: rounded from float64 it is, whatever computes that."""
    return x.double().sqrt().float()


def row_sum(x: Tensor) -> Tensor:
    """The sum over the last axis, [..., n] -> [..., 1], in the order of `partial_width`.

    With w = partial_width(n): first w sums of the elements l, l + w, l + 2 w, ... of the whole
    multiples of w, each from the left, starting
    at 0 where they are several. Then, while w > 1, w becomes w / 2 and sum l adds sum
    l + w; if n has the bit w, it adds the next of the elements left over as well.
    """
    n = x.shape[-1]
    width = partial_width(n)
    whole = n - n % width
    total = x[..., :width]
    if whole > width:
        total = total + 0.0  # no zero has a sign then
    for start in range(width, whole, width):
        total = total + x[..., start : start + width]
    while width > 1:
        width //= 2
        total = total[..., :width] + total[..., width:]
        if n & width:
            total = total + x[..., whole : whole + width]
            whole += width
    return total


def partial_width(n: int) -> int:
    """How many sums a row of n elements is added in: 16, or the largest power of two up to n."""
    return min(WIDTH, 1 << n.bit_length() - 1)
