"""What convolutions and pooling share: image layouts, borders, windows that slide over axes."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import te, tirx

from ....targets.cpu.flatten import dense_strides
from ...ir.layout import Layout
from ..builder import KernelBuilder
from .indices import Index, guarded, shape_of, within

Sizes = int | Sequence[int]  # an option of all axes, or of each


@dataclass(frozen=True)
class Images:
    """A tensor of images: sizes, and how to read one element, whatever the order of its axes."""

    tensor: te.Tensor
    batched: bool = True
    channels_last: bool = False
    origin: tuple[int, ...] = ()  # where position 0 lies, per spatial axis; default: at 0
    source: te.Tensor | None = None  # the input of the kernel that the tensor is the buffer of

    @property
    def batch(self) -> int:
        """Number of images."""
        return shape_of(self.tensor)[0] if self.batched else 1

    @property
    def channels(self) -> int:
        """Channels of one image."""
        return shape_of(self.tensor)[-1 if self.channels_last else int(self.batched)]

    @property
    def space(self) -> tuple[int, ...]:
        """Sizes of the axes that windows slide over."""
        sizes = shape_of(self.tensor)[int(self.batched) :]
        sizes = sizes[:-1] if self.channels_last else sizes[1:]
        return tuple(map(operator.sub, sizes, self.origin)) if self.origin else sizes

    def at(self, n: Index, c: Index, position: Sequence[Index]) -> Any:
        """The element of image n, channel c at a position."""
        lead = (n,) if self.batched else ()
        if self.origin:
            position = [i + first for i, first in zip(position, self.origin, strict=True)]
        return self.tensor(*lead, *_ordered(c, position, self.channels_last))

    def padded(self, before: Sequence[int], after: Sequence[int], value: float) -> "Images":
        """The images with a border, as a stage of its own; themselves if the border is empty.

        No window then needs a bounds check: the check is paid once per element, not once per tap.
        """
        if not any(before) and not any(after):
            return self
        space = self.space
        sizes = [b + size + a for b, size, a in zip(before, space, after, strict=True)]
        border = tirx.const(value, self.tensor.dtype)

        def element(*at: Index) -> Any:
            n, c, position = split_index(at, True, self.channels_last)
            inside: list[Any] = []
            for i, b, size, whole in zip(position, before, space, sizes, strict=True):
                inside += within(i, b, b + size, whole)
            moved = [i - b for i, b in zip(position, before, strict=True)]
            return guarded(inside, self.at(n, c, moved), border)

        shape = (self.batch, *_ordered(self.channels, sizes, self.channels_last))
        tensor = te.compute(shape, element, name="padded", attrs={"schedule": "pad"})
        return Images(tensor, channels_last=self.channels_last)


def framed(
    x: te.Tensor,
    before: Sequence[int],
    after: Sequence[int],
    fill: float,
    kernel: KernelBuilder,
    *,
    batched: bool = True,
) -> Images:
    """The images of x, channels last, with a border of `fill`; position 0 is its first element.

    x [N,C,...], or [C,...] if not `batched`. This is the buffer of the region's input where that
    was stored so (no copy), else a stage of its own, tagged "pad".
    """
    wanted = Layout(tuple(before), tuple(after), fill)
    layout = kernel.image(x, wanted) if batched else None
    if layout is not None:
        shape = shape_of(x)
        storage = layout.storage(shape)
        tensor = kernel.view(x, storage, dense_strides(storage), 0)
        origin = tuple(map(operator.sub, layout.before, wanted.before))
        return Images(tensor, True, True, origin if any(origin) else (), x)
    images = Images(x, batched)
    sizes = wanted.storage((images.batch, images.channels, *images.space))
    space = images.space

    def element(*at: Index) -> Any:
        n, c, position = split_index(at, True, True)
        inside: list[Any] = []
        for i, b, size, whole in zip(position, before, space, sizes[1:-1], strict=True):
            inside += within(i, b, b + size, whole)
        moved = [i - b for i, b in zip(position, before, strict=True)]
        return guarded(inside, images.at(n, c, moved), tirx.const(fill, x.dtype))

    tensor = te.compute(sizes, element, name="padded", attrs={"schedule": "pad"})
    return Images(tensor, channels_last=True)


@dataclass(frozen=True, kw_only=True)
class Window:
    """How a window of taps slides over the input, one entry per spatial axis."""

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]  # padding in front
    after: tuple[int, ...]  # and behind

    def at(self, position: Sequence[Index], taps: Sequence[Index]) -> list[Index]:
        """Where in the padded input the taps of an output position lie."""
        parts = zip(position, self.stride, taps, self.dilation, strict=True)
        return [p * stride + t * dilation for p, stride, t, dilation in parts]


def split_index(
    at: Sequence[Index], batched: bool = True, channels_last: bool = False
) -> tuple[Index, Index, tuple[Index, ...]]:
    """Image, channel and position of an element of a tensor of images."""
    n, rest = (at[0], at[1:]) if batched else (0, at)
    return (n, rest[-1], tuple(rest[:-1])) if channels_last else (n, rest[0], tuple(rest[1:]))


def per_axis(value: Sizes, rank: int) -> tuple[int, ...]:
    """An option that ATen gives once for all axes or once per axis."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * rank if len(values) == 1 else values


def _ordered(c: Any, position: Sequence[Any], channels_last: bool) -> tuple[Any, ...]:
    return (*position, c) if channels_last else (c, *position)
