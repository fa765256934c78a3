"""Convolutions: products over an input that lies channels last, weights packed in panels."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from tvm import te

from ....targets.cpu.conv import conv_tile
from ....targets.cpu.flatten import dense_strides
from ....targets.cpu.half_arithmetic import for_sums
from ...ir.tensor_spec import TensorSpec
from ..builder import Array, KernelBuilder
from ..registry import lowers
from .depthwise import depthwise
from .gemm import accumulator, finished, right_operand, rows_product, sums_of
from .grouped import grouped
from .indices import Index, flatten_index, shape_of, unflatten_index
from .windows import Images, Sizes, Window, framed, per_axis, split_index
from .winograd import winograd, winograd_tile

aten = torch.ops.aten
Total = Callable[[Index, Index, Sequence[Index]], Any]  # sums by image, output channel, position


@lowers(aten.conv1d.default, aten.conv2d.default, aten.conv3d.default)
def convolve(
    x: te.Tensor,
    w: te.Tensor,
    b: te.Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """y[n,o,p] = sum_ct x[n, g(o) * C + c, p * stride + t * dilation - padding] * w[o,c,t] + b[o].

    x [N,C,...] or [C,...]; w [O, C / groups, ...]; g(o) is the group of output channel o.
    """
    rank = len(w.shape) - 2
    both = per_axis(padding, rank)
    window = Window(
        stride=per_axis(stride, rank),
        dilation=per_axis(dilation, rank),
        before=both,
        after=both,
    )
    return _convolve(x, w, b, window, groups, out, kernel)


@lowers(aten.conv1d.padding, aten.conv2d.padding, aten.conv3d.padding)
def convolve_named(
    x: te.Tensor,
    w: te.Tensor,
    b: te.Tensor | None = None,
    stride: Sizes = 1,
    padding: str = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """As `convolve`; "same" pads so that sizes stay, the odd element of padding behind."""
    _, _, *taps = shape_of(w)
    steps = per_axis(dilation, len(taps))
    total = [d * (t - 1) * (padding == "same") for d, t in zip(steps, taps, strict=True)]
    before = tuple(p // 2 for p in total)
    after = tuple(p - b for p, b in zip(total, before, strict=True))
    window = Window(stride=per_axis(stride, len(taps)), dilation=steps, before=before, after=after)
    return _convolve(x, w, b, window, groups, out, kernel)


def _convolve(
    x: te.Tensor,
    w: te.Tensor,
    b: te.Tensor | None,
    window: Window,
    groups: int,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    batched = len(x.shape) == len(w.shape)
    sizes = out.shape[2 - len(w.shape) :]
    tile = _winograd_tile(x, w, window, groups, sizes, kernel)
    after = [a + -size % (tile or 1) for a, size in zip(window.after, sizes, strict=True)]
    images = framed(x, window.before, after, 0, kernel, batched=batched)
    if tile:
        total = winograd(images, w, sizes, tile, accumulator(out.dtype), kernel)
    else:
        total = window_products(images, w, window, groups, sizes, out.dtype, kernel)
    return biased(total, b, out, batched)


def window_products(
    images: Images,
    w: te.Tensor,
    window: Window,
    groups: int,
    sizes: Sequence[int],
    result: str,
    kernel: KernelBuilder,
) -> Total:
    """The sums of a convolution at `sizes` positions; images channels last, with their border.

    `result` is the dtype they are meant for, which decides about the one they are computed in.
    """
    _, depth, *taps = shape_of(w)
    dtype, narrow = accumulator(result), sums_of(result, kernel)
    if depth == 1 and groups > 1:
        return depthwise(images, w, window, sizes, dtype, kernel)
    if groups > 1:
        total: Total = grouped(images, w, window, groups, sizes, dtype, kernel)
        return total
    if images.space == tuple(sizes) and math.prod((*taps, *window.stride)) == 1:
        return _pointwise(images, w, sizes, narrow, kernel)
    return _direct(images, w, window, sizes, narrow, kernel)


def _winograd_tile(
    x: te.Tensor,
    w: te.Tensor,
    window: Window,
    groups: int,
    sizes: Sequence[int],
    kernel: KernelBuilder,
) -> int:
    """The tile of Winograd's algorithm where it pays, else 0."""
    tiles = kernel.options.winograd_tiles
    is_float = {str(x.dtype), str(w.dtype)} == {"float32"}
    is_plain = kernel.is_constant(w) and not kernel.is_widened(w)
    if groups > 1 or len(sizes) != 2 or not (tiles and is_float and is_plain):
        return 0
    batch = int(x.shape[0]) if len(x.shape) == len(w.shape) else 1
    return winograd_tile(kernel.target, window, shape_of(w), batch, sizes, tiles)


def biased(total: Total, b: te.Tensor | None, out: TensorSpec, batched: bool) -> te.Tensor:
    """The output stage of a convolution: sums without padding channels, plus bias."""

    def read(at: Sequence[Index]) -> Any:
        n, o, position = split_index(at, batched)
        value = total(n, o, position)
        return value if b is None else value + b(o).astype(value.ty.dtype)

    return finished(read, out)


def _pointwise(
    images: Images, w: te.Tensor, space: Sequence[int], dtype: str, kernel: KernelBuilder
) -> Total:
    """Taps of size 1 over images without gaps: a product of flattened positions P[p,o]."""
    batched = (images.batch, *space)
    rows, depth = math.prod(batched), int(w.shape[1])
    right = right_operand(w, kernel, k_last=True, rows=rows, taps=len(space))

    def left(m: Index, k: Index) -> Any:
        n, *position = unflatten_index(m, batched)
        return images.at(n, k, position)

    total = rows_product(left, right, (rows, depth), dtype)
    return lambda n, o, position: total(flatten_index((n, *position), batched), o)


def _direct(
    images: Images,
    w: te.Tensor,
    window: Window,
    sizes: Sequence[int],
    dtype: str,
    kernel: KernelBuilder,
) -> Total:
    """Any other convolution: P[n,p,o], the channels rounded up to whole panels of weights.

    The taps of an image row and their channels are one axis where they lie side by side.
    """
    channels, depth, *taps = shape_of(w)
    target = for_sums(kernel.target, dtype)
    tile = conv_tile(target, sizes[-1], channels, depth * math.prod(taps))
    rows, weight = _panels(w, tile.columns, kernel)
    merged = window.dilation[-1] == 1
    axes = [te.reduce_axis((0, size), name="t") for size in (taps[:-1] if merged else taps)]
    c = te.reduce_axis((0, depth * taps[-1] if merged else depth), name="c")
    read = _reader(images, window, taps, sizes, merged, kernel)

    def element(*at: Index) -> Any:
        n, o, position = split_index(at, True, True)
        tap, channel = ([*axes, c // depth], c % depth) if merged else (axes, c)
        value = read(n, position, axes, c)
        return te.sum(value.astype(dtype) * weight(o, channel, tap).astype(dtype), axis=[*axes, c])

    shape = (images.batch, *sizes, rows)
    total = te.compute(shape, element, name="conv", attrs={"schedule": "conv"})
    return lambda n, o, position: total(n, *position, o)


def _reader(
    images: Images,
    window: Window,
    taps: Sequence[int],
    sizes: Sequence[int],
    merged: bool,
    kernel: KernelBuilder,
) -> Callable[[Index, Sequence[Index], Sequence[Index], Index], Any]:
    """How to read the input by image, output position, taps and channel.

    Where the input lies in memory, through a view in which each of them is an axis: the left
    operand of a product, of which most elements are the same. `merged`: the taps of a row and the
    channels are one axis.
    """
    channels = images.channels
    if images.source is None:

        def at(n: Index, position: Sequence[Index], tap: Sequence[Index], c: Index) -> Any:
            every, channel = ([*tap, c // channels], c % channels) if merged else (tap, c)
            return images.at(n, channel, window.at(position, every))

        return at
    image, *steps, one = dense_strides(shape_of(images.tensor))
    shape, strides = [images.batch], [image]
    for size, tap, step, stride, dilation in zip(
        sizes, taps, steps, window.stride, window.dilation, strict=True
    ):
        shape += [size, tap]
        strides += [step * stride, step * dilation]
    if merged:
        shape[-1], strides[-1] = shape[-1] * channels, one
    else:
        shape, strides = [*shape, channels], [*strides, one]
    origin = images.origin or (0,) * len(sizes)
    offset = sum(first * step for first, step in zip(origin, steps, strict=True))
    view = kernel.view(images.source, tuple(shape), strides, offset)

    def through(n: Index, position: Sequence[Index], tap: Sequence[Index], c: Index) -> Any:
        every = [*tap, c] if merged else tap
        pairs = [index for pair in zip(position, every, strict=True) for index in pair]
        return view(n, *pairs) if merged else view(n, *pairs, c)

    return through


def _panels(w: te.Tensor, panel: int, kernel: KernelBuilder) -> tuple[int, Total]:
    """How to read weights [o, c, taps...].

    Returns the output channels, padding included, and a reader of one weight by output channel,
    input channel and tap. Constant weights are packed as [rows / panel, taps..., c, panel].
    """
    rows = int(w.shape[0])
    if not kernel.is_constant(w):
        return rows, lambda o, c, taps: w(o, c, *taps)
    packed = kernel.pack(w, partial(pack_panels, panel=panel), f"panels{panel}")

    def read(o: Index, c: Index, taps: Sequence[Index]) -> Any:
        return packed(o // panel, *taps, c, o % panel)

    return -(-rows // panel) * panel, read


def pack_panels(weight: Array, *, panel: int) -> Array:
    """[o, c, taps...] -> [rows / panel, taps..., c, panel], zeros added."""
    padded = np.pad(weight, [(0, -len(weight) % panel)] + [(0, 0)] * (weight.ndim - 1))
    panels = padded.reshape(-1, panel, *weight.shape[1:])
    return np.moveaxis(panels, (1, 2), (-1, -2))
