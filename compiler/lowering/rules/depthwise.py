"""Windows over single channels: the accumulation of depthwise convolutions, and of pooling."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from tvm import te, tirx

from ..builder import Array, KernelBuilder
from .indices import Index, shape_of
from .windows import Images, Window

# By image, channel and position of the result.
Sums = Callable[[Index, Index, Sequence[Index]], Any]


def depthwise(
    images: Images,
    w: te.Tensor,
    window: Window,
    sizes: Sequence[int],
    dtype: str,
    kernel: KernelBuilder,
) -> Sums:
    """P[n,p,o] = sum_t x[n, p * stride + t * dilation, o / M] * w[o,0,t], tagged "depthwise".

    images [N,padded...,C]; w [O,1,taps...], M = O / C; constant weights are packed as
    [taps...,O]. `sizes` are those of p, sums are of `dtype`.
    """
    weights = _channels_last(w, kernel)
    channels, _, *taps = shape_of(w)
    images = _repeated(images, channels // images.channels)

    def product(n: Index, o: Index, position: Sequence[Index], axes: Sequence[Any]) -> Any:
        tap = images.at(n, o, window.at(position, axes)).astype(dtype)
        return tap * weights(*axes, o).astype(dtype)

    shape = (images.batch, *sizes, channels)
    return over_window("depthwise", shape, taps, window, product, total)


def over_window(
    template: str,
    shape: Sequence[int],
    taps: Sequence[int],
    window: Window,
    value: Callable[[Index, Index, Sequence[Index], Sequence[Any]], Any],
    reduce: Callable[..., Any],
) -> Sums:
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


_SUM = te.comm_reducer(lambda a, b: a + b, lambda dtype: _nothing(dtype))


def _nothing(dtype: str) -> Any:
    return tirx.const(-0.0 if "float" in dtype else 0, dtype)


def _repeated(images: Images, times: int) -> Images:
    """The images with every channel `times` times, so that vectors of channels lie in memory."""
    if times == 1:
        return images
    shape = (images.batch, *images.space, images.channels * times)

    def element(*at: Index) -> Any:
        n, *position, o = at
        return images.at(n, tirx.floordiv(o, times), position)

    tensor = te.compute(shape, element, name="repeated", attrs={"schedule": "pad"})
    return Images(tensor, channels_last=True)


def _channels_last(w: te.Tensor, kernel: KernelBuilder) -> te.Tensor:
    """Weights [O,1,taps...] as [taps...,O]."""
    if kernel.is_constant(w):
        return kernel.pack(w, _pack, "taps")
    channels, _, *taps = shape_of(w)
    return te.compute(
        (*taps, channels), partial(_weight, w), name="taps", attrs={"schedule": "pad"}
    )


def _weight(w: te.Tensor, *at: Index) -> Any:
    *axes, o = at
    return w(o, 0, *axes)


def _pack(weight: Array) -> Array:
    return np.moveaxis(weight[:, 0], 0, -1)
