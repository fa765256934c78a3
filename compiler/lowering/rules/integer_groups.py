"""Products of int8 and weights of 4 bits with steps for groups: see targets/cpu/integer_groups.py.

What a core sums in a few instructions, a group, is one element of a product of matrices; its sums
are float32, added one after the other in the order of the groups.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from tvm import te, tirx

from ....targets.cpu.group_tiles import group_tile
from ....targets.cpu.integer_groups import has_groups, sums_pairs
from ....targets.cpu.integer_ops import dot_groups, word
from ....targets.cpu.integer_vectors import BYTES
from ...ir.tensor_spec import TensorSpec
from ...quantization import dynamic as dynamic
from ..builder import Array, KernelBuilder
from ..math.floats import rounded
from ..registry import lowers
from .gemm import broadcast_read, finished, pack_matrix
from .indices import Index, flatten_index, guarded, shape_of, unflatten_index, within
from .integer_words import in_pairs
from .integers import integer
from .pointwise import cast
from .row_reduction import row_reduce

_OFFSET = 8  # what 4-bit integers are stored with
_PACKED = 2 * BYTES  # weights of a packed word
_SPREAD = 4  # lanes of a vector
_Sums = Callable[[Index, Index], Any]


@lowers(torch.ops.penjing.linear_int4_rows.default)
def linear_int4_rows(
    x: te.Tensor,
    step: te.Tensor,
    zero_point: te.Tensor | None,
    weight: te.Tensor,
    scales: te.Tensor,
    sums: te.Tensor,
    bias: te.Tensor,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """(sum_g float32(sum_k x[...,k] * w[n,k]) * scales[n,g] - zero_point * sums) * step + bias."""
    rows = shape_of(x)[:-1]
    by_words = has_groups(kernel.target) and kernel.is_constant(weight)
    sums_of = _word_sums if by_words and kernel.is_constant(scales) else _plain_sums
    total = sums_of(x, weight, scales, kernel)

    def finish(value: Any, at: Sequence[Index]) -> Any:
        row = (*at[:-1], 0)
        if zero_point is not None:
            point = broadcast_read(zero_point, row).astype("float32")
            value = rounded(value - rounded(point * sums(at[-1])))
        return rounded(value * broadcast_read(step, row)) + bias(at[-1])

    return finished(lambda at: total(flatten_index(at[:-1], rows), at[-1]), out, finish)


def _word_sums(x: te.Tensor, weight: te.Tensor, scales: te.Tensor, kernel: KernelBuilder) -> _Sums:
    """The sums by `dot_groups`, of operands packed for it."""
    *batch, depth = shape_of(x)
    (columns, groups), rows = shape_of(scales), math.prod(batch)
    size = depth // groups
    count = -(-size // _PACKED)
    tile = group_tile(kernel.target, rows, columns, groups, count)
    width, pairs = tile.columns, sums_pairs(kernel.target)
    transform = partial(pack_groups, size=size, width=width, pairs=pairs)
    packed = kernel.pack(weight, transform, f"groups{size}_{width}")
    wide = not kernel.target.has_half_conversions
    steps = kernel.pack(scales, partial(_pack_scales, width=width, wide=wide), f"steps{width}")

    def left(m: Index, k: Index) -> Any:
        return x(*unflatten_index(m, batch), k)

    words = _group_words(left, (rows, groups), size, 2 * count, pairs)
    starts = _starts(left, (rows, groups), size, kernel)
    g = te.reduce_axis((0, groups), name="g")

    def element(m: Index, n: Index) -> Any:
        panel, place, lane = n // width, n % width, [n % _SPREAD] if pairs else []
        weights = [packed(panel, g, number, place) for number in range(count)]
        inputs = [words(m, g, number, *lane) for number in range(2 * count)]
        exact = dot_groups(starts(m, g), weights, inputs).astype("float32")
        return te.sum(rounded(exact * cast(steps(panel, g, place), "float32")), axis=g)

    lanes = kernel.target.lanes(32)
    shape = (rows, columns + -columns % lanes)
    notes = {"schedule": "gemm", "panel": width, "group_words": count}
    total = te.compute(shape, element, name="gemm", attrs=notes)
    return lambda m, n: total(m, n)


def _group_words(
    left: _Sums, extents: tuple[int, int], size: int, count: int, pairs: bool
) -> te.Tensor:
    """[row, group, word]: the inputs, zeros at the end of each group that is no whole words.

    With `pairs` they are [row, group, word, 4], as `integer_groups.sums_pairs` has it.
    """

    def element(m: Index, g: Index, number: Index) -> Any:
        def read(index: Index) -> Any:
            inside = within(index, 0, size, BYTES * count)
            value = left(m, g * size + index)
            return guarded(inside if size % _PACKED else [], value, tirx.const(0, "int8"))

        return word(*(read(BYTES * number + place) for place in range(BYTES)))

    shape, notes = (*extents, count), {"schedule": "stored"}
    words = te.compute(shape, element, name="words", attrs=notes)
    if not pairs:
        return words

    def spread(m: Index, g: Index, number: Index, lane: Index) -> Any:
        pair = (words(m, g, number) >> (lane // 2 * 16)) & integer(0xFFFF)
        return pair | (pair << 16)

    return te.compute((*shape, _SPREAD), spread, name="spread", attrs=notes)


def _starts(left: _Sums, extents: tuple[int, int], size: int, kernel: KernelBuilder) -> te.Tensor:
    """[row, group]: what sums begin at, since weights are stored with an offset."""
    parts = te.compute(
        (*extents, size), lambda m, g, i: left(m, g * size + i).astype("int32"), name="parts"
    )
    sums = row_reduce(parts, 1, "sum", kernel)
    return te.compute(extents, lambda m, g: sums(m, g) * integer(-_OFFSET), name="starts")


def pack_groups(weight: Array, *, size: int, width: int, pairs: bool) -> Array:
    """[n, k / 2] of two integers a byte -> [n / width, group, packed word, width] int32."""
    integers = np.stack([weight & 15, weight >> 4], -1).reshape(len(weight), -1, size)
    padded = np.pad(integers, [(0, 0), (0, 0), (0, -size % _PACKED)])
    halves = padded.reshape(*padded.shape[:2], -1, 2, BYTES)
    joined = np.ascontiguousarray(halves[..., 0, :] | halves[..., 1, :] << 4)
    words = joined.view("<i4")[..., 0]  # [n, group, word]
    panels = pack_matrix(words.reshape(len(words), -1), width=width, k_last=True, taps=0)
    panels = in_pairs(panels) if pairs else panels
    return panels.reshape(len(panels), *words.shape[1:], width)


def _pack_scales(scales: Array, *, width: int, wide: bool) -> Array:
    """[n, group] -> [n / width, group, width], as float32 where that takes no conversion."""
    stored = scales.astype(np.float32) if wide else scales
    return pack_matrix(stored, width=width, k_last=True, taps=0)


def _plain_sums(x: te.Tensor, weight: te.Tensor, scales: te.Tensor, kernel: KernelBuilder) -> _Sums:
    """The sums element by element."""
    *batch, depth = shape_of(x)
    columns, groups = shape_of(scales)
    size = depth // groups
    g = te.reduce_axis((0, groups), name="g")

    def element(m: Index, n: Index) -> Any:
        exact = integer(0)
        for place in range(size // 2):
            byte = weight(n, g * (size // 2) + place).astype("int32")
            for half, bits in enumerate((byte & 15, byte >> 4)):
                value = x(*unflatten_index(m, batch), g * size + 2 * place + half)
                exact = exact + (bits - _OFFSET) * value.astype("int32")
        step = cast(scales(n, g), "float32")
        return te.sum(rounded(exact.astype("float32") * step), axis=g)

    total = te.compute((math.prod(batch), columns), element, name="group_products")
    return lambda m, n: total(m, n)
