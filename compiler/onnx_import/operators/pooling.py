"""The largest, the mean or a norm of windows and of whole images."""

from collections.abc import Callable
from math import prod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..call import Call
from ..registry import onnx_op
from .windows import Windows, each_axis, image_of, windows_of

_MAXIMA: dict[int, Callable[..., Tensor]] = {
    1: functional.max_pool1d,
    2: functional.max_pool2d,
    3: functional.max_pool3d,
}
_PLACES = {
    1: functional.max_pool1d_with_indices,
    2: functional.max_pool2d_with_indices,
    3: functional.max_pool3d_with_indices,
}
_MEANS: dict[int, Callable[..., Tensor]] = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}
_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@onnx_op("MaxPool")
def max_pool(call: Call) -> Tensor | tuple[Tensor, Tensor]:
    x = call.tensor(0)
    if x.dim() == 3 and not x.is_floating_point():  # PyTorch has none for one axis of integers
        raise call.refused(f"images of one axis of {x.dtype}")
    windows = windows_of(call, x, call.needed("kernel_shape"))
    if len(call.outputs_wanted) > 1 and call.outputs_wanted[1]:
        return _max_with_places(call, x, windows)
    run, rounds_up = _MAXIMA[windows.rank], bool(call.attribute("ceil_mode", 0))
    if _is_native(windows):
        options = windows.strides, windows.begins, windows.dilations, rounds_up
        return run(x, windows.sizes, *options)
    padded = windows.reaching().padded(x, _least(x))
    return run(padded, windows.sizes, windows.strides, 0, windows.dilations)


def _is_native(windows: Windows) -> bool:
    """Whether the padding is one that PyTorch's pooling takes."""
    fits = [2 * begin <= size for begin, size in zip(windows.begins, windows.sizes, strict=True)]
    return windows.is_even and all(fits)


def _least(x: Tensor) -> float | int:
    return -float("inf") if x.is_floating_point() else torch.iinfo(x.dtype).min


def _max_with_places(call: Call, x: Tensor, windows: Windows) -> tuple[Tensor, Tensor]:
    """Maxima and where they are: in the whole tensor, its last axis or its first one inner."""
    wide = windows.reaching()
    padded, none = wide.padded(x, _least(x)), [0] * wide.rank
    values, places = _PLACES[wide.rank](padded, wide.sizes, wide.strides, none, wide.dilations)
    along = []  # the place along each axis of the image
    for axis in reversed(range(wide.rank)):
        size = padded.shape[2 + axis]
        along.append(torch.remainder(places, size) - wide.begins[axis])
        places = torch.div(places, size, rounding_mode="floor")
    along.reverse()
    axes = list(range(wide.rank))
    if call.attribute("storage_order", 0):
        axes.reverse()
    flat = torch.zeros_like(places)
    for axis in axes:
        flat = flat * wide.images[axis] + along[axis]
    images = torch.arange(x.shape[0] * x.shape[1]) * prod(wide.images)
    return values, flat + images.reshape(*x.shape[:2], *[1] * wide.rank)


@onnx_op("AveragePool")
def average_pool(call: Call) -> Tensor:
    x = call.tensor(0)
    windows = windows_of(call, x, call.needed("kernel_shape"))
    return mean_of_windows(call, x, windows)


def mean_of_windows(call: Call, x: Tensor, windows: Windows) -> Tensor:
    """Means of the elements of windows over [N, C, ...], padding with them or not."""
    with_padding = bool(call.attribute("count_include_pad", 0))
    if _is_native(windows) and max(windows.dilations) == 1:
        rounds_up = bool(call.attribute("ceil_mode", 0)) and windows != windows.reaching()
        options = windows.strides, windows.begins, rounds_up, with_padding
        return _MEANS[windows.rank](x, windows.sizes, *options)
    counts = windows.elements(with_padding=with_padding)
    total = counts[0]
    for more in counts[1:]:
        total = np.multiply.outer(total, more)
    if not total.all():
        raise call.refused("windows that see nothing but padding")
    means = _means(x, windows)
    scale = prod(windows.sizes) / total
    return means if (scale == 1).all() else means * torch.from_numpy(scale).to(x.dtype)


def _means(x: Tensor, windows: Windows) -> Tensor:
    """Means of windows over [N, C, ...], padding holds zeros and counts."""
    padded, rank = windows.reaching().padded(x), windows.rank
    if max(windows.dilations) == 1:
        return _MEANS[rank](padded, windows.sizes, windows.strides)
    weight = torch.full((1, 1, *windows.sizes), 1 / prod(windows.sizes), dtype=x.dtype)
    alone = padded.reshape(-1, 1, *padded.shape[2:])
    result = _CONVOLUTIONS[rank](alone, weight, None, windows.strides, 0, windows.dilations)
    return result.reshape(*x.shape[:2], *result.shape[2:])


@onnx_op("LpPool")
def lp_pool(call: Call) -> Tensor:
    x, power = call.tensor(0), call.attribute("p", 2)
    windows = windows_of(call, x, call.needed("kernel_shape"))
    sums = _means(_powers(x, power), windows) * prod(windows.sizes)
    return _root(sums, power)


def _powers(x: Tensor, power: int) -> Tensor:
    return x * x if power == 2 else x.abs() if power == 1 else x.abs().pow(power)


def _root(sums: Tensor, power: int) -> Tensor:
    return sums.sqrt() if power == 2 else sums if power == 1 else sums.pow(1 / power)


@onnx_op("GlobalAveragePool")
def global_average_pool(call: Call) -> Tensor:
    return call.tensor(0).mean(_image_axes(call), keepdim=True)


@onnx_op("GlobalMaxPool")
def global_max_pool(call: Call) -> Tensor:
    return call.tensor(0).amax(_image_axes(call), keepdim=True)


@onnx_op("GlobalLpPool")
def global_lp_pool(call: Call) -> Tensor:
    power = call.attribute("p", 2)
    return _root(_powers(call.tensor(0), power).sum(_image_axes(call), keepdim=True), power)


def _image_axes(call: Call) -> list[int]:
    rank = call.tensor(0).dim()
    if rank < 3:
        raise call.refused(f"its input has {rank} axes, so no image")
    return list(range(2, rank))


@onnx_op("MaxUnpool")
def max_unpool(call: Call) -> Tensor:
    """Puts values at the places, in the whole tensor, that MaxPool took them from."""
    x, places = call.tensor(0), call.tensor(1)
    rank = len(image_of(call, x))
    sizes = [int(size) for size in call.needed("kernel_shape")]
    strides, pads = each_axis(call, "strides", 1, rank), call.attribute("pads", [0] * 2 * rank)
    axes = zip(x.shape[2:], strides, sizes, pads[:rank], pads[rank:], strict=True)
    images = [
        (count - 1) * step + size - before - after for count, step, size, before, after in axes
    ]
    whole = torch.zeros(prod([*x.shape[:2], *images]), dtype=x.dtype)
    filled = whole.scatter(0, places.reshape(-1), x.reshape(-1))
    result = filled.reshape(*x.shape[:2], *images)
    if not call.has(2):
        return result
    wanted = call.known_ints(2, "its output shape")[2:]
    more = [
        size
        for pair in zip(wanted[::-1], images[::-1], strict=True)
        for size in (0, pair[0] - pair[1])
    ]
    return functional.pad(result, more)
