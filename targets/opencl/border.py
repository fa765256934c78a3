"""The border around images, written by the launch that computes the images."""

import math
from dataclasses import dataclass, replace
from typing import Any

from tvm import tirx

from ..cpu.stages import collect
from .launches import Nest, top_level

_LANES = 4  # written at once where the channels allow it


@dataclass(frozen=True, kw_only=True)
class Border:
    """What lies around images [N, space..., C] in memory; a pointer is to the first inside.

    Attributes:
        shape: Of what is inside.
        before: Elements in front, per axis of the space.
        after: And behind.
        fill: The value of all of them.
    """

    shape: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    fill: float

    @property
    def storage(self) -> tuple[int, ...]:
        """The shape with the border."""
        n, *space, c = self.shape
        sizes = zip(self.before, space, self.after, strict=True)
        return (n, *(sum(parts) for parts in sizes), c)

    def pixels(self, axis: int) -> int:
        """Of the border of one slice [space from `axis` on]."""
        whole = math.prod(self.storage[1 + axis : -1])
        return whole - math.prod(self.shape[1 + axis : -1])

    def stride(self, axis: int) -> int:
        """Elements from one index of that axis of the space to the next."""
        return math.prod(self.storage[2 + axis :])


def add_border(found: list[Nest], buffer: Any, border: Border) -> None:
    """Let the last launch that writes images write their border too."""
    place, nest = next((i, n) for i, n in reversed([*enumerate(found)]) if _writes(n.body, buffer))
    item, items = _number(nest)
    around = write_border(border, buffer, item, items)
    found[place] = replace(nest, body=tirx.SeqStmt([*top_level(nest.body), around]))


def _writes(body: Any, buffer: Any) -> bool:
    return any(store.buffer.same_as(buffer) for store in collect(body, tirx.BufferStore))


def write_border(border: Border, buffer: Any, item: Any, items: int) -> Any:
    """The part of the border that one work-item writes.

    Args:
        border: What to write.
        buffer: One-dimensional; its pointer is to the first element inside.
        item: The work-item's number.
        items: How many there are.
    """
    channels = border.shape[-1]
    lanes = _LANES if channels % _LANES == 0 else 1
    groups = channels // lanes
    total = border.shape[0] * border.pixels(0) * groups
    turn = tirx.Var("turn", "int32")
    place = item + turn * items
    pixel, channel = tirx.floordiv(place, groups), tirx.floormod(place, groups) * lanes
    image, within = tirx.floordiv(pixel, border.pixels(0)), tirx.floormod(pixel, border.pixels(0))
    first = image * math.prod(border.storage[1:]) + _offset(border, within, 0) + channel
    body = _store(buffer, first, border.fill, lanes)
    if total % items:
        body = tirx.IfThenElse(place < total, body, None)
    return tirx.For(turn, 0, -(-total // items), tirx.ForKind.SERIAL, body)


def _offset(border: Border, pixel: Any, axis: int) -> Any:
    """Elements from the first inside a slice [space from `axis` on] to a pixel of its border."""
    channels, before, size = border.shape[-1], border.before[axis], border.shape[1 + axis]
    inner = math.prod(border.storage[2 + axis : -1])
    edge = (before + border.after[axis]) * inner
    row = tirx.floordiv(pixel, inner)
    row = row - before if not border.after[axis] else _skip(row, before, size) - before
    origin = sum(b * border.stride(axis + 1 + i) for i, b in enumerate(border.before[axis + 1 :]))
    outside = row * border.stride(axis) + tirx.floormod(pixel, inner) * channels - origin
    beside = border.pixels(axis + 1) if axis + 1 < len(border.before) else 0
    if not beside:
        return outside
    rest = pixel - edge
    inside = tirx.floordiv(rest, beside) * border.stride(axis)
    inside = inside + _offset(border, tirx.floormod(rest, beside), axis + 1)
    return tirx.Select(pixel < edge, outside, inside) if edge else inside


def _skip(row: Any, before: int, size: int) -> Any:
    """The row, with what is between the border in front and the one behind left out."""
    return tirx.Select(row < before, row, row + size) if before else row + size


def _store(buffer: Any, first: Any, fill: float, lanes: int) -> Any:
    dtype = str(buffer.ty.dtype)
    narrow = dtype in ("float16", "bfloat16")
    value: Any = tirx.const(fill, "float32" if narrow else dtype)
    if lanes > 1:
        value, first = tirx.Broadcast(value, lanes), tirx.Ramp(first, 1, lanes)
    if narrow:
        value = tirx.Cast(dtype if lanes == 1 else f"{dtype}x{lanes}", value)
    return tirx.BufferStore(buffer, value, [first])


def _number(nest: Nest) -> tuple[Any, int]:
    """The number of a work-item among all, and how many there are; dimension 0 is the fastest."""
    number: Any = tirx.const(0, "int32")
    count = 1
    for item in nest.items:
        number, count = number + item.var * count, count * item.extent
    return number, count
