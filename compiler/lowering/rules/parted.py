"""Convolutions whose output channels come in parts that read the input each in its own way.

The groups of a grouped convolution are such parts, and so are the residues of the output position
of a transposed one. The accumulation has an axis for each kind of part, so that the left operand
of a product does not depend on the output channel: P[n, position..., part..., o], tagged "parted".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import te

from ....targets.cpu.conv_parts import parts_panel
from ....targets.cpu.flatten import dense_strides
from ..builder import KernelBuilder
from .indices import Index, shape_of
from .windows import Images

# By parts (those of which there are several), output channel inside of the part, input channel
# inside of the group, and taps.
Weight = Callable[[Sequence[Index], Index, Index, Sequence[Index]], Any]
Sums = Callable[[Index, Sequence[Index], Sequence[Index], Index], Any]  # n, position, parts, o


@dataclass(frozen=True, kw_only=True)
class Slide:
    """One spatial axis: output q, tap t and residue r read input q * stride + t * dilation + ...

    ... + r * slope + first, in the images with their border.
    """

    outputs: int
    taps: int
    stride: int = 1
    dilation: int = 1
    residues: int = 1
    slope: int = 0
    first: int = 0
    short: tuple[int, ...] = ()  # residues whose weights of tap 0 are all zero


def several(groups: int, slides: Sequence[Slide]) -> list[int]:
    """The sizes of the axes for parts: those of the groups and residues of which there are more."""
    return [size for size in (groups, *(slide.residues for slide in slides)) if size > 1]


def parts_sum(
    images: Images,
    slides: Sequence[Slide],
    groups: int,
    own: int,
    weight: Weight,
    dtype: str,
    kernel: KernelBuilder,
) -> Sums:
    """P[n, q..., part..., o] = sum_tc x[n, g * C + c, ...] * weight(part, o, c, t).

    Args:
        images: The input, channels last, with its border.
        slides: How each spatial axis is read.
        groups: Of input channels.
        own: Output channels of one part; weights are zero from there to a whole panel.
        weight: Reads one weight.
        dtype: Of the sums.
        kernel: The kernel that is built.
    """
    depth = images.channels // groups
    c = te.reduce_axis((0, depth), name="c")
    taps = [te.reduce_axis((0, slide.taps), name="t") for slide in slides]
    read = _reader(images, slides, groups, kernel)
    parts = several(groups, slides)

    def element(n: Index, *at: Index) -> Any:
        q, part, o = at[: len(slides)], at[len(slides) : -1], at[-1]
        value = read(n, q, taps, part, c).astype(dtype)
        return te.sum(value * weight(part, o, c, taps).astype(dtype), axis=[*taps, c])

    panel = parts_panel(kernel.target, own)
    sizes = [slide.outputs for slide in slides]
    residues = [slide.residues for slide in slides]
    notes = {"schedule": "parted", "residues": residues, "groups": groups, "own": own}
    notes["short"] = [list(slide.short) for slide in slides]
    shape = (images.batch, *sizes, *parts, own + -own % panel)
    total = te.compute(shape, element, name="parted", attrs=notes)
    return lambda n, q, part, o: total(n, *q, *part, o)


def _reader(
    images: Images, slides: Sequence[Slide], groups: int, kernel: KernelBuilder
) -> Callable[[Index, Sequence[Index], Sequence[Index], Sequence[Index], Index], Any]:
    """How to read the input by image, output position, taps, parts and channel of the group."""
    depth = images.channels // groups
    many = [slide.residues > 1 for slide in slides]

    def residues(part: Sequence[Index]) -> list[Index]:
        rest = iter(part[int(groups > 1) :])
        return [next(rest) if several else 0 for several in many]

    if images.source is None:

        def at(n: Index, q: Sequence[Index], t: Sequence[Index], part: Any, c: Index) -> Any:
            axes = zip(slides, q, t, residues(part), strict=True)
            position = [
                slide.first + i * slide.stride + tap * slide.dilation + r * slide.slope
                for slide, i, tap, r in axes
            ]
            return images.at(n, part[0] * depth + c if groups > 1 else c, position)

        return at
    image, *steps, _ = dense_strides(shape_of(images.tensor))
    shape, strides = [images.batch], [image]
    for slide, step in zip(slides, steps, strict=True):
        shape += [slide.outputs, slide.taps]
        strides += [step * slide.stride, step * slide.dilation]
    if groups > 1:
        shape, strides = [*shape, groups], [*strides, depth]
    for slide, step in zip(slides, steps, strict=True):
        if slide.residues > 1:
            shape, strides = [*shape, slide.residues], [*strides, step * slide.slope]
    origin = images.origin or (0,) * len(slides)
    firsts = [i + slide.first for i, slide in zip(origin, slides, strict=True)]
    offset = sum(first * step for first, step in zip(firsts, steps, strict=True))
    view = kernel.view(images.source, (*shape, depth), (*strides, 1), offset)

    def through(n: Index, q: Sequence[Index], t: Sequence[Index], part: Any, c: Index) -> Any:
        pairs = [index for pair in zip(q, t, strict=True) for index in pair]
        return view(n, *pairs, *part, c)

    return through
