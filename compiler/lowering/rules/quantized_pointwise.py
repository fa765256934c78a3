"""Functions of single elements of int8 tensors, and the borders between int8 and float."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
from tvm import te, tirx

from ....targets.cpu.integer_ops import weigh
from ....targets.cpu.integer_x86 import is_x86
from ...ir.tensor_spec import TensorSpec
from ...quantization import ops as ops
from ..builder import KernelBuilder
from ..math.floats import like, rounded
from ..registry import lowers
from .gemm import broadcast_read
from .indices import Index, compute
from .integers import centered, narrow, requantize
from .pointwise import cast

penjing = torch.ops.penjing
decomposed = torch.ops.quantized_decomposed

# Added to a number below 2^22, it leaves the nearest integer in the last bits: the addition
# rounds halves to even, as every operation does.
_MAGIC, _MAGIC_BITS = 1.5 * 2**23, 0x4B400000


@lowers(penjing.add_int8.default)
def add_int8(
    x: te.Tensor,
    y: te.Tensor,
    x_multiplier: int,
    y_multiplier: int,
    offset: int,
    shift: int,
    low: int,
    high: int,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """clamp((x * x_multiplier + y * y_multiplier + offset) >> shift, low, high)."""
    factors = x_multiplier, y_multiplier

    def element(at: Sequence[Index]) -> Any:
        if is_x86(kernel.target):
            values = broadcast_read(x, at), broadcast_read(y, at)
            return weigh(values, factors, offset, shift, low, high)
        left = broadcast_read(x, at).astype("int32") * tirx.const(x_multiplier, "int32")
        right = broadcast_read(y, at).astype("int32") * tirx.const(y_multiplier, "int32")
        return _narrowed(left + right, offset, shift, low, high)

    return compute(out.shape, element, "add_int8")


@lowers(penjing.rescale_int8.default)
def rescale_int8(
    x: te.Tensor,
    multiplier: int,
    offset: int,
    shift: int,
    low: int,
    high: int,
    *,
    out: TensorSpec,
) -> te.Tensor:
    """clamp((x * multiplier + offset) >> shift, low, high)."""

    def element(at: Sequence[Index]) -> Any:
        value = x(*at).astype("int32") * tirx.const(multiplier, "int32")
        return _narrowed(value, offset, shift, low, high)

    return compute(out.shape, element, "rescale_int8")


@lowers(penjing.affine_int8.default)
def affine_int8(
    x: te.Tensor,
    multiplier: te.Tensor,
    offset: te.Tensor,
    shift: int,
    low: int,
    high: int,
    *,
    out: TensorSpec,
) -> te.Tensor:
    """clamp((x * multiplier + offset) >> shift, low, high), constants broadcast to x."""

    def element(at: Sequence[Index]) -> Any:
        value = broadcast_read(x, at).astype("int32") * broadcast_read(multiplier, at)
        return narrow(value + broadcast_read(offset, at), low, high, shift=shift)

    return compute(out.shape, element, "affine_int8")


@lowers(penjing.mul_int8.default)
def mul_int8(
    x: te.Tensor,
    y: te.Tensor,
    x_zero_point: int,
    y_zero_point: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
    *,
    out: TensorSpec,
) -> te.Tensor:
    """requantize((x - x_zero_point) * (y - y_zero_point))."""

    def element(at: Sequence[Index]) -> Any:
        left = centered(broadcast_read(x, at), x_zero_point)
        product = left * centered(broadcast_read(y, at), y_zero_point)
        return requantize(product, multiplier, shift, zero_point, low, high)

    return compute(out.shape, element, "mul_int8")


@lowers(penjing.table_int8.default)
def table_int8(x: te.Tensor, table: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """table[x + 128]."""

    def element(at: Sequence[Index]) -> Any:
        return table(x(*at).astype("int32") + tirx.const(128, "int32"))

    return compute(out.shape, element, "table_int8")


@lowers(penjing.signed_int8.default, penjing.unsigned_int8.default)
def moved_by_128(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """x - 128 of uint8, x + 128 of int8."""
    offset = tirx.const(-128 if out.dtype == "int8" else 128, "int32")
    return compute(
        out.shape, lambda at: (x(*at).astype("int32") + offset).astype(out.dtype), "moved"
    )


@lowers(decomposed.quantize_per_tensor.default)
def quantize(
    x: te.Tensor,
    scale: float,
    zero_point: int,
    quant_min: int,
    quant_max: int,
    dtype: torch.dtype,
    *,
    out: TensorSpec,
) -> te.Tensor:
    """clamp(round(x * (1 / scale)) + zero_point), halves to even, in float32 as PyTorch does."""
    low, high = (float(bound - zero_point) for bound in (quant_min, quant_max))

    def element(at: Sequence[Index]) -> Any:
        steps = cast(x(*at), "float32") * tirx.const(1.0 / scale, "float32")
        # Limits are integers, so it makes no difference that they come first.
        near = tirx.max(tirx.min(steps, like(steps, high)), like(steps, low))
        shifted = tirx.reinterpret("int32", near + like(near, _MAGIC))
        return (shifted - tirx.const(_MAGIC_BITS - zero_point, "int32")).astype(out.dtype)

    return compute(out.shape, element, "quantize")


@lowers(decomposed.dequantize_per_tensor.default)
def dequantize(
    x: te.Tensor,
    scale: float,
    zero_point: int,
    quant_min: int,
    quant_max: int,
    dtype: torch.dtype,
    *,
    out_dtype: torch.dtype | None = None,
    out: TensorSpec,
) -> te.Tensor:
    """(x - zero_point) * scale in float32."""

    def element(at: Sequence[Index]) -> Any:
        steps = _float(x(*at)) - tirx.const(float(zero_point), "float32")
        return cast(rounded(steps * tirx.const(scale, "float32")), out.dtype)

    return compute(out.shape, element, "dequantize")


@lowers(decomposed.dequantize_per_channel.default)
def dequantize_per_channel(
    x: te.Tensor,
    scales: te.Tensor,
    zero_points: te.Tensor | None,
    axis: int,
    quant_min: int,
    quant_max: int,
    dtype: torch.dtype,
    *,
    out_dtype: torch.dtype | None = None,
    out: TensorSpec,
) -> te.Tensor:
    """(x - zero_points[c]) * scales[c] in float32, c the index on `axis`."""

    def element(at: Sequence[Index]) -> Any:
        steps = _float(x(*at))
        if zero_points is not None:
            steps = steps - _float(zero_points(at[axis]))
        return cast(steps * cast(scales(at[axis]), "float32"), out.dtype)

    return compute(out.shape, element, "dequantize")


def _float(value: Any) -> Any:
    """A small integer as float32: from 32 bits, which every target converts in vectors."""
    return value.astype("int32").astype("float32")


def _narrowed(value: Any, offset: int, shift: int, low: int, high: int) -> Any:
    return narrow(value + tirx.const(offset, "int32"), low, high, shift=shift)
