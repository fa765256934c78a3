"""What integers of ONNX stand for, as nodes that penjing's integer passes understand.

Integers of 8 bits with known parameters for the whole tensor, and weights with parameters for each
channel, become operators of `quantized_decomposed`. Of these `fold-quantization` makes kernels that
calculate with integers. Everything else is said in plain arithmetic.
"""

from dataclasses import dataclass

import torch
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
from torch import Tensor

from ..call import Call

DECOMPOSED = torch.ops.quantized_decomposed
_INTEGERS = (torch.int8, torch.uint8)
_TYPES = (*_INTEGERS, torch.int16, torch.uint16, torch.int32)


@dataclass(frozen=True)
class Steps:
    """real = (integer - zero point) * scale.

    Args:
        call: The node.
        scale: Number of its input that has the scales.
        zero_point: Number of its input that has the zero points; 0 where it is left out.
        axis: Of the tensor, along which scales run.
        block: Elements of that axis for each scale, 0 where scales are not for blocks.
    """

    call: Call
    scale: int
    zero_point: int
    axis: int = 1
    block: int = 0

    def known_number(self) -> tuple[float, int] | None:
        """Scale and zero point for the whole tensor, if they are known."""
        inputs = [self.scale, *([self.zero_point] if self.call.has(self.zero_point) else [])]
        if not all(self.call.is_known(index) for index in inputs):
            return None
        if any(self.call.tensor(index).numel() != 1 for index in inputs):
            return None
        scale, *zero_point = (self.call.known(index).item() for index in inputs)
        if not 0 < scale < float("inf"):
            raise self.call.refused(f"a scale of {scale}")
        return float(scale), int(zero_point[0]) if zero_point else 0

    def is_usual(self) -> bool:
        """Whether real numbers are float32."""
        return self.call.tensor(self.scale).dtype is torch.float32

    def along(self, x: Tensor, index: int) -> Tensor:
        """Scales or zero points so that they broadcast with the tensor."""
        given = self.call.tensor(index)
        if given.numel() == 1:
            return given.reshape(())
        if self.block:
            wide = given.repeat_interleave(self.block, self.axis)
            return wide.narrow(self.axis, 0, x.shape[self.axis])
        if given.dim() == x.dim() and given.dim() > 1:
            return given
        axis = self.axis % max(x.dim(), 1)
        if x.dim() == 0 or given.numel() != x.shape[axis]:
            raise self.call.refused(
                f"parameters of {list(given.shape)} for a tensor of {list(x.shape)}, axis {axis}"
            )
        return given.reshape([-1 if dim == axis else 1 for dim in range(x.dim())])

    def of_channels(self, x: Tensor) -> tuple[Tensor, Tensor, int] | None:
        """Scales, zero points and axis, if there is one of each for each index on the axis."""
        scales = self.call.tensor(self.scale)
        if self.block or scales.dim() != 1 or scales.numel() != x.shape[self.axis]:
            return None
        has_zeros = self.call.has(self.zero_point)
        zeros = self.call.tensor(self.zero_point) if has_zeros else torch.zeros_like(scales)
        return scales, zeros.reshape(-1).expand(scales.shape).long(), self.axis % x.dim()


def dequantized(call: Call, index: int, scale: int, *, axis: int = 1, block: int = 0) -> Tensor:
    """An input as real numbers; its scale is input `scale`, its zero point the one behind."""
    x, steps = call.tensor(index), Steps(call, scale, scale + 1, axis, block)
    return from_integers(x, steps, is_weight=call.is_known(index))


def from_integers(x: Tensor, steps: Steps, *, is_weight: bool = False) -> Tensor:
    """The real numbers that integers stand for."""
    if x.dtype not in _TYPES:
        raise steps.call.refused(f"integers of {x.dtype}")
    if x.dtype in _INTEGERS and steps.is_usual():
        if (known := steps.known_number()) is not None:
            return dequantize_tensor(x, *known)
        channels = steps.of_channels(x) if is_weight else None
        if channels is not None:
            return dequantize_channels(x, *channels)
    scale, moved = steps.along(x, steps.scale), x.to(torch.int32)
    if steps.call.has(steps.zero_point):
        moved = moved - steps.along(x, steps.zero_point).to(torch.int32)
    return moved.to(scale.dtype) * scale


def dequantize_tensor(x: Tensor, scale: float, zero_point: int) -> Tensor:
    """Integers of 8 bits with one scale, as the integer passes know it."""
    limits = torch.iinfo(x.dtype)
    options = scale, zero_point, limits.min, limits.max, x.dtype
    result: Tensor = DECOMPOSED.dequantize_per_tensor(x, *options)
    return result


def dequantize_channels(x: Tensor, scales: Tensor, zero_points: Tensor, axis: int) -> Tensor:
    """Integers of 8 bits with a scale for each index on an axis, as the integer passes know it."""
    limits = torch.iinfo(x.dtype)
    options = scales, zero_points, axis, limits.min, limits.max, x.dtype
    result: Tensor = DECOMPOSED.dequantize_per_channel(x, *options)
    return result


def quantized(
    call: Call, value: Tensor, scale: int, *, axis: int = 1, dtype: torch.dtype = torch.uint8
) -> Tensor:
    """Real numbers as integers; their scale is input `scale`, their zero point the one behind.

    Args:
        call: The node.
        value: Real numbers.
        scale: Number of an input.
        axis: Along which scales run.
        dtype: Of integers without zero point.
    """
    return to_integers(value, Steps(call, scale, scale + 1, axis), dtype)


def to_integers(
    value: Tensor, steps: Steps, dtype: torch.dtype, *, is_weight: bool = False
) -> Tensor:
    """Integers for real numbers, rounded to the nearest, halves to even."""
    call = steps.call
    if call.has(steps.zero_point):
        dtype = call.tensor(steps.zero_point).dtype
    if dtype not in _TYPES:
        raise call.refused(f"integers of {dtype}")
    limits = torch.iinfo(dtype)
    if dtype in _INTEGERS and steps.is_usual() and value.dtype is torch.float32:
        if (known := steps.known_number()) is not None:
            options = limits.min, limits.max, dtype
            rounded: Tensor = DECOMPOSED.quantize_per_tensor(value, *known, *options)
            return rounded
        channels = steps.of_channels(value) if is_weight else None
        if channels is not None:
            options = limits.min, limits.max, dtype
            integers: Tensor = DECOMPOSED.quantize_per_channel(value, *channels, *options)
            return integers
    scale = steps.along(value, steps.scale)
    rounded = torch.round(value.to(scale.dtype) / scale)
    if call.has(steps.zero_point):
        rounded = rounded + steps.along(value, steps.zero_point).to(rounded.dtype)
    return rounded.clamp(limits.min, limits.max).to(dtype)
