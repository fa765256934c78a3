"""What only moves elements: other shapes, orders, parts of a tensor."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from ..emitter import Emitter, Number, Value
from ..registry import emits

_ATEN = torch.ops.aten
_END = 2**63 - 1


@emits(
    _ATEN.reshape,
    _ATEN.view.default,
    _ATEN._unsafe_view,
    _ATEN.flatten.using_ints,
    _ATEN.unflatten.int,
    _ATEN.squeeze,
    _ATEN.unsqueeze,
    _ATEN.view_copy.default,
    _ATEN._reshape_copy,
)
def reshape(emit: Emitter, x: Value, *_: object) -> Value:
    """The shape of the result is known."""
    return emit.reshape(x, emit.shape)


@emits(_ATEN.permute)
def permute(emit: Emitter, x: Value, dims: Sequence[int]) -> Value:
    return emit.transpose(x, [axis % len(x.shape) for axis in dims])


@emits(_ATEN.transpose.int)
def transpose(emit: Emitter, x: Value, first: int, second: int) -> Value:
    order = list(range(len(x.shape)))
    order[first], order[second] = order[second], order[first]
    return emit.transpose(x, order)


@emits(_ATEN.t)
def matrix_transpose(emit: Emitter, x: Value) -> Value:
    return emit.transpose(x, list(range(len(x.shape)))[::-1])


@emits(_ATEN.expand)
def expand(emit: Emitter, x: Value, sizes: Sequence[int], *_: object) -> Value:
    return expanded(emit, x, emit.shape)


def expanded(emit: Emitter, x: Value, shape: Sequence[int]) -> Value:
    """x broadcast to a shape."""
    if x.shape == tuple(shape):
        return x
    return emit("Expand", x, emit.ints(shape))


@emits(_ATEN.repeat)
def repeat(emit: Emitter, x: Value, counts: Sequence[int]) -> Value:
    shape = (*[1] * (len(counts) - len(x.shape)), *x.shape)
    return emit("Tile", emit.reshape(x, shape), emit.ints(counts))


@emits(_ATEN.slice.Tensor)
def sliced(
    emit: Emitter, x: Value, dim: int, start: int | None, end: int | None, step: int
) -> Value:
    return part(emit, x, dim, start or 0, _END if end is None else end, step)


def part(emit: Emitter, x: Value, dim: int, start: int, end: int, step: int = 1) -> Value:
    """The elements start, start + step, ... before end of an axis."""
    numbers = [emit.ints([number]) for number in (start, end, dim, step)]
    return emit("Slice", x, *numbers)


@emits(_ATEN.select.int)
def select(emit: Emitter, x: Value, dim: int, index: int) -> Value:
    place = emit.scalar(index % x.shape[dim], torch.int64)
    return emit("Gather", x, place, axis=dim)


@emits(_ATEN.flip)
def flip(emit: Emitter, x: Value, dims: Sequence[int]) -> Value:
    count = len(dims)
    if not count:
        return x
    ends = ([-1] * count, [-_END] * count, list(dims), [-1] * count)
    return emit("Slice", x, *(emit.ints(numbers) for numbers in ends))


@emits(_ATEN.roll)
def roll(emit: Emitter, x: Value, shifts: Sequence[int], dims: Sequence[int]) -> Value:
    if not dims:
        flat = emit.reshape(x, (math.prod(x.shape),))
        return emit.reshape(_rolled(emit, flat, flat.shape[0], shifts[0], 0), x.shape)
    for shift, dim in zip(shifts, dims, strict=True):
        x = Value(_rolled(emit, x, x.shape[dim], shift, dim).name, x.spec)
    return x


def _rolled(emit: Emitter, x: Value, size: int, shift: int, dim: int) -> Value:
    if not size or not shift % size:
        return x
    last = part(emit, x, dim, size - shift % size, _END)
    return emit("Concat", last, part(emit, x, dim, 0, size - shift % size), axis=dim)


@emits(_ATEN.split.Tensor, _ATEN.split_with_sizes, _ATEN.chunk, _ATEN.tensor_split.sections)
def split(emit: Emitter, x: Value, _: Any, dim: int = 0) -> list[Value]:
    """The sizes are those of the results."""
    specs = emit.specs if isinstance(emit.specs, tuple) else (emit.specs,)
    sizes = [spec.shape[dim] for spec in specs if spec is not None]
    return emit.several("Split", x, emit.ints(sizes), count=len(sizes), axis=dim)


@emits(_ATEN.unbind.int)
def unbind(emit: Emitter, x: Value, dim: int) -> list[Value]:
    places = range(x.shape[dim])
    return [emit("Gather", x, emit.scalar(i, torch.int64), axis=dim) for i in places]


@emits(_ATEN.constant_pad_nd)
def constant_pad(emit: Emitter, x: Value, padding: Sequence[int], number: Number) -> Value:
    return padded(emit, x, padding, "constant", number)


@emits(_ATEN.pad)
def pad(emit: Emitter, x: Value, padding: Sequence[int], mode: str, number: Number | None) -> Value:
    names = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    if mode == "circular":
        return _wrapped(emit, x, padding)
    return padded(emit, x, padding, names[mode], number or 0)


@emits(_ATEN.reflection_pad1d, _ATEN.reflection_pad2d, _ATEN.reflection_pad3d)
def reflection_pad(emit: Emitter, x: Value, padding: Sequence[int]) -> Value:
    return padded(emit, x, padding, "reflect", 0)


@emits(_ATEN.replication_pad1d, _ATEN.replication_pad2d, _ATEN.replication_pad3d)
def replication_pad(emit: Emitter, x: Value, padding: Sequence[int]) -> Value:
    return padded(emit, x, padding, "edge", 0)


def padded(emit: Emitter, x: Value, padding: Sequence[int], mode: str, number: Number) -> Value:
    """PyTorch names the last axis first, both of its sides; ONNX all fronts, then all ends."""
    rest = len(x.shape) - len(padding) // 2
    fronts = [0] * rest + [*padding[-2::-2]]
    ends = [0] * rest + [*padding[::-1][::2]]
    dtype = x.dtype
    if dtype in (torch.bool, torch.int16):  # what onnxruntime pads
        wide = emit.cast(x, torch.int32)
        return emit.to(padded(emit, wide, padding, mode, number), dtype)
    value = emit.scalar(number, dtype) if mode == "constant" else None
    return emit("Pad", x, emit.ints([*fronts, *ends]), value, mode=mode)


def _wrapped(emit: Emitter, x: Value, padding: Sequence[int]) -> Value:
    for place, (front, end) in enumerate(zip(padding[::2], padding[1::2], strict=True)):
        dim = len(x.shape) - 1 - place
        size = x.shape[dim]
        parts = [part(emit, x, dim, size - front, size)] if front else []
        parts += [x, part(emit, x, dim, 0, end)] if end else [x]
        joined = emit("Concat", *parts, axis=dim)
        shape = [*x.shape]
        shape[dim] += front + end
        assert x.spec is not None
        x = Value(joined.name, type(x.spec)(tuple(shape), x.spec.dtype))
    return x


@emits(_ATEN.pixel_shuffle)
def pixel_shuffle(emit: Emitter, x: Value, factor: int) -> Value:
    *batch, c, h, w = x.shape
    images = emit.reshape(x, (math.prod(batch), c, h, w))
    shuffled = emit("DepthToSpace", images, blocksize=factor, mode="CRD")
    return shuffled if len(batch) == 1 else emit.reshape(shuffled, emit.shape)


@emits(_ATEN.pixel_unshuffle)
def pixel_unshuffle(emit: Emitter, x: Value, factor: int) -> Value:
    *batch, c, h, w = x.shape
    parts = (math.prod(batch), c, h // factor, factor, w // factor, factor)
    moved = emit.transpose(emit.reshape(x, parts), (0, 1, 3, 5, 2, 4))
    return emit.reshape(moved, emit.shape)


@emits(_ATEN.channel_shuffle, _ATEN.native_channel_shuffle)
def channel_shuffle(emit: Emitter, x: Value, groups: int) -> Value:
    n, c, *space = x.shape
    parts = emit.reshape(x, (n, groups, c // groups, *space))
    order = (0, 2, 1, *range(3, len(parts.shape)))
    return emit.reshape(emit.transpose(parts, order), emit.shape)


@emits(_ATEN.tril)
def tril(emit: Emitter, x: Value, diagonal: int) -> Value:
    return _triangle(emit, x, diagonal, upper=0)


@emits(_ATEN.triu)
def triu(emit: Emitter, x: Value, diagonal: int) -> Value:
    return _triangle(emit, x, diagonal, upper=1)


def _triangle(emit: Emitter, x: Value, diagonal: int, upper: int) -> Value:
    emit.needs(14)
    return emit("Trilu", x, emit.scalar(diagonal, torch.int64), upper=upper)
