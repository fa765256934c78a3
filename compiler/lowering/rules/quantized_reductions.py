"""Means, average pools, softmax and norms of int8 tensors."""

from collections.abc import Sequence
from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ...quantization import ops as ops
from ...quantization.arithmetic import INT32_MAX
from ...quantization.normalization import FRACTION_BITS, exponent_count, root_bits
from ...quantization.softmax import SUM_BITS
from ..builder import KernelBuilder
from ..registry import lowers
from .axis_reduction import as_result, converted, count_of, reduce_axes, wrap_axes
from .indices import Index, compute, shape_of, wrap_axis
from .integers import (
    bits_above,
    centered,
    integer,
    multiply_high,
    narrow,
    reciprocal_square_root,
    requantize,
)
from .moments import elements, per_row
from .row_reduction import row_notes, row_reduce
from .sliding import from_found, window_sums
from .windows import Window, framed

penjing = torch.ops.penjing


@lowers(penjing.avg_pool_int8.default)
def avg_pool_int8(
    x: te.Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    input_zero_point: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """requantize(sum_t (x[n, c, p * stride + t - padding] - input_zero_point))."""
    both, ones = tuple(padding), (1,) * len(kernel_size)
    window = Window(stride=tuple(stride), dilation=ones, before=both, after=both)
    images = framed(x, both, both, input_zero_point, kernel)
    sums = window_sums(images, window, tuple(kernel_size), out.shape[2:], "int32")
    zeros = torch.Size(kernel_size).numel() * input_zero_point

    def finish(total: Any, at: Sequence[Index]) -> Any:
        return requantize(_minus(total, zeros), multiplier, shift, zero_point, low, high)

    return from_found(sums, out, True, finish)


@lowers(penjing.mean_int8.default)
def mean_int8(
    x: te.Tensor,
    dim: Sequence[int],
    keepdim: bool,
    input_zero_point: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """requantize(sum over `dim` of (x - input_zero_point))."""
    axes = wrap_axes(list(dim), len(x.shape))
    zeros = count_of(x, axes) * input_zero_point

    def finish(total: Any) -> Any:
        return requantize(_minus(total, zeros), multiplier, shift, zero_point, low, high)

    return as_result(reduce_axes(converted(x, "int32"), axes, "sum", kernel), axes, out, finish)


@lowers(penjing.softmax_int8.default)
def softmax_int8(
    x: te.Tensor,
    table: te.Tensor,
    dim: int,
    inverse: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """clamp(zero_point + round(e * factor / 2^down)), e = table[max - x], see softmax.py."""
    axis, rank = wrap_axis(dim, len(out.shape)), len(out.shape)
    notes = row_notes(axis) if axis == rank - 1 else {}
    wide = converted(x, "int32")
    maxima = reduce_axes(wide, (axis,), "max", kernel)

    def row(at: Sequence[Index]) -> list[Index]:
        return [*at[:axis], *at[axis + 1 :]]

    powers = te.compute(
        x.shape,
        lambda *at: table(maxima(*row(at)) - wide(*at)).astype("int32"),
        name="powers",
        attrs=notes,
    )
    total = reduce_axes(powers, (axis,), "sum", kernel)
    excess = per_row(total, lambda value: bits_above(value, SUM_BITS, 31), "excess")

    def factor_of(*at: Index) -> Any:
        reciprocal = tirx.truncdiv(integer(INT32_MAX), total(*at) >> excess(*at))
        return (reciprocal * integer(inverse)) >> integer(16)

    rows = shape_of(total)
    factor = te.compute(rows, factor_of, name="factor", attrs=row_notes(len(rows)))

    def element(at: Sequence[Index]) -> Any:
        down = tirx.min(excess(*row(at)) + integer(shift), integer(31))
        half = integer(1) << (down - integer(1))
        value = (powers(*at) * factor(*row(at)) + half) >> down
        return narrow(value, low, high, zero_point=zero_point)

    return compute(out.shape, element, "softmax_int8")


@lowers(penjing.normalize_int8.default)
def normalize_int8(
    x: te.Tensor,
    gain: te.Tensor,
    offset: te.Tensor,
    axes: int,
    input_zero_point: int,
    centered_rows: bool,
    epsilon: int,
    shift: int,
    low: int,
    high: int,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """clamp((normal * gain + offset) >> shift), normal = (n x - sum) / sqrt(n^2 variance)."""
    sizes = shape_of(x)
    tail = sizes[len(sizes) - axes :]
    n = torch.Size(tail).numel()
    wide = elements(x, lambda at: centered(x(*at), input_zero_point), "wide")
    squares = elements(wide, lambda at: wide(*at) * wide(*at), "squares")
    total = row_reduce(wide, axes, "sum", kernel) if centered_rows else None
    square = row_reduce(squares, axes, "sum", kernel)
    notes = row_notes(len(sizes) - axes)

    def variance_of(*row: Index) -> Any:
        value = _long(n) * square(*row).astype("int64")
        if total is not None:
            value = value - total(*row).astype("int64") * total(*row).astype("int64")
        return tirx.max((value << _long(FRACTION_BITS)) + _long(epsilon), _long(1))

    rows = square.shape
    variance = te.compute(rows, variance_of, name="variance", attrs=notes)
    exponent = te.compute(
        rows,
        lambda *row: _powers_of_four(variance(*row), exponent_count(n)),
        name="exponent",
        attrs=notes,
    )

    def root_of(*row: Index) -> Any:
        twice = (exponent(*row) * integer(2)).astype("int64")
        up, down = tirx.max(_long(31) - twice, _long(0)), tirx.max(twice - _long(31), _long(0))
        return reciprocal_square_root(((variance(*row) << up) >> down).astype("int32"))

    root = te.compute(rows, root_of, name="inverse_root", attrs=notes)

    def element(at: Sequence[Index]) -> Any:
        row, place = at[: len(at) - axes], at[len(at) - axes :]
        distance = integer(n) * wide(*at)
        if total is not None:
            distance = distance - total(*row)
        most = 30 + FRACTION_BITS // 2 - root_bits(n)
        up = tirx.min(integer(most) - exponent(*row), integer(30))
        normal = multiply_high(distance << up, root(*row))
        value = multiply_high(normal, gain(*place)) + offset(*place)
        return narrow(value, low, high, shift=shift)

    return compute(out.shape, element, "normalize_int8")


def _minus(total: Any, zeros: int) -> Any:
    return total - integer(zeros) if zeros else total


def _powers_of_four(value: Any, count: int) -> Any:
    """How many of 1, 4, 16, ... the value reaches."""
    reached: Any = integer(0)
    for i in range(count):
        reached = reached + tirx.Select(value >= _long(1 << 2 * i), integer(1), integer(0))
    return reached


def _long(value: int) -> Any:
    return tirx.const(value, "int64")
