"""Operators that move or repeat elements along axes: flips, rolls, tiles, shuffles."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from tvm import te, tirx

from ...errors import CompileError
from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..registry import lowers
from .indices import Index, compute, reshape_index, shape_of, with_axis, wrap_axis
from .views import permute, transpose

aten = torch.ops.aten


@lowers(aten.flip.default)
def flip(x: te.Tensor, dims: Sequence[int]) -> te.Tensor:
    """y[.., i, ..] = x[.., size - 1 - i, ..] along every axis of dims."""
    sizes = shape_of(x)
    axes = {wrap_axis(dim, len(sizes)) for dim in dims}

    def element(index: list[Index]) -> Any:
        return x(*(sizes[a] - 1 - i if a in axes else i for a, i in enumerate(index)))

    return compute(sizes, element, "flip")


@lowers(aten.fliplr.default)
def flip_columns(x: te.Tensor) -> te.Tensor:
    """The second axis reversed."""
    return flip(x, [1])


@lowers(aten.flipud.default)
def flip_rows(x: te.Tensor) -> te.Tensor:
    """The first axis reversed."""
    return flip(x, [0])


@lowers(aten.rot90.default)
def rotate(x: te.Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> te.Tensor:
    """Quarter turns, k of them, in the plane of two axes, from the first towards the second."""
    first, second = dims
    turns = k % 4
    if turns == 0:
        return permute(x, range(len(x.shape)))
    if turns == 2:
        return flip(x, dims)
    return transpose(flip(x, [second if turns == 1 else first]), first, second)


@lowers(aten.roll.default)
def roll(x: te.Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] = ()) -> te.Tensor:
    """y[.., i, ..] = x[.., (i - shift) mod size, ..]; without dims the flat elements roll."""
    sizes = shape_of(x)
    moves = [shifts] if isinstance(shifts, int) else list(shifts)
    axes = [dims] if isinstance(dims, int) else list(dims)
    if not axes:
        return _roll_flat(x, moves[0])
    total = [0] * len(sizes)
    for move, dim in zip(moves, axes, strict=True):
        total[wrap_axis(dim, len(sizes))] += move

    def element(index: list[Index]) -> Any:
        return x(*map(_rolled, index, total, sizes))

    return compute(sizes, element, "roll")


@lowers(aten.repeat.default, aten.tile.default)
def repeat(x: te.Tensor, _repeats: Sequence[int], *, out: TensorSpec) -> te.Tensor:
    """y[i] = x[i mod size]; new axes in front."""
    sizes = shape_of(x)
    added = len(out.shape) - len(sizes)

    def element(index: list[Index]) -> Any:
        return x(*(i % size for i, size in zip(index[added:], sizes, strict=True)))

    return compute(out.shape, element, "repeat")


@lowers(aten.repeat_interleave.self_int)
def repeat_elements(
    x: te.Tensor,
    repeats: int,
    dim: int | None = None,
    *,
    output_size: int | None = None,
    out: TensorSpec,
) -> te.Tensor:
    """y[.., i, ..] = x[.., i // repeats, ..]; without dim, of the flat elements."""
    sizes = shape_of(x)
    if dim is None:
        return compute(
            out.shape,
            lambda at: x(*reshape_index([at[0] // repeats], [prod(sizes)], sizes)),
            "repeat",
        )
    axis = wrap_axis(dim, len(sizes))
    if not sizes:
        return compute(out.shape, lambda _: x(), "repeat")
    return compute(out.shape, lambda at: x(*with_axis(at, axis, at[axis] // repeats)), "repeat")


@lowers(aten.repeat_interleave.self_Tensor)
def repeat_each_element(
    x: te.Tensor,
    repeats: te.Tensor,
    dim: int | None = None,
    *,
    output_size: int | None = None,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """Each place of an axis as often as `repeats`, a weight, says."""
    counts = kernel.constant(repeats)
    if counts is None:
        raise CompileError(
            "repeat_interleave by a tensor computed at run time has no static shape",
            fix="give the repeats as a number or as a buffer of the model",
        )
    sizes = shape_of(x)
    flat = dim is None
    axis = 0 if dim is None else wrap_axis(dim, len(sizes))
    size = prod(sizes) if flat else sizes[axis]
    source = np.repeat(np.arange(size, dtype=np.int32), np.broadcast_to(counts, size))
    table = kernel.table(source, "repeat_source")

    def element(index: list[Index]) -> Any:
        place = table(index[axis])
        return x(
            *(reshape_index([place], [size], sizes) if flat else with_axis(index, axis, place))
        )

    return compute(out.shape, element, "repeat")


@lowers(aten.pixel_shuffle.default)
def pixel_shuffle(x: te.Tensor, upscale_factor: int, *, out: TensorSpec) -> te.Tensor:
    """y[.., c, h, w] = x[.., (c * r + h mod r) * r + w mod r, h // r, w // r]."""
    r = upscale_factor

    def element(index: list[Index]) -> Any:
        *batch, c, h, w = index
        return x(*batch, (c * r + h % r) * r + w % r, h // r, w // r)

    return compute(out.shape, element, "pixel_shuffle")


@lowers(aten.pixel_unshuffle.default)
def pixel_unshuffle(x: te.Tensor, downscale_factor: int, *, out: TensorSpec) -> te.Tensor:
    """y[.., c, h, w] = x[.., c // r², h * r + c // r mod r, w * r + c mod r]."""
    r = downscale_factor

    def element(index: list[Index]) -> Any:
        *batch, c, h, w = index
        return x(*batch, c // (r * r), h * r + c // r % r, w * r + c % r)

    return compute(out.shape, element, "pixel_unshuffle")


@lowers(aten.channel_shuffle.default, aten.native_channel_shuffle.default)
def channel_shuffle(x: te.Tensor, groups: int) -> te.Tensor:
    """y[n, c, ..] = x[n, c mod groups * (channels / groups) + c // groups, ..]."""
    sizes = shape_of(x)
    each = sizes[1] // groups

    def element(index: list[Index]) -> Any:
        c = index[1]
        return x(*with_axis(index, 1, c % groups * each + c // groups))

    return compute(sizes, element, "channel_shuffle")


def _roll_flat(x: te.Tensor, shift: int) -> te.Tensor:
    sizes = shape_of(x)
    size = prod(sizes)

    def element(index: list[Index]) -> Any:
        (flat,) = reshape_index(index, sizes, [size])
        return x(*reshape_index([_rolled(flat, shift, size)], [size], sizes))

    return compute(sizes, element, "roll")


def _rolled(place: Index, shift: int, size: int) -> Index:
    """(place - shift) mod size, without the division.

    tvm's FlattenBuffer takes `(i // 7 + 2) % 5, (i % 7 + 4) % 7` for neighboring digits of
    `i + 14`, so an offset inside a remainder must not reach an index.
    """
    offset = shift % max(size, 1)
    return tirx.Select(place < offset, place + (size - offset), place - offset) if offset else place
