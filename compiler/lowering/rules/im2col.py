"""Image windows as columns, and their sum back into an image."""

from collections.abc import Sequence
from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..registry import lowers
from .indices import Index, compute, guarded, shape_of, within

aten = torch.ops.aten


@lowers(aten.im2col.default)
def im2col(
    x: te.Tensor,
    kernel_size: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
    *,
    out: TensorSpec,
) -> te.Tensor:
    """y[.., (c, kh, kw), (h, w)] = x[.., c, h*sh + kh*dh - ph, w*sw + kw*dw - pw], 0 outside."""
    *_, height, width = shape_of(x)
    kernel_h, kernel_w = kernel_size
    columns = _windows(width, kernel_w, dilation[1], padding[1], stride[1])
    zero = tirx.const(0, out.dtype)

    def element(index: list[Index]) -> Any:
        *batch, channel, window = index
        tap_h, tap_w = channel // kernel_w % kernel_h, channel % kernel_w
        h = window // columns * stride[0] + tap_h * dilation[0] - padding[0]
        w = window % columns * stride[1] + tap_w * dilation[1] - padding[1]
        inside = [] if not any(padding) else [h >= 0, h < height, w >= 0, w < width]
        return guarded(inside, x(*batch, channel // (kernel_h * kernel_w), h, w), zero)

    return compute(out.shape, element, "im2col")


@lowers(aten.col2im.default)
def col2im(
    x: te.Tensor,
    _output_size: Sequence[int],
    kernel_size: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
    *,
    out: TensorSpec,
) -> te.Tensor:
    """y[.., c, h, w] = sum of all window elements that `im2col` reads from there."""
    sizes = out.shape[-2:]
    counts = [
        _windows(sizes[a], kernel_size[a], dilation[a], padding[a], stride[a]) for a in (0, 1)
    ]
    taps = [te.reduce_axis((0, kernel_size[a]), name=f"tap_{'hw'[a]}") for a in (0, 1)]
    zero = tirx.const(0, out.dtype)

    def element(index: list[Index]) -> Any:
        *batch, channel, _, _ = index
        conditions, windows = [], []
        for a in (0, 1):
            start = index[a - 2] + padding[a] - taps[a] * dilation[a]
            window = start // stride[a]
            windows.append(window)
            conditions += [start >= 0, *within(window, 0, counts[a], counts[a] + 1)]
            conditions += [start % stride[a] == 0] if stride[a] > 1 else []
        row = (channel * kernel_size[0] + taps[0]) * kernel_size[1] + taps[1]
        column = windows[0] * counts[1] + windows[1]
        return te.sum(guarded(conditions, x(*batch, row, column), zero), axis=taps)

    return compute(out.shape, element, "col2im")


def _windows(size: int, kernel: int, dilation: int, padding: int, stride: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
