"""Convolutions and transposed convolutions."""

from collections.abc import Sequence

import torch

from ..emitter import Emitter, Value
from ..registry import emits

_ATEN = torch.ops.aten


@emits(_ATEN.conv1d, _ATEN.conv2d, _ATEN.conv3d)
def convolve(
    emit: Emitter,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int] | str,
    dilation: Sequence[int],
    groups: int,
) -> Value:
    rank = len(weight.shape) - 2
    stride, dilation = spread(stride, rank), spread(dilation, rank)
    options = {
        "kernel_shape": weight.shape[2:],
        "strides": stride,
        "pads": _pads(weight, padding, dilation),
        "dilations": dilation,
        "group": groups,
    }
    images = with_batch(emit, x, rank)
    result = emit("Conv", images, weight, bias, **options)
    return result if images is x else emit.reshape(result, emit.shape)


def _pads(weight: Value, padding: Sequence[int] | str, dilation: Sequence[int]) -> list[int]:
    """Fronts and ends of all axes; "same" puts the odd element behind."""
    reach = [d * (size - 1) for d, size in zip(dilation, weight.shape[2:], strict=True)]
    if padding == "same":
        fronts = [size // 2 for size in reach]
        return [*fronts, *(size - front for size, front in zip(reach, fronts, strict=True))]
    if padding == "valid":
        return [0] * (2 * len(reach))
    assert not isinstance(padding, str), padding
    return 2 * spread(padding, len(reach))


@emits(_ATEN.conv_transpose1d, _ATEN.conv_transpose2d, _ATEN.conv_transpose3d)
def convolve_transposed(
    emit: Emitter,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    groups: int,
    dilation: Sequence[int],
) -> Value:
    rank = len(weight.shape) - 2
    options = {
        "kernel_shape": weight.shape[2:],
        "strides": spread(stride, rank),
        "pads": 2 * spread(padding, rank),
        "output_padding": spread(output_padding, rank),
        "dilations": spread(dilation, rank),
        "group": groups,
    }
    images = with_batch(emit, x, rank)
    result = emit("ConvTranspose", images, weight, bias, **options)
    return result if images is x else emit.reshape(result, emit.shape)


@emits(_ATEN.convolution)
def convolution(
    emit: Emitter,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Value:
    if transposed:
        sizes = (stride, padding, output_padding, groups, dilation)
        return convolve_transposed(emit, x, weight, bias, *sizes)
    return convolve(emit, x, weight, bias, stride, padding, dilation, groups)


def spread(numbers: Sequence[int], rank: int) -> list[int]:
    """One number for each axis, where PyTorch lets one stand for all."""
    return list(numbers) * (rank if len(numbers) == 1 else 1)


def with_batch(emit: Emitter, x: Value, rank: int) -> Value:
    """Images with an axis for the batch."""
    return x if len(x.shape) == rank + 2 else emit.reshape(x, (1, *x.shape))
