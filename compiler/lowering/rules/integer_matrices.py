"""Products of two matrices that are both computed: of steps from zero, as int16.

On x86 two neighbors in a sum are one word, and a product is one of words. Where cores multiply
words of four int8, products of rows by rows are those of the int8 themselves; sums of rows make up
for the zero points.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from tvm import te, tirx

from ....targets.cpu.integer_arm import sums_pairs
from ....targets.cpu.integer_ops import dot, dot_halves, has_dots, word, word_length
from ....targets.cpu.integer_vectors import BYTES
from ....targets.cpu.integer_x86 import is_x86, takes_unsigned
from ..builder import KernelBuilder
from .axis_reduction import converted
from .gemm import accumulate, broadcast_read, right_operand
from .indices import Index, guarded, shape_of, within
from .integer_words import signed_word, word_reader
from .integers import centered
from .row_reduction import row_reduce

SUMS = "int32"
Total = Callable[..., Any]  # a sum by its batch, m and n
_LONGEST = 8192  # elements of a sum of which no part overflows
_STORED = {"schedule": "stored"}


def steps_product(
    x: te.Tensor,
    y: te.Tensor,
    zero_points: tuple[int, int],
    batches: Sequence[int],
    kernel: KernelBuilder,
    *,
    transposed: bool = False,
) -> Total:
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
    if transposed and depth <= _LONGEST and _takes_words(x, kernel):
        return _word_product(x, y, zero_points, batches, kernel)
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

    total: Total = accumulate(read, right, (rows, depth), SUMS, batches)
    return total


def _takes_words(x: te.Tensor, kernel: KernelBuilder) -> bool:
    """Whether one instruction multiplies words of four int8, whatever they are."""
    target = kernel.target
    plain = has_dots(target) and not sums_pairs(target) and word_length(target) == BYTES
    return plain and str(x.dtype) == "int8"


def _word_product(
    x: te.Tensor,
    y: te.Tensor,
    zero_points: tuple[int, int],
    batches: Sequence[int],
    kernel: KernelBuilder,
) -> Total:
    """sum x y - (zero point of x) sum y - (zero point of y) sum x + both zero points * depth."""
    rows, depth = shape_of(x)[-2:]
    count = -(-depth // BYTES)
    left, right = _words(x, word_reader(kernel)), _words(y, partial(signed_word, length=BYTES))
    operand = replace(right_operand(right, kernel, k_last=True, rows=rows), multiply=dot)

    def read(batch: Sequence[Index], m: Index, k: Index) -> Any:
        return broadcast_read(left, (*batch, m, k))

    total = accumulate(read, operand, (rows, count), SUMS, batches)
    more = 128 if takes_unsigned(kernel.target) else 0  # what the words of x hold more than x
    x_point, y_point = zero_points
    x_sums, y_sums = (
        row_reduce(converted(each, SUMS), 1, "sum", kernel, tagged=False) for each in (x, y)
    )
    constant = tirx.const(depth * x_point * y_point, SUMS)

    def corrected(*at: Index) -> Any:
        *batch, m, n = at
        value = total(*at) + constant
        if x_point + more:
            value = value - broadcast_read(y_sums, (*batch, n)) * tirx.const(x_point + more, SUMS)
        if y_point:
            value = value - broadcast_read(x_sums, (*batch, m)) * tirx.const(y_point, SUMS)
        return value

    return corrected


def _words(x: te.Tensor, read: Callable[..., Any]) -> te.Tensor:
    """Words of neighbors of the last axis, zeros added."""
    *lead, depth = shape_of(x)

    def element(*at: Index) -> Any:
        return read(lambda k: x(*at[:-1], k), at[-1], depth)

    return te.compute((*lead, -(-depth // BYTES)), element, name="words", attrs=_STORED)


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
