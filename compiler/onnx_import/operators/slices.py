"""Parts of tensors, joined tensors, and axes in another order."""

import numpy as np
import torch
from torch import Tensor

from ..call import Call
from ..registry import onnx_op
from .axes import given_ints, wrap_axes, wrap_axis


@onnx_op("Concat")
def concat(call: Call) -> Tensor:
    parts = call.tensors()
    axis = wrap_axis(call, call.needed("axis"), parts[0].dim())
    return torch.cat(parts, axis)


@onnx_op("Split")
def split(call: Call) -> tuple[Tensor, ...]:
    """Parts of given sizes, else of equal ones; the last is smaller if they cannot be equal."""
    x = call.tensor(0)
    axis = wrap_axis(call, call.attribute("axis", 0), x.dim())
    if call.opset < 13:
        sizes = given_ints(call, "split")
    else:
        sizes = call.known_ints(1, "the sizes") if call.has(1) else None
    if sizes is None:
        sizes = _equal_parts(call, x.shape[axis])
    if sum(sizes) != x.shape[axis] or len(sizes) != call.output_count or min(sizes) < 0:
        raise call.refused(f"parts of {sizes} of an axis of {x.shape[axis]}")
    return torch.split(x, sizes, axis)


def _equal_parts(call: Call, size: int) -> list[int]:
    count = call.attribute("num_outputs", call.output_count)
    part = -(-size // count)
    if call.opset < 18 and size % count:
        raise call.refused(f"an axis of {size} in {count} equal parts")
    return [min(part, max(size - index * part, 0)) for index in range(count)]


@onnx_op("Slice")
def slice_axes(call: Call) -> Tensor:
    """Starts, ends and steps of axes, as in Python; steps may be negative."""
    x = call.tensor(0)
    if call.opset < 10:
        starts, ends = list(call.needed("starts")), list(call.needed("ends"))
        axes, steps = given_ints(call, "axes"), None
    else:
        starts, ends = call.known_ints(1, "the start"), call.known_ints(2, "the end")
        axes = call.known_ints(3, "the list of axes") if call.has(3) else None
        steps = call.known_ints(4, "the step") if call.has(4) else None
    axes = wrap_axes(call, range(len(starts)) if axes is None else axes, x.dim())
    steps = [1] * len(axes) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise call.refused(f"starts {starts}, ends {ends}, axes {axes}, steps {steps}")
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        x = _slice_axis(x, axis, range(x.shape[axis])[start:end:step])
    return x


def _slice_axis(x: Tensor, axis: int, places: range) -> Tensor:
    if len(places) == x.shape[axis] and places.step == 1:
        return x
    if not places:
        return x.narrow(axis, 0, 0)
    low, high = sorted((places[0], places[-1]))
    part = torch.ops.aten.slice.Tensor(x, axis, low, high + 1, abs(places.step))
    return torch.flip(part, [axis]) if places.step < 0 and len(places) > 1 else part


@onnx_op("ReverseSequence")
def reverse_sequence(call: Call) -> Tensor:
    """The first sequence_lens[b] steps in reverse order, the others as they are."""
    x, lengths = call.tensor(0), call.tensor(1)
    time = wrap_axis(call, call.attribute("time_axis", 0), x.dim())
    batch = wrap_axis(call, call.attribute("batch_axis", 1), x.dim())
    if {time, batch} != {0, 1}:
        raise call.refused(f"time axis {time} and batch axis {batch}, not 0 and 1")
    shape = [1] * x.dim()
    steps = torch.arange(x.shape[time]).reshape([*shape[:time], -1, *shape[time + 1 :]])
    ends = lengths.reshape([*shape[:batch], -1, *shape[batch + 1 :]])
    places = torch.where(steps < ends, ends - 1 - steps, steps)
    return torch.gather(x, time, places.expand(x.shape))


@onnx_op("CenterCropPad")
def center_crop_pad(call: Call) -> Tensor:
    """The middle of each axis, or zeros around it."""
    x, sizes = call.tensor(0), call.known_ints(1, "the shape")
    axes = given_ints(call, "axes")
    axes = wrap_axes(call, range(x.dim()) if axes is None else axes, x.dim())
    around = np.zeros((x.dim(), 2), int)
    for axis, size in zip(axes, sizes, strict=True):
        more = size - x.shape[axis]
        front = more // 2 if more >= 0 else -(-more // 2)
        around[axis] = front, more - front
    return torch.nn.functional.pad(x, around[::-1].reshape(-1).tolist())
