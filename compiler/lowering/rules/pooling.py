"""Pooling: the maximum or the mean of the elements under a sliding window."""

import math
from collections.abc import Callable, Sequence
from functools import partial, update_wrapper
from typing import Any

import torch
from torch._ops import OpOverload
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..registry import Rule, lowers
from .axis_reduction import converted, reduced
from .gemm import accumulator, finished
from .indices import Index, flatten_index
from .row_reduction import OPERATORS
from .sliding import from_found, whole_sums, window_maxima, window_sums
from .windows import Images, Sizes, Window, framed, per_axis, split_index

aten = torch.ops.aten

FEW_CHANNELS = 4  # below, vectors of neighboring positions beat vectors of channels


def lowers_each_rank(*ops: OpOverload) -> Callable[[Rule], Rule]:
    """Register a rule for ops over 1, 2, 3 spatial axes; it gets their number first."""

    def add(rule: Rule) -> Rule:
        for rank, op in enumerate(ops, start=1):
            lowers(op)(update_wrapper(partial(rule, rank), rule))
        return rule

    return add


@lowers_each_rank(aten.max_pool1d.default, aten.max_pool2d.default, aten.max_pool3d.default)
def max_pool(
    rank: int,
    x: te.Tensor,
    kernel_size: Sizes,
    stride: Sizes = (),
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """y[n,c,p] = max_t x[n,c, p * stride + t * dilation - padding]; padding never wins."""
    taps = per_axis(kernel_size, rank)
    images = Images(x, len(x.shape) == rank + 2)
    window = _window(images, taps, stride, padding, dilation, out)
    if images.channels >= FEW_CHANNELS:
        border = lowest(out.dtype)
        frame = framed(x, window.before, window.after, border, kernel, batched=images.batched)
        return from_found(
            window_maxima(frame, window, taps, out.shape[-rank:]), out, images.batched
        )
    if _is_whole(images, window, taps):
        return reduced(x, last_axes(x, rank), "max", out, kernel)
    return _maximum(_bordered(images, window), window, taps, out)


@lowers_each_rank(
    aten.max_pool1d_with_indices.default,
    aten.max_pool2d_with_indices.default,
    aten.max_pool3d_with_indices.default,
)
def max_pool_with_indices(
    rank: int,
    x: te.Tensor,
    kernel_size: Sizes,
    stride: Sizes = (),
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    *,
    out: tuple[TensorSpec, TensorSpec],
) -> tuple[te.Tensor, te.Tensor]:
    """The maxima, and where in the flattened input image the first element equal to each lies."""
    taps = per_axis(kernel_size, rank)
    images = Images(x, len(x.shape) == rank + 2)
    window = _window(images, taps, stride, padding, dilation, out[0])
    bordered = _bordered(images, window)
    maxima = _maximum(bordered, window, taps, out[0])
    axes = _axes(taps)

    def element(*at: Index) -> Any:
        n, c, position = split_index(at, images.batched)
        where = window.at(position, axes)
        inside = [i - before for i, before in zip(where, window.before, strict=True)]
        flat = flatten_index(inside, images.space)
        found = bordered.at(n, c, where).equal(maxima(*at))
        return te.min(tirx.Select(found, flat, math.prod(images.space)), axis=axes)

    first = te.compute(out[1].shape, element, name="first")
    return maxima, finished(lambda at: first(*at), out[1])


@lowers_each_rank(aten.avg_pool1d.default, aten.avg_pool2d.default, aten.avg_pool3d.default)
def avg_pool(
    rank: int,
    x: te.Tensor,
    kernel_size: Sizes,
    stride: Sizes = (),
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """y[n,c,p] = sum_t x[n,c, p * stride + t - padding] / (taps inside).

    Inside is the input, with its padding if `count_include_pad`.
    """
    taps = per_axis(kernel_size, rank)
    images = Images(x, len(x.shape) == rank + 2)
    window = _window(images, taps, stride, padding, 1, out)
    if _is_whole(images, window, taps) and divisor_override is None:
        return global_mean(x, rank, out, kernel)
    dtype = accumulator(out.dtype)
    borders = per_axis(padding, rank) if count_include_pad else (0,) * rank
    counts = [
        _tap_count(*sizes)
        for sizes in zip(
            out.shape[-rank:],
            taps,
            window.stride,
            window.before,
            borders,
            images.space,
            strict=True,
        )
    ]

    def mean(value: Any, at: Sequence[Index]) -> Any:
        if divisor_override is not None:
            return divide(value, divisor_override, dtype)
        present = (count(p) for count, p in zip(counts, at[-rank:], strict=True))
        return divide(value, math.prod(present), dtype)

    if images.channels >= FEW_CHANNELS:
        frame = framed(x, window.before, window.after, 0, kernel, batched=images.batched)
        sums = window_sums(frame, window, taps, out.shape[-rank:], dtype)
        return from_found(sums, out, images.batched, mean)
    bordered = images.padded(window.before, window.after, 0)
    axes = _axes(taps)

    def element(*at: Index) -> Any:
        n, c, position = split_index(at, images.batched)
        return te.sum(bordered.at(n, c, window.at(position, axes)).astype(dtype), axis=axes)

    sums_by_channel = te.compute(out.shape, element, name="sums")
    return finished(lambda at: sums_by_channel(*at), out, mean)


def global_mean(x: te.Tensor, rank: int, out: TensorSpec, kernel: KernelBuilder) -> te.Tensor:
    """The mean over the last `rank` axes, which `out` has with size 1."""
    dtype = accumulator(out.dtype)
    images = Images(x, len(x.shape) == rank + 2)
    count = math.prod(images.space)
    if images.channels < FEW_CHANNELS:
        wide, axes = converted(x, dtype), last_axes(x, rank)
        return reduced(wide, axes, "sum", out, kernel, lambda total: divide(total, count, dtype))
    nothing = (0,) * rank
    frame = framed(x, nothing, nothing, 0, kernel, batched=images.batched)
    sums = whole_sums(frame, images.space, dtype)
    return from_found(sums, out, images.batched, lambda total, at: divide(total, count, dtype))


def last_axes(x: te.Tensor, rank: int) -> range:
    """The last `rank` axes of a tensor."""
    return range(len(x.shape) - rank, len(x.shape))


def divide(value: Any, count: Index, dtype: str) -> Any:
    """A sum by a number of elements; integers are truncated towards zero, as in torch."""
    number = tirx.const(count, dtype) if isinstance(count, int) else count.astype(dtype)
    if not dtype.startswith("float"):
        return tirx.truncdiv(value, number)
    return value * tirx.const(1 / count, dtype) if isinstance(count, int) else value / number


def lowest(dtype: str) -> float:
    """What no element of a dtype is less than."""
    return -math.inf if "float" in dtype else int(tirx.min_value(dtype))


def _tap_count(
    outputs: int, taps: int, stride: int, before: int, border: int, size: int
) -> Callable[[Index], Index]:
    """How many taps of the window at an output position lie inside [-border, size + border)."""
    whole = all(
        -border <= p * stride - before and p * stride - before + taps <= size + border
        for p in (0, outputs - 1)
    )
    if whole:
        return lambda p: taps

    def count(p: Index) -> Index:
        first = p * stride - before
        return tirx.min(first + taps, size + border) - tirx.max(first, -border)

    return count


def _maximum(bordered: Images, window: Window, taps: Sequence[int], out: TensorSpec) -> te.Tensor:
    axes = _axes(taps)
    batched = len(out.shape) == len(taps) + 2

    def element(*at: Index) -> Any:
        n, c, position = split_index(at, batched)
        return OPERATORS["max"].reduce(bordered.at(n, c, window.at(position, axes)), axis=axes)

    return te.compute(out.shape, element, name="max_pool")


def _is_whole(images: Images, window: Window, taps: Sequence[int]) -> bool:
    """Whether there is one window position, which covers the input and nothing else."""
    return tuple(taps) == images.space and not any((*window.before, *window.after))


def _bordered(images: Images, window: Window) -> Images:
    return images.padded(window.before, window.after, lowest(str(images.tensor.dtype)))


def _window(
    images: Images,
    taps: Sequence[int],
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    out: TensorSpec,
) -> Window:
    """The window with as much padding behind as its last position reaches (`ceil_mode`)."""
    rank = len(taps)
    strides = per_axis(stride, rank) or tuple(taps)
    before, dilations = per_axis(padding, rank), per_axis(dilation, rank)
    after = tuple(
        max(0, (outputs - 1) * s + d * (t - 1) + 1 - size - b)
        for outputs, s, d, t, size, b in zip(
            out.shape[-rank:], strides, dilations, taps, images.space, before, strict=True
        )
    )
    return Window(stride=strides, dilation=dilations, before=before, after=after)


def _axes(taps: Sequence[int]) -> list[Any]:
    return [te.reduce_axis((0, size), name="t") for size in taps]
