"""Convolutions: direct accumulation over a padded input, weights packed in blocks of channels."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..builder import Array, KernelBuilder
from ..registry import lowers
from .gemm import RightOperand, accumulate, accumulator, finished, in_panels
from .indices import Index, flatten_index, shape_of, unflatten_index
from .windows import Images, Sizes, Window, per_axis, split_index

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
    _, depth, *taps = shape_of(w)
    batched = len(x.shape) == len(w.shape)
    images = Images(x, batched).padded(window.before, window.after, 0)
    sizes = out.shape[-len(taps) :]
    dtype = accumulator(out.dtype)
    if depth == 1 and groups > 1:
        total = _depthwise(images, w, window, sizes, dtype)
    elif math.prod(taps) == 1 and math.prod(window.stride) == 1:
        total = _pointwise(images, w, groups, dtype, kernel)
    else:
        total = _direct(images, w, window, groups, sizes, dtype, kernel)
    return biased(total, b, out, batched)


def biased(total: Total, b: te.Tensor | None, out: TensorSpec, batched: bool) -> te.Tensor:
    """The output stage of a convolution: sums without padding channels, plus bias."""

    def read(at: Sequence[Index]) -> Any:
        n, o, position = split_index(at, batched)
        value = total(n, o, position)
        return value if b is None else value + b(o).astype(accumulator(out.dtype))

    return finished(read, out)


def _depthwise(
    images: Images, w: te.Tensor, window: Window, sizes: Sequence[int], dtype: str
) -> Total:
    """Every output channel sees one input channel: P[n,o,p], tagged "depthwise"."""
    channels, _, *taps = shape_of(w)
    multiplier = channels // images.channels
    axes = [te.reduce_axis((0, size), name="t") for size in taps]

    def element(*at: Index) -> Any:
        n, o, position = split_index(at)
        tap = images.at(n, tirx.floordiv(o, multiplier), window.at(position, axes))
        return te.sum(tap.astype(dtype) * w(o, 0, *axes).astype(dtype), axis=axes)

    shape = (images.batch, channels, *sizes)
    total = te.compute(shape, element, name="depthwise", attrs={"schedule": "depthwise"})
    return lambda n, o, position: total(n, o, *position)


def _pointwise(
    images: Images, w: te.Tensor, groups: int, dtype: str, kernel: KernelBuilder
) -> Total:
    """Taps of size 1: a product P[n,(group),o,p] = w[o,c] * x[n,c,p] over flattened positions."""
    outputs, depth, *ones = shape_of(w)
    rows, space = outputs // groups, images.space
    zeros = [0] * len(ones)

    def group(batch: Sequence[Index]) -> Index:
        return batch[1] if groups > 1 else 0

    def left(batch: Sequence[Index], m: Index, k: Index) -> Any:
        return w(group(batch) * rows + m, k, *zeros)

    def right(batch: Sequence[Index], k: Index, n: Index) -> Any:
        return images.at(batch[0], group(batch) * depth + k, unflatten_index(n, space))

    batches = (images.batch, groups)[: 1 + (groups > 1)]
    columns = RightOperand(math.prod(space), right)
    width = kernel.panel(columns.columns)
    if columns.columns % width:
        columns = in_panels(columns, depth, batches, width)
    total = accumulate(left, columns, (rows, depth), dtype, batches)

    def read(n: Index, o: Index, position: Sequence[Index]) -> Any:
        flat = flatten_index(position, space)
        if groups == 1:
            return total(n, o, flat)
        return total(n, tirx.floordiv(o, rows), tirx.floormod(o, rows), flat)

    return read


def _direct(
    images: Images,
    w: te.Tensor,
    window: Window,
    groups: int,
    sizes: Sequence[int],
    dtype: str,
    kernel: KernelBuilder,
) -> Total:
    """Any other convolution: P[n,o,p], the channels rounded up to blocks of weights."""
    _, depth, *taps = shape_of(w)
    rows, weight = _blocked(w, groups, kernel)
    c = te.reduce_axis((0, depth), name="c")
    axes = [te.reduce_axis((0, size), name="t") for size in taps]

    def element(*at: Index) -> Any:
        n, o, position = split_index(at)
        first = tirx.floordiv(o, rows) * depth if groups > 1 else 0
        tap = images.at(n, first + c, window.at(position, axes))
        product = tap.astype(dtype) * weight(o, c, axes).astype(dtype)
        return te.sum(product, axis=[c, *axes])

    shape = (images.batch, groups * rows, *sizes)
    total = te.compute(shape, element, name="conv", attrs={"schedule": "conv"})

    return lambda n, o, position: total(n, o, *position)


def _blocked(w: te.Tensor, groups: int, kernel: KernelBuilder) -> tuple[int, Total]:
    """How to read weights [o, c, taps...] of groups of output channels.

    Returns the rows of a group, padding included, and a reader of one weight by row, input channel
    and tap. Constant weights are packed as [rows / block, c, taps..., block].
    """
    own = int(w.shape[0]) // groups
    if not kernel.is_constant(w):
        return own, lambda o, c, taps: w(o, c, *taps)
    block = rows_per_block(own, groups, kernel)
    packed = kernel.pack(w, partial(pack_blocks, own=own, block=block), f"blocks{block}_{own}")
    return -(-own // block) * block, partial(read_block, packed)


def rows_per_block(own: int, groups: int, kernel: KernelBuilder) -> int:
    """Channels of a block of packed weights; blocks of several groups have no padding.

    With padding between groups, a tile of the result would read a region that is no tile.
    """
    block = kernel.block(own)
    return block if groups == 1 else max(d for d in range(1, block + 1) if own % d == 0)


def read_block(packed: te.Tensor, o: Index, c: Index, taps: Sequence[Index]) -> Any:
    """One weight of a tensor that `pack_blocks` made."""
    block = int(packed.shape[-1])
    return packed(tirx.floordiv(o, block), c, *taps, tirx.floormod(o, block))


def pack_blocks(weight: Array, *, own: int, block: int) -> Array:
    """[groups * own, c, taps...] -> [groups * rows / block, c, taps..., block], zeros added."""
    grouped = weight.reshape(-1, own, *weight.shape[1:])
    padding = [(0, 0), (0, -own % block)] + [(0, 0)] * (weight.ndim - 1)
    blocks = np.pad(grouped, padding).reshape(-1, block, *weight.shape[1:])
    return np.moveaxis(blocks, 1, -1)
