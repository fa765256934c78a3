"""Transposed convolutions, as one plain convolution for each residue of the output position.

With p = stride * q + r along an axis, only the weights (r + padding) mod stride + stride * i reach
output p, and weight i of them reads input q + (r + padding) div stride - i. So the outputs of one
residue are a dense convolution of stride 1: no zeros are inserted, nothing is tested while summing.
The residues of all axes are parts of the output channels of one accumulation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from tvm import te, tirx

from ....targets.cpu.conv_parts import parts_panel
from ...ir.tensor_spec import TensorSpec
from ..builder import Array, KernelBuilder
from ..registry import lowers
from .convolution import biased, convolve
from .gemm import accumulator
from .grouped import pack_parts, read_part
from .indices import Index, guarded, shape_of
from .parted import Slide, Weight, parts_sum
from .windows import Sizes, framed, per_axis

aten = torch.ops.aten


@dataclass(frozen=True)
class Phases:
    """The residues of one axis: `stride` of them, with `taps` weights each.

    Position p is residue (p + shift) mod stride of place (p + shift) div stride.
    """

    size: int  # weights of the axis
    stride: int
    padding: int
    dilation: int

    @property
    def taps(self) -> int:
        """Weights that one output reads, those that dilation sets to zero included."""
        return -(-(self.dilation * (self.size - 1) + 1) // self.stride)

    @property
    def shift(self) -> int:
        """What makes the first input a residue reads grow evenly from one residue to the next."""
        return self.padding % self.stride if self.stride > 2 else 0

    @property
    def slope(self) -> int:
        """How much further the next residue reads."""
        return self._first(self.stride - 1) - self._first(0)

    def weights(self) -> Array:
        """Which weight each tap [r, tap] of a residue uses; `size` where there is none."""
        r, tap = np.ogrid[: self.stride, : self.taps]
        phase = (r + self.padding - self.shift) % self.stride
        spread = phase + self.stride * (self.taps - 1 - tap)
        exists = (spread % self.dilation == 0) & (spread < self.dilation * self.size)
        return np.where(exists, spread // self.dilation, self.size).astype(np.int32)

    def places(self, outputs: int) -> int:
        """Places over which so many outputs are spread."""
        return (outputs + self.shift - 1) // self.stride + 1

    def border(self, inputs: int, outputs: int) -> tuple[int, int]:
        """Elements before and behind the input that the taps of some output reach."""
        last = self.places(outputs) - 1 + self._first(self.stride - 1) + self.taps - 1
        return max(0, -self._first(0)), max(0, last - (inputs - 1))

    def slide(self, outputs: int) -> Slide:
        """How the outputs read the input inside its border."""
        return Slide(
            outputs=self.places(outputs),
            taps=self.taps,
            residues=self.stride,
            slope=self.slope,
            first=max(0, self._first(0)),
            short=tuple(np.flatnonzero(self.weights()[:, 0] == self.size).tolist()),
        )

    def _first(self, r: int) -> int:
        """The input that tap 0 of residue r reads for place 0, negative ones included."""
        return (r + self.padding - self.shift) // self.stride - (self.taps - 1)


@lowers(aten.conv_transpose1d.default, aten.conv_transpose2d.input, aten.conv_transpose3d.input)
def convolve_transposed(
    x: te.Tensor,
    w: te.Tensor,
    b: te.Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """y[n,o,p] = sum of x[n,c,i] * w[c,o,t] over p = i * stride + t * dilation - padding, + b[o].

    x [N,C,...] or [C,...]; w [C, O / groups, ...].
    """
    _, _, *taps = shape_of(w)
    options = (per_axis(option, len(taps)) for option in (stride, padding, dilation))
    phases = [Phases(*entry) for entry in zip(taps, *options, strict=True)]
    batched = len(x.shape) == len(w.shape)
    sizes = out.shape[-len(taps) :]
    inputs = shape_of(x)[-len(taps) :]
    borders = [p.border(i, o) for p, i, o in zip(phases, inputs, sizes, strict=True)]
    before, after = zip(*borders, strict=True)
    images = framed(x, before, after, 0, kernel, batched=batched)
    slides = [phase.slide(size) for phase, size in zip(phases, sizes, strict=True)]
    own, weight = int(w.shape[1]), _weights(w, phases, groups, kernel)
    total = parts_sum(images, slides, groups, own, weight, accumulator(out.dtype), kernel)

    def read(n: Index, o: Index, position: Sequence[Index]) -> Any:
        shifted = [p + phase.shift for p, phase in zip(position, phases, strict=True)]
        pairs = list(zip(shifted, phases, strict=True))
        residues = [p % phase.stride for p, phase in pairs if phase.stride > 1]
        group, channel = ([o // own], o % own) if groups > 1 else ([], o)
        return total(n, [p // phase.stride for p, phase in pairs], [*group, *residues], channel)

    return biased(read, b, out, batched)


@lowers(aten.convolution.default)
def convolution(
    x: te.Tensor,
    w: te.Tensor,
    b: te.Tensor | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """The convolution or transposed convolution with all options given."""
    if transposed:
        options = stride, padding, output_padding, groups, dilation
        return convolve_transposed(x, w, b, *options, out=out, kernel=kernel)
    return convolve(x, w, b, stride, padding, dilation, groups, out=out, kernel=kernel)


def _weights(w: te.Tensor, phases: Sequence[Phases], groups: int, kernel: KernelBuilder) -> Weight:
    """A reader of weights [c, o, taps...] by group and residues, where there are several."""
    channels, own, *_ = shape_of(w)
    depth = channels // groups
    if kernel.is_constant(w):
        panel = parts_panel(kernel.target, own)
        transform = partial(pack_phases, phases=tuple(phases), groups=groups, panel=panel)
        return partial(read_part, kernel.pack(w, transform, f"phases{panel}"))
    tables = [kernel.table(phase.weights(), "weights") for phase in phases]
    parts = [size for size in (groups, *(phase.stride for phase in phases)) if size > 1]

    def element(*at: Index) -> Any:
        part, (o, c, *taps) = list(at[: len(parts)]), at[len(parts) :]
        group = part.pop(0) if groups > 1 else 0
        residues = [part.pop(0) if phase.stride > 1 else 0 for phase in phases]
        places = [table(r, tap) for table, r, tap in zip(tables, residues, taps, strict=True)]
        exists = [place < phase.size for place, phase in zip(places, phases, strict=True)]
        value = w(group * depth + c, o, *places)
        return guarded(exists, value, tirx.const(0, w.dtype))

    shape = (*parts, own, depth, *(phase.taps for phase in phases))
    rows = te.compute(shape, element, name="phases", attrs={"schedule": "pack"})
    return lambda part, o, c, taps: rows(*part, o, c, *taps)


def pack_phases(weight: Array, *, phases: tuple[Phases, ...], groups: int, panel: int) -> Array:
    """[c, o, weights...] -> [group, residues..., o / panel, taps..., c, panel], zeros added.

    Axes of groups and residues only where there are several.
    """
    channels, rank = weight.shape[0], len(phases)
    picked = np.pad(weight, [(0, 0), (0, 0)] + [(0, 1)] * rank)  # index `size` reads a zero
    for axis, phase in enumerate(phases):
        picked = np.take(picked, phase.weights(), axis=2 + 2 * axis)
    grouped = picked.reshape(groups, channels // groups, *picked.shape[1:])
    residues, taps = range(3, 3 + 2 * rank, 2), range(4, 4 + 2 * rank, 2)
    rows = grouped.transpose(0, *residues, 2, 1, *taps)
    packed = pack_parts(rows.reshape(-1, *rows.shape[1 + rank :]), panel)
    parts = [size for size in rows.shape[: 1 + rank] if size > 1]
    return packed.reshape(*parts, *packed.shape[1:])
