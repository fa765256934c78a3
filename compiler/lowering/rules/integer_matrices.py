"""Products of two matrices that are both computed: of steps from zero, as int16.

On x86 two neighbors in a sum are one word, and a product is one of words.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tvm import te, tirx

from ....targets.cpu.integer_ops import dot_halves, word
from ....targets.cpu.integer_x86 import is_x86
from ..builder import KernelBuilder
from .gemm import accumulate, broadcast_read, right_operand
from .indices import Index, guarded, shape_of, within
from .integers import centered

SUMS = "int32"
_STORED = {"schedule": "stored"}


def steps_product(
    x: te.Tensor,
    y: te.Tensor,
    zero_points: tuple[int, int],
    batches: Sequence[int],
    kernel: KernelBuilder,
    *,
    transposed: bool = False,
) -> te.Tensor:
    """Sums over k of (x - its zero point) [..., m, k] * (y - its own) [..., k, n] in int32.

    Args:
        x: int8, or int16 with zero point 0.
        y: Its batches and those of x broadcast; [..., n, k] if `transposed`.
        zero_points: Of x and of y.
        batches: Sizes of the leading axes of the result.
        kernel: Knows the core.
        transposed: Whether rows of y are summed over.
    """
    rows, depth = shape_of(x)[-2:]
    if is_x86(kernel.target):
        left = _pairs(x, zero_points[0], last=True)
        paired = _pairs(y, zero_points[1], last=transposed)
        right = right_operand(paired, kernel, k_last=transposed, rows=rows)
        right, depth = replace(right, multiply=dot_halves), -(-depth // 2)
    else:
        left, wide = _steps(x, zero_points[0]), _steps(y, zero_points[1])
        right = right_operand(wide, kernel, k_last=transposed, rows=rows)

    def read(batch: Sequence[Index], m: Index, k: Index) -> Any:
        return broadcast_read(left, (*batch, m, k))

    return accumulate(read, right, (rows, depth), SUMS, batches)


def _steps(x: te.Tensor, zero_point: int) -> te.Tensor:
    """How many steps the elements are from zero, int16."""
    if zero_point == 0 and x.dtype == "int16":
        return x
    return te.compute(x.shape, lambda *at: _step(x, zero_point, at), name="steps", attrs=_STORED)


def _pairs(x: te.Tensor, zero_point: int, *, last: bool) -> te.Tensor:
    """Steps from zero, two neighbors of the last axis, or of the one before it, as one word."""
    place = len(x.shape) - (1 if last else 2)
    sizes = list(shape_of(x))
    count = sizes[place]
    sizes[place] = -(-count // 2)

    def step(index: Index, at: Sequence[Index]) -> Any:
        value = _step(x, zero_point, (*at[:place], index, *at[place + 1 :]))
        inside = within(index, 0, count, count + 1) if count % 2 else []
        return guarded(inside, value, tirx.const(0, "int16"))

    def element(*at: Index) -> Any:
        return word(step(2 * at[place], at), step(2 * at[place] + 1, at))

    return te.compute(sizes, element, name="pairs", attrs=_STORED)


def _step(x: te.Tensor, zero_point: int, at: Sequence[Index]) -> Any:
    return centered(x(*at), zero_point).astype("int16")
