"""Grouped convolutions: each group of output channels sees its own group of input channels."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from tvm import te

from ....targets.cpu.conv_parts import parts_panel
from ..builder import Array, KernelBuilder
from .indices import Index, shape_of
from .parted import Slide, Weight, parts_sum
from .windows import Images, Window


def grouped(
    images: Images,
    w: te.Tensor,
    window: Window,
    groups: int,
    sizes: Sequence[int],
    dtype: str,
    kernel: KernelBuilder,
) -> Any:
    """y[n,o,p] = sum_ct x[n, g(o) * C + c, p * stride + t * dilation] * w[o,c,t], as a reader.

    images [N, padded space..., groups * C]; w [O, C, taps...]; g(o) is the group of channel o.
    """
    rows, _, *taps = shape_of(w)
    own = rows // groups
    slides = [
        Slide(outputs=size, taps=t, stride=stride, dilation=dilation)
        for size, t, stride, dilation in zip(
            sizes, taps, window.stride, window.dilation, strict=True
        )
    ]
    total = parts_sum(images, slides, groups, own, _weights(w, groups, kernel), dtype, kernel)
    return lambda n, o, position: total(n, position, [o // own], o % own)


def _weights(w: te.Tensor, groups: int, kernel: KernelBuilder) -> Weight:
    """A reader of weights [o, c, taps...]; constant ones are packed."""
    own = int(w.shape[0]) // groups
    if not kernel.is_constant(w):
        return lambda part, o, c, taps: w(part[0] * own + o, c, *taps)
    panel = parts_panel(kernel.target, own)
    packed = kernel.pack(w, partial(pack_groups, groups=groups, panel=panel), f"groups{panel}")
    return partial(read_part, packed)


def pack_groups(weight: Array, *, groups: int, panel: int) -> Array:
    """[groups * own, c, taps...] -> [groups, own / panel, taps..., c, panel], zeros added."""
    grouped = weight.reshape(groups, -1, *weight.shape[1:])
    return pack_parts(grouped, panel)


def pack_parts(weight: Array, panel: int) -> Array:
    """[parts, own, c, taps...] -> [parts, own / panel, taps..., c, panel], zeros added."""
    padding = [(0, 0), (0, -weight.shape[1] % panel)] + [(0, 0)] * (weight.ndim - 2)
    padded = np.pad(weight, padding)
    panels = padded.reshape(len(weight), -1, panel, *weight.shape[2:])
    return np.moveaxis(panels, (2, 3), (-1, -2))


def read_part(
    packed: te.Tensor, part: Sequence[Index], o: Index, c: Index, taps: Sequence[Index]
) -> Any:
    """One weight of a tensor packed in panels, parts outside."""
    panel = int(packed.shape[-1])
    return packed(*part, o // panel, *taps, c, o % panel)
