"""Convolutions, and those that go the other way."""

import torch
from torch import Tensor
from torch.nn import functional

from ..call import Call
from ..registry import onnx_op
from .windows import Windows, each_axis, halves, image_of, windows_of

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


@onnx_op("Conv")
def conv(call: Call) -> Tensor:
    return convolved(call, call.tensor(0), call.tensor(1), call.optional(2))


def convolved(
    call: Call, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int = 0
) -> Tensor:
    """Images [N, C, ...] times a weight [O, C / groups, ...], around them `padding`."""
    if weight.dim() != x.dim():
        raise call.refused(f"a weight of {weight.dim()} axes for inputs of {x.dim()}")
    windows = windows_of(call, x, _kernel(call, weight))
    groups = call.attribute("group", 1)
    if x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise call.refused(
            f"{x.shape[1]} channels, a weight of {list(weight.shape)} and {groups} groups"
        )
    run = _CONVOLUTIONS[windows.rank]
    options = windows.strides, _even(windows, padding), windows.dilations, groups
    if windows.is_even and not padding:
        return run(x, weight, bias, *options)
    return run(windows.padded(x, padding), weight, bias, *options)


def _even(windows: Windows, padding: int) -> list[int]:
    return windows.begins if windows.is_even and not padding else [0] * windows.rank


def _kernel(call: Call, weight: Tensor) -> list[int]:
    sizes = list(weight.shape[2:])
    stated = call.attribute("kernel_shape", sizes)
    if list(stated) != sizes:
        raise call.refused(f"attribute kernel_shape is {stated}, the weight has {sizes}")
    return sizes


@onnx_op("ConvTranspose")
def conv_transpose(call: Call) -> Tensor:
    x, weight, bias = call.tensor(0), call.tensor(1), call.optional(2)
    images = image_of(call, x)
    rank = len(images)
    strides, gaps = (each_axis(call, name, 1, rank) for name in ("strides", "dilations"))
    more = each_axis(call, "output_padding", 0, rank)
    axes = zip(images, strides, _kernel(call, weight), gaps, strict=True)
    full = [(image - 1) * step + (size - 1) * gap + 1 for image, step, size, gap in axes]
    begins, counts = _results(call, images, full, strides, more)
    run, groups = _TRANSPOSED[rank], call.attribute("group", 1)
    # PyTorch's output padding, which makes of `full` what ONNX wants
    extra = [
        count - size + 2 * begin for count, size, begin in zip(counts, full, begins, strict=True)
    ]
    fits = [0 <= end < max(step, gap) for end, step, gap in zip(extra, strides, gaps, strict=True)]
    if all(fits) and min(begins) >= 0:
        return run(x, weight, bias, strides, begins, extra, groups, gaps)
    whole = run(x, weight, None, strides, 0, 0, groups, gaps)
    around = [
        size
        for begin, count, length in zip(begins[::-1], counts[::-1], full[::-1], strict=True)
        for size in (-begin, begin + count - length)
    ]
    cut = functional.pad(whole, around)
    return cut if bias is None else cut + bias.reshape(-1, *[1] * rank)


def _results(
    call: Call, images: list[int], full: list[int], strides: list[int], more: list[int]
) -> tuple[list[int], list[int]]:
    """First result that is wanted of the `full` ones, and how many are, for each axis."""
    rank, auto_pad = len(images), call.attribute("auto_pad", "NOTSET")
    wanted = call.attribute("output_shape", [0] * 0)[-rank:]
    is_same = auto_pad in ("SAME_UPPER", "SAME_LOWER")
    if wanted or is_same:
        steps = zip(images, strides, strict=True)
        counts = [int(size) for size in wanted] or [image * step for image, step in steps]
        lengths = zip(full, more, counts, strict=True)
        totals = [size + end - count for size, end, count in lengths]
        if not wanted and min(totals) < 0:
            raise call.refused(f"windows smaller than their strides {strides}, {auto_pad}")
        totals = [max(total, 0) for total in totals]
        begins, _ = halves(call, totals, auto_pad if is_same else "SAME_LOWER")
        return begins, counts
    pads = call.attribute("pads", [0] * 2 * rank) if auto_pad != "VALID" else [0] * 2 * rank
    if len(pads) != 2 * rank:
        raise call.refused(f"attribute pads is {pads} for images of {rank} axes")
    sides = zip(full, more, pads[:rank], pads[rank:], strict=True)
    counts = [size + end - before - after for size, end, before, after in sides]
    if min(counts) < 1:
        raise call.refused(f"padding {pads} leaves nothing of {full} results")
    return list(pads[:rank]), counts


@onnx_op("DeformConv")
def deform_conv(call: Call) -> Tensor:
    """Each tap reads the image at a place of its own, between elements (Dai et al. 2017)."""
    x, weight, offset = (call.tensor(index) for index in range(3))
    if x.dim() != 4:
        raise call.refused(f"its images have {x.dim() - 2} axes, not 2")
    windows = windows_of(call, x, _kernel(call, weight))
    parts, taps = call.attribute("offset_group", 1), weight[0, 0].numel()
    batch, channels = x.shape[:2]
    # with zeros behind, so that places are halved and doubled without error
    height, width = (1 << (size - 1).bit_length() for size in windows.images)
    rows, columns = windows.counts
    moved = offset.reshape(batch * parts, taps, 2, rows, columns)
    y, x_places = (moved[:, :, axis] + _places(windows, axis, x) for axis in range(2))
    grid = torch.stack([(2 * x_places + 1) / width - 1, (2 * y + 1) / height - 1], -1)
    whole = functional.pad(x, [0, width - windows.images[1], 0, height - windows.images[0]])
    taken = functional.grid_sample(
        whole.reshape(batch * parts, channels // parts, height, width),
        grid.reshape(batch * parts, taps * rows, columns, 2),
        align_corners=False,
    ).reshape(batch, parts, channels // parts, taps, rows, columns)
    if call.has(4):
        taken = taken * call.tensor(4).reshape(batch, parts, 1, taps, rows, columns)
    groups = call.attribute("group", 1)
    columns_of = taken.reshape(batch, groups, channels // groups * taps, rows * columns)
    result = torch.matmul(weight.reshape(groups, len(weight) // groups, -1), columns_of)
    result = result.reshape(batch, len(weight), rows, columns)
    return result + call.tensor(3).reshape(-1, 1, 1) if call.has(3) else result


def _places(windows: Windows, axis: int, like: Tensor) -> Tensor:
    """Where each tap reads without offset along an axis: [taps, rows, columns] broadcast."""
    begin, step, gap = (
        values[axis] for values in (windows.begins, windows.strides, windows.dilations)
    )
    first = torch.arange(windows.counts[axis], dtype=like.dtype) * step - begin
    taps = torch.arange(windows.sizes[axis], dtype=like.dtype) * gap
    wide = taps.reshape((-1, 1) if axis == 0 else (1, -1)).expand(windows.sizes).reshape(-1, 1, 1)
    return wide + first.reshape((1, -1, 1) if axis == 0 else (1, 1, -1))
