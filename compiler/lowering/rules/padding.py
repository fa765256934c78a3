"""Padding: constant, mirrored, repeated or wrapped edges. Negative pads crop."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from tvm import te, tirx

from ...errors import CompileError
from ...ir.tensor_spec import TensorSpec
from ..registry import lowers
from .indices import Index, compute, guarded, shape_of, within

aten = torch.ops.aten

EdgeRule = Callable[
    [Index, int], Index
]  # place outside or inside an axis, its size -> place inside


@lowers(aten.constant_pad_nd.default)
def constant_pad(
    x: te.Tensor, pad: Sequence[int], value: float = 0, *, out: TensorSpec
) -> te.Tensor:
    """y[i] = x[i - before] where that exists, else value.

    `pad` lists (before, after) pairs from the last axis on, here and in the other rules.
    """
    sizes = shape_of(x)
    before = _before(pad, len(sizes))
    fill = tirx.const(value, out.dtype)

    def element(index: list[Index]) -> Any:
        inside = [
            condition
            for i, shift, size, total in zip(index, before, sizes, out.shape, strict=True)
            for condition in within(i, shift, shift + size, total)
        ]
        return guarded(inside, x(*(i - s for i, s in zip(index, before, strict=True))), fill)

    return compute(out.shape, element, "pad")


@lowers(aten.reflection_pad1d.default, aten.reflection_pad2d.default, aten.reflection_pad3d.default)
def reflection_pad(x: te.Tensor, padding: Sequence[int], *, out: TensorSpec) -> te.Tensor:
    """The elements beyond an edge mirror those inside; the edge itself is not repeated."""
    return _pad_edges(x, padding, out, _reflect)


@lowers(
    aten.replication_pad1d.default, aten.replication_pad2d.default, aten.replication_pad3d.default
)
def replication_pad(x: te.Tensor, padding: Sequence[int], *, out: TensorSpec) -> te.Tensor:
    """The elements beyond an edge repeat it."""
    return _pad_edges(x, padding, out, _clamp)


@lowers(aten._pad_circular.default)
def circular_pad(x: te.Tensor, pad: Sequence[int], *, out: TensorSpec) -> te.Tensor:
    """The elements beyond an edge continue at the opposite one, after negative pads cropped it."""
    cropped = constant_pad(x, [min(p, 0) for p in pad], out=_cropped(x, pad))
    return _pad_edges(cropped, [max(p, 0) for p in pad], out, _wrap)


@lowers(aten.pad.default)
def pad_by_mode(
    x: te.Tensor,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
    *,
    out: TensorSpec,
) -> te.Tensor:
    """One of the paddings above, by name."""
    if mode == "constant":
        return constant_pad(x, pad, value or 0, out=out)
    if mode not in _MODES:
        raise CompileError(
            f"unknown padding mode {mode!r}", fix=f"use constant, {', '.join(_MODES)}"
        )
    return _MODES[mode](x, pad, out=out)


def _pad_edges(x: te.Tensor, padding: Sequence[int], out: TensorSpec, edge: EdgeRule) -> te.Tensor:
    sizes = shape_of(x)
    before = _before(padding, len(sizes))

    def element(index: list[Index]) -> Any:
        places = []
        for i, shift, size, total in zip(index, before, sizes, out.shape, strict=True):
            outside = shift > 0 or total - shift > size
            places.append(edge(i - shift, size) if outside else i - shift)
        return x(*places)

    return compute(out.shape, element, "pad")


def _before(pad: Sequence[int], rank: int) -> list[int]:
    """Elements in front of each axis; `pad` lists (before, after) pairs from the last axis on."""
    padded = list(reversed(pad[::2]))
    return [0] * (rank - len(padded)) + padded


def _reflect(place: Index, size: int) -> Index:
    mirrored = tirx.Select(place < 0, -place, place)
    return tirx.Select(mirrored >= size, 2 * (size - 1) - mirrored, mirrored)


def _clamp(place: Index, size: int) -> Index:
    return tirx.max(tirx.min(place, size - 1), 0)


def _wrap(place: Index, size: int) -> Index:
    wrapped = tirx.Select(place < 0, place + size, place)
    return tirx.Select(wrapped >= size, wrapped - size, wrapped)


def _cropped(x: te.Tensor, pad: Sequence[int]) -> TensorSpec:
    sizes = list(shape_of(x))
    for k, amount in enumerate(pad):
        sizes[-1 - k // 2] += min(amount, 0)
    return TensorSpec(tuple(sizes), str(x.dtype))


_MODES = {"reflect": reflection_pad, "replicate": replication_pad, "circular": circular_pad}
