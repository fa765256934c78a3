"""Values quantized at run time, and the layers that read them: integer sums, real results."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ...quantization.dynamic import step_count
from ..builder import KernelBuilder
from ..math.floats import like, rounded
from ..registry import lowers
from .gemm import broadcast_read, finished
from .indices import Index, shape_of
from .integers import clamp, integer
from .quantized_products import sums_of_rows, sums_of_windows
from .row_reduction import row_notes, row_reduce
from .windows import split_index

penjing = torch.ops.penjing

# Added to a number below 2^22, it leaves the nearest integer in the last bits: the addition
# rounds halves to even, as every operation does.
_MAGIC, _MAGIC_BITS = 1.5 * 2**23, 0x4B400000


@lowers(penjing.quantize_rows.default)
def quantize_rows(
    x: te.Tensor,
    axes: int,
    symmetric: bool,
    least_step: float,
    low: int,
    high: int,
    *,
    out: tuple[TensorSpec, TensorSpec, TensorSpec],
    kernel: KernelBuilder,
) -> tuple[te.Tensor, te.Tensor, te.Tensor]:
    """clamp(round(x / step) + zero_point), step = width of the row's values and 0 / count."""
    lead = len(x.shape) - axes
    ends = [row_reduce(x, axes, name, kernel) for name in ("min", "max")]
    share = 1 / step_count(symmetric, low, high)

    def per_row(name: str, value: Callable[..., Any]) -> te.Tensor:
        return te.compute(shape_of(x)[:lead], value, name=name, attrs=row_notes(lead))

    def step_of(*row: Index) -> Any:
        least, greatest = _with_zero(*(end(*row) for end in ends))
        width = tirx.max(greatest, -least) if symmetric else greatest - least
        return tirx.max(width * like(width, share), like(width, least_step))

    step = per_row("step", step_of)
    inverse = per_row("inverse", lambda *row: like(step(*row), 1.0) / step(*row))

    def zero_point_of(*row: Index) -> Any:
        least, _ = _with_zero(*(end(*row) for end in ends))
        return integer(0) if symmetric else integer(low) - _nearest(least * inverse(*row))

    zero_point = per_row("zero_point", zero_point_of)

    def element(*at: Index) -> Any:
        steps = _nearest(x(*at) * inverse(*at[:lead]))
        return clamp(steps + zero_point(*at[:lead]), low, high).astype("int8")

    values = te.compute(x.shape, element, name="quantized", attrs=row_notes(lead))
    kept = [_with_ones(each, spec) for each, spec in zip((step, zero_point), out[1:], strict=True)]
    return values, kept[0], kept[1]


@lowers(penjing.linear_int8_rows.default)
def linear_int8_rows(
    x: te.Tensor,
    step: te.Tensor,
    zero_point: te.Tensor | None,
    weight: te.Tensor,
    sums: te.Tensor,
    scale: te.Tensor,
    bias: te.Tensor,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """float32(sum_k x[...,k] * w[n,k] - zero_point * sums[n]) * scale[n] * step + bias[n]."""

    def finish(value: Any, at: Sequence[Index]) -> Any:
        row = (*at[:-1], 0)
        if zero_point is not None:
            value = value - broadcast_read(zero_point, row) * sums(at[-1])
        real = value.astype("float32") * scale(at[-1]) * broadcast_read(step, row)
        return rounded(real) + bias(at[-1])

    return sums_of_rows(x, weight, out, kernel, finish)


@lowers(penjing.conv_int8_images.default)
def conv_int8_images(
    x: te.Tensor,
    step: te.Tensor,
    weight: te.Tensor,
    scale: te.Tensor,
    bias: te.Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """float32(sum_ct x[n, c, p * stride + t * dilation - padding] * w[o,c,t]) scale step + bias."""
    total = sums_of_windows(x, weight, stride, padding, dilation, groups, 0, out, kernel)

    def finish(value: Any, at: Sequence[Index]) -> Any:
        image = broadcast_read(step, (at[0], *[0] * (len(at) - 1)))
        real = value.astype("float32") * scale(at[1]) * image
        return rounded(real) + bias(at[1])

    return finished(lambda at: total(*split_index(at)), out, finish)


def _with_ones(x: te.Tensor, out: TensorSpec) -> te.Tensor:
    """x with more axes of size 1 at its end."""
    lead = len(x.shape)
    return te.compute(out.shape, lambda *at: x(*at[:lead]), name=f"all_{x.op.name}")


def _with_zero(least: Any, greatest: Any) -> tuple[Any, Any]:
    """The limits of some values and 0."""
    zero = like(least, 0.0)
    return tirx.min(least, zero), tirx.max(greatest, zero)


def _nearest(value: Any) -> Any:
    """The integer next to a float32 of less than 2^22."""
    moved = rounded(value) + like(value, _MAGIC)
    return tirx.reinterpret("int32", moved) - integer(_MAGIC_BITS)
