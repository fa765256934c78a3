"""Pools over windows, and pools that adapt to a size."""

import math
from collections.abc import Sequence

import torch

from ..emitter import Emitter, Value
from ..registry import emits
from .convolution import spread, with_batch
from .views import padded

_ATEN = torch.ops.aten


def _rank(emit: Emitter) -> int:
    """How many axes a window has: 2 for aten.max_pool2d_with_indices."""
    return int(emit.operator.partition("pool")[2][0])


@emits(_ATEN.max_pool1d, _ATEN.max_pool2d, _ATEN.max_pool3d)
def max_pool(
    emit: Emitter,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Value:
    return _maxima(emit, x, kernel, stride, padding, dilation, emit.shape, count=1)[0]


@emits(_ATEN.max_pool2d_with_indices, _ATEN.max_pool3d_with_indices, _ATEN.max_pool1d_with_indices)
def max_pool_with_indices(
    emit: Emitter,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> list[Value]:
    """Places within an image; ONNX counts through the whole tensor."""
    assert isinstance(emit.specs, tuple) and emit.specs[0] is not None
    shape, rank = emit.specs[0].shape, _rank(emit)
    maxima, places = _maxima(emit, x, kernel, stride, padding, dilation, shape, count=2)
    size = emit.scalar(math.prod(x.shape[-rank:]), torch.int64)
    return [maxima, emit("Mod", places, size)]


def _maxima(
    emit: Emitter,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    shape: Sequence[int],
    count: int,
) -> list[Value]:
    rank = _rank(emit)
    kernel = spread(kernel, rank)
    stride, padding = spread(stride or kernel, rank), spread(padding, rank)
    dilation = spread(dilation, rank)
    reach = [d * (size - 1) + 1 for d, size in zip(dilation, kernel, strict=True)]
    options = {
        "kernel_shape": kernel,
        "strides": stride,
        "pads": [*padding, *_ends(x.shape[-rank:], shape[-rank:], reach, stride, padding)],
        "dilations": dilation,
    }
    images = with_batch(emit, x, rank)
    results = emit.several("MaxPool", images, count=count, **options)
    if images is not x:
        results = [emit.reshape(result, shape) for result in results]
    return results


def _ends(
    sizes: Sequence[int],
    counts: Sequence[int],
    reach: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
) -> list[int]:
    """The padding behind that gives `counts` windows, whatever was said about rounding up."""
    rows = zip(sizes, counts, reach, stride, padding, strict=True)
    return [max((count - 1) * s + r - size - front, 0) for size, count, r, s, front in rows]


@emits(_ATEN.avg_pool1d, _ATEN.avg_pool2d, _ATEN.avg_pool3d)
def avg_pool(
    emit: Emitter,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None = None,
) -> Value:
    """Padding that counts becomes part of the image; what windows reach beyond never counts."""
    rank = _rank(emit)
    kernel = spread(kernel, rank)
    stride, padding = spread(stride or kernel, rank), spread(padding, rank)
    images = with_batch(emit, x, rank)
    sizes, counts = x.shape[-rank:], emit.shape[-rank:]
    ends = _ends(sizes, counts, kernel, stride, padding)
    fronts = padding
    includes = False
    if any(padding) and (count_include_pad or divisor):
        if not divisor and not ceil_mode:
            includes, ends = True, list(padding)
        else:
            around = [size for size in padding[::-1] for _ in (0, 1)]
            images = padded(emit, images, around, "constant", 0)
            ends = [max(end - front, 0) for end, front in zip(ends, padding, strict=True)]
            fronts = [0] * rank
    if divisor and any(ends):
        raise emit.refused("a divisor of its own, with windows that reach beyond the image")
    options = {"kernel_shape": kernel, "strides": stride, "pads": [*fronts, *ends]}
    result = emit("AveragePool", images, **options, count_include_pad=int(includes))
    if divisor:
        factor = emit.scalar(math.prod(kernel) / divisor, emit.dtype)
        result = emit("Mul", result, factor)
    return emit.reshape(result, emit.shape) if len(x.shape) == rank + 1 else result


@emits(
    _ATEN.adaptive_avg_pool1d,
    _ATEN.adaptive_avg_pool2d,
    _ATEN.adaptive_avg_pool3d,
    _ATEN._adaptive_avg_pool2d,
    _ATEN._adaptive_avg_pool3d,
)
def adaptive_avg_pool(emit: Emitter, x: Value, sizes: Sequence[int]) -> Value:
    """A pool where all windows have one size, else a product with the shares of each axis."""
    rank = _rank(emit)
    before, after = x.shape[-rank:], emit.shape[-rank:]
    images = with_batch(emit, x, rank)
    if all(size == 1 for size in after):
        result = emit("GlobalAveragePool", images)
    elif not any(size % count for size, count in zip(before, after, strict=True)):
        kernel = [size // count for size, count in zip(before, after, strict=True)]
        result = emit("AveragePool", images, kernel_shape=kernel, strides=kernel)
    else:
        result = _shared(emit, images, before, after)
    return result if images is x else emit.reshape(result, emit.shape)


def _shared(emit: Emitter, x: Value, before: Sequence[int], after: Sequence[int]) -> Value:
    rank = len(before)
    for axis in range(rank):
        shares = torch.zeros(before[axis], after[axis], dtype=emit.dtype)
        for place, (start, end) in enumerate(_windows(before[axis], after[axis])):
            shares[start:end, place] = 1 / (end - start)
        order = list(range(rank + 2))
        order[axis + 2], order[-1] = order[-1], order[axis + 2]
        turned = emit("Transpose", x, perm=order)
        x = emit("Transpose", emit("MatMul", turned, emit.constant(shares)), perm=order)
    return x


def _windows(size: int, count: int) -> list[tuple[int, int]]:
    """The elements that each result of an adaptive pool covers."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


@emits(_ATEN.adaptive_max_pool1d, _ATEN.adaptive_max_pool2d, _ATEN.adaptive_max_pool3d)
def adaptive_max_pool(emit: Emitter, x: Value, sizes: Sequence[int]) -> list[Value]:
    """A pool where all windows have one size."""
    assert isinstance(emit.specs, tuple) and emit.specs[0] is not None
    rank, shape = _rank(emit), emit.specs[0].shape
    pairs = list(zip(x.shape[-rank:], shape[-rank:], strict=True))
    if any(size % count for size, count in pairs):
        raise emit.refused("windows of different sizes")
    kernel = [size // count for size, count in pairs]
    return max_pool_with_indices(emit, x, kernel, kernel, [0] * rank, [1] * rank, False)
