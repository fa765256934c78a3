"""Transposed convolutions, as one plain convolution for each residue of the output position.

With p = stride * q + r along an axis, only the weights (r + padding) mod stride + stride * i reach
output p, and weight i of them reads input q + (r + padding) div stride - i. So the outputs of one
residue are a dense convolution of stride 1: no zeros are inserted, nothing is tested while summing.
The residues of all axes become part of the channel axis of the accumulation, tagged "conv".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..builder import Array, KernelBuilder
from ..registry import lowers
from .convolution import Total, biased, convolve, pack_panels, panel_of_groups, read_panel
from .gemm import accumulator
from .indices import Index, flatten_index, guarded, shape_of, unflatten_index
from .windows import Images, Sizes, framed, per_axis, split_index

aten = torch.ops.aten


@dataclass(frozen=True)
class Phases:
    """The residues of one axis: `stride` of them, with `taps` weights each."""

    size: int  # weights of the axis
    stride: int
    padding: int
    dilation: int

    @property
    def taps(self) -> int:
        """Weights that one output reads, those that dilation sets to zero included."""
        return -(-(self.dilation * (self.size - 1) + 1) // self.stride)

    def weights(self) -> Array:
        """Which weight each tap [r, tap] of a residue uses; `size` where there is none."""
        r, tap = np.ogrid[: self.stride, : self.taps]
        spread = (r + self.padding) % self.stride + self.stride * (self.taps - 1 - tap)
        exists = (spread % self.dilation == 0) & (spread < self.dilation * self.size)
        return np.where(exists, spread // self.dilation, self.size).astype(np.int32)

    def first(self, r: Index) -> Index:
        """The input that tap 0 of residue r reads for output r, negative ones included."""
        return (r + self.padding) // self.stride - (self.taps - 1)

    def border(self, inputs: int, outputs: int) -> tuple[int, int]:
        """Elements before and behind the input that the taps of some output reach."""
        last = (outputs - 1) // self.stride + self.first(self.stride - 1) + self.taps - 1
        return max(0, -self.first(0)), max(0, last - (inputs - 1))


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
    padded = framed(x, before, after, 0, kernel, batched=batched)
    total = _accumulate(padded, before, w, phases, groups, out, kernel)
    return biased(total, b, out, batched)


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


def _accumulate(
    padded: Images,
    before: Sequence[int],
    w: te.Tensor,
    phases: Sequence[Phases],
    groups: int,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> Total:
    """P[n, q, ((group, residue), channel)], the channels of a group rounded up to panels."""
    own, depth = int(w.shape[1]), int(w.shape[0]) // groups
    strides = [phase.stride for phase in phases]
    residues = math.prod(strides)
    sizes = [-(-size // s) for size, s in zip(out.shape[-len(phases) :], strides, strict=True)]
    rows, weight = _weights(w, phases, groups, kernel)
    dtype = accumulator(out.dtype)
    c = te.reduce_axis((0, depth), name="c")
    axes = [te.reduce_axis((0, phase.taps), name="t") for phase in phases]

    def element(*at: Index) -> Any:
        n, channel, q = split_index(at, True, True)
        part = channel // rows if groups * residues > 1 else 0
        residue = unflatten_index(part % residues, strides)
        where = [
            position + tap + phase.first(r) + b
            for position, tap, phase, r, b in zip(q, axes, phases, residue, before, strict=True)
        ]
        value = padded.at(n, (part // residues) * depth + c, where).astype(dtype)
        return te.sum(value * weight(channel, c, axes).astype(dtype), axis=[c, *axes])

    shape = (padded.batch, *sizes, groups * residues * rows)
    total = te.compute(shape, element, name="conv", attrs={"schedule": "conv"})

    def read(n: Index, o: Index, position: Sequence[Index]) -> Any:
        residue = [p % s for p, s in zip(position, strides, strict=True)]
        group, channel = (o // own, o % own) if groups > 1 else (0, o)
        part = group * residues + flatten_index(residue, strides)
        q = [p // s for p, s in zip(position, strides, strict=True)]
        return total(n, *q, part * rows + channel)

    return read


def _weights(
    w: te.Tensor, phases: Sequence[Phases], groups: int, kernel: KernelBuilder
) -> tuple[int, Total]:
    """Rows of one group and residue, and a reader of weights by row, input channel and tap."""
    channels, own, *_ = shape_of(w)
    residues = [phase.stride for phase in phases]
    if kernel.is_constant(w):
        panel = panel_of_groups(own, groups * math.prod(residues), kernel.panel(own))
        transform = partial(pack_phases, phases=tuple(phases), groups=groups, panel=panel)
        packed = kernel.pack(w, transform, f"phases{panel}")
        return -(-own // panel) * panel, partial(read_panel, packed)

    tables = [kernel.table(phase.weights(), "weights") for phase in phases]

    def element(row: Index, c: Index, *taps: Index) -> Any:
        part, o = row // own, row % own
        residue = unflatten_index(part % math.prod(residues), residues)
        places = [table(r, tap) for table, r, tap in zip(tables, residue, taps, strict=True)]
        exists = [place < phase.size for place, phase in zip(places, phases, strict=True)]
        channel = (part // math.prod(residues)) * (channels // groups) + c
        return guarded(exists, w(channel, o, *places), tirx.const(0, w.dtype))

    shape = (groups * math.prod(residues) * own, channels // groups, *(p.taps for p in phases))
    rows = te.compute(shape, element, name="phases", attrs={"schedule": "pack"})
    return own, lambda o, c, taps: rows(o, c, *taps)


def pack_phases(weight: Array, *, phases: tuple[Phases, ...], groups: int, panel: int) -> Array:
    """[c, o, weights...] -> [(group, residues..., o) / panel, taps..., c, panel], zeros added."""
    channels, own = weight.shape[:2]
    rank = len(phases)
    picked = np.pad(weight, [(0, 0), (0, 0)] + [(0, 1)] * rank)  # index `size` reads a zero
    for axis, phase in enumerate(phases):
        picked = np.take(picked, phase.weights(), axis=2 + 2 * axis)
    grouped = picked.reshape(groups, channels // groups, *picked.shape[1:])
    residues, taps = range(3, 3 + 2 * rank, 2), range(4, 4 + 2 * rank, 2)
    rows = grouped.transpose(0, *residues, 2, 1, *taps)
    flat = rows.reshape(-1, channels // groups, *(phase.taps for phase in phases))
    return pack_panels(flat, own=own, panel=panel)
