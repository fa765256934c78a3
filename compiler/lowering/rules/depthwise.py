"""The accumulation of depthwise convolutions: each output channel sees one input channel."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from tvm import te, tirx

from ..builder import Array, KernelBuilder
from .indices import Index, shape_of
from .sliding import Found, over_window, total
from .windows import Images, Window


def depthwise(
    images: Images,
    w: te.Tensor,
    window: Window,
    sizes: Sequence[int],
    dtype: str,
    kernel: KernelBuilder,
) -> Found:
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
