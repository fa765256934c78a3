"""Windows that slide over each channel by itself, images channels last: sums, maxima, products."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from .gemm import finished
from .indices import Index
from .row_reduction import OPERATORS
from .windows import Images, Window, split_index

# What a window gives, by image, channel and position.
Found = Callable[[Index, Index, Sequence[Index]], Any]

_STORED = 4  # instructions to store and load a vector of results between rows and columns
_LONG_SUM = 1024  # elements that are not added one after the other: each addition rounds


def over_window(
    template: str,
    shape: Sequence[int],
    taps: Sequence[int],
    window: Window,
    value: Callable[[Index, Index, Sequence[Index], Sequence[Any]], Any],
    reduce: Callable[..., Any],
) -> Found:
    """P[n,p,o] = reduce of value(n, o, p, taps) over the taps, for targets/cpu/depthwise.py.

    `shape` is that of P.
    """
    axes = [te.reduce_axis((0, size), name="t") for size in taps]

    def element(*at: Index) -> Any:
        n, *position, o = at
        return reduce(value(n, o, position, axes), axis=axes)

    notes = {
        "schedule": template,
        "stride": list(window.stride),
        "dilation": list(window.dilation),
    }
    found = te.compute(tuple(shape), element, name=template, attrs=notes)
    return lambda n, o, position: found(n, *position, o)


def total(value: Any, axis: Sequence[Any]) -> Any:
    """The sum over some axes. It starts at -0, which is what adding the first term changes not."""
    return _SUM(value, axis=axis)


def _nothing(dtype: str) -> Any:
    return tirx.const(-0.0 if "float" in dtype else 0, dtype)


_SUM = te.comm_reducer(lambda a, b: a + b, _nothing)


def tiling(taps: Sequence[int]) -> Window:
    """The windows that lie side by side, without a border."""
    zeros = (0,) * len(taps)
    return Window(stride=tuple(taps), dilation=(1,) * len(taps), before=zeros, after=zeros)


def window_sums(
    images: Images, window: Window, taps: Sequence[int], sizes: Sequence[int], dtype: str
) -> Found:
    """The sums over the taps of a window at each of `sizes` positions, images channels last."""
    return _reduced(images, window, taps, sizes, total, dtype)


def window_maxima(
    images: Images, window: Window, taps: Sequence[int], sizes: Sequence[int]
) -> Found:
    """The maxima over the taps of a window at each of `sizes` positions, images channels last."""
    maximum, dtype = OPERATORS["max"].reduce, str(images.tensor.dtype)
    return _reduced(images, window, taps, sizes, maximum, dtype)


def _reduced(
    images: Images,
    window: Window,
    taps: Sequence[int],
    sizes: Sequence[int],
    reduce: Callable[..., Any],
    dtype: str,
) -> Found:
    """What `reduce` gives for each window: rows first, where windows share rows enough to pay."""
    if _shares_rows(window, taps):
        *outer, last = taps
        reached = zip(sizes[:-1], window.stride, outer, window.dilation, strict=False)
        rows = [(size - 1) * stride + (t - 1) * d + 1 for size, stride, t, d in reached]
        between = (*rows, sizes[-1])
        found = _over_all(
            images, _only(window, -1), (*(1 for _ in outer), last), between, reduce, dtype
        )
        images, window, taps = _stored(found, images, between), _only(window, 0), (*outer, 1)
    return _over_all(images, window, taps, sizes, reduce, dtype)


def _over_all(
    images: Images,
    window: Window,
    taps: Sequence[int],
    sizes: Sequence[int],
    reduce: Callable[..., Any],
    dtype: str,
) -> Found:
    def element(n: Index, c: Index, position: Sequence[Index], axes: Sequence[Any]) -> Any:
        return images.at(n, c, window.at(position, axes)).astype(dtype)

    shape = (images.batch, *sizes, images.channels)
    return over_window("window", shape, taps, window, element, reduce)


def _shares_rows(window: Window, taps: Sequence[int]) -> bool:
    """Whether reducing rows first saves more than it costs to store and load the results."""
    if len(taps) == 1 or taps[-1] == 1:
        return False
    others, shared = math.prod(taps[:-1]), math.prod(window.stride[:-1])
    return taps[-1] * shared + others + _STORED < math.prod(taps)


def _only(window: Window, axis: int) -> Window:
    """The window without the strides of its other axes: the last one (-1) or all but that (0)."""

    def chosen(values: Sequence[int]) -> tuple[int, ...]:
        ones = (1,) * (len(values) - 1)
        return (*ones, values[-1]) if axis else (*values[:-1], 1)

    zeros = (0,) * len(window.stride)
    return Window(
        stride=chosen(window.stride), dilation=chosen(window.dilation), before=zeros, after=zeros
    )


def _stored(found: Found, images: Images, sizes: Sequence[int]) -> Images:
    """What windows of images gave, as images."""
    shape = (images.batch, *sizes, images.channels)
    tensor = te.compute(shape, lambda n, *at: found(n, at[-1], at[:-1]), name="rows")
    return Images(tensor, channels_last=True)


def whole_sums(images: Images, space: Sequence[int], dtype: str) -> Found:
    """The sums of all elements of each channel, at the one position there is.

    `space`: the sizes of the images, which may have a border behind.
    """
    if math.prod(space) > _LONG_SUM and len(space) > 1:
        images, space = _row_sums(images, space, dtype), (*space[:-1], 1)
    return window_sums(images, tiling(space), space, (1,) * len(space), dtype)


def from_found(
    found: Found,
    out: TensorSpec,
    batched: bool,
    finish: Callable[[Any, Sequence[Index]], Any] | None = None,
) -> te.Tensor:
    """The result of a pooling: what was found at each position, after `finish`."""

    def read(at: Sequence[Index]) -> Any:
        n, c, position = split_index(at, batched)
        return found(n, c, position)

    return finished(read, out, finish)


def _row_sums(images: Images, space: Sequence[int], dtype: str) -> Images:
    """The sums of the rows of images, as images one element wide."""
    *others, width = space
    taps, sizes = (*(1 for _ in others), width), (*others, 1)
    return _stored(window_sums(images, tiling(taps), taps, sizes, dtype), images, sizes)
