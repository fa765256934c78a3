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

    def element(n: Index, c: Index, position: Sequence[Index], axes: Sequence[Any]) -> Any:
        return images.at(n, c, window.at(position, axes)).astype(dtype)

    shape = (images.batch, *sizes, images.channels)
    return over_window("window", shape, taps, window, element, total)


def window_maxima(
    images: Images, window: Window, taps: Sequence[int], sizes: Sequence[int]
) -> Found:
    """The maxima over the taps of a window at each of `sizes` positions, images channels last."""

    def element(n: Index, c: Index, position: Sequence[Index], axes: Sequence[Any]) -> Any:
        return images.at(n, c, window.at(position, axes))

    shape = (images.batch, *sizes, images.channels)
    return over_window("window", shape, taps, window, element, OPERATORS["max"].reduce)


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
    taps = (*(1 for _ in others), width)
    sums = window_sums(images, tiling(taps), taps, (*others, 1), dtype)
    shape = (images.batch, *others, 1, images.channels)
    tensor = te.compute(shape, lambda n, *at: sums(n, at[-1], at[:-1]), name="rows")
    return Images(tensor, channels_last=True)
