"""Operators that put tensors side by side."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..registry import lowers
from .indices import Index, compute, shape_of, with_axis, without_axis, wrap_axis

aten = torch.ops.aten


@lowers(aten.cat.default, aten.concat.default, aten.concatenate.default)
def cat(tensors: Sequence[te.Tensor], dim: int = 0, *, out: TensorSpec) -> te.Tensor:
    """y[.., i, ..] = the tensor that holds place i of the axis, read there."""
    axis = wrap_axis(dim, len(out.shape))
    parts = [x for x in tensors if 0 not in shape_of(x)]  # torch lets [0] join any shape
    starts = list(accumulate((shape_of(x)[axis] for x in parts), initial=0))

    def element(index: list[Index]) -> Any:
        def part(k: int) -> Any:
            return parts[k](*with_axis(index, axis, index[axis] - starts[k])).astype(out.dtype)

        return _choose(part, index[axis], starts, 0, len(parts))

    return compute(out.shape, element, "cat")


@lowers(aten.stack.default)
def stack(tensors: Sequence[te.Tensor], dim: int = 0, *, out: TensorSpec) -> te.Tensor:
    """y[.., i, ..] = tensors[i][..]: a new axis."""
    axis = wrap_axis(dim, len(out.shape))

    def element(index: list[Index]) -> Any:
        def part(k: int) -> Any:
            return tensors[k](*without_axis(index, axis)).astype(out.dtype)

        return _choose(part, index[axis], list(range(len(tensors))), 0, len(tensors))

    return compute(out.shape, element, "stack")


@lowers(aten.meshgrid.default, aten.meshgrid.indexing)
def meshgrid(
    tensors: Sequence[te.Tensor], *, indexing: str = "ij", out: tuple[TensorSpec, ...]
) -> tuple[te.Tensor, ...]:
    """y_k[i0, i1, ...] = x_k[i_k]; indexing "xy" exchanges the first two axes."""
    axes = list(range(len(tensors)))
    if indexing == "xy" and len(axes) > 1:
        axes[:2] = [1, 0]
    return tuple(
        _along(x, axis, spec.shape) for x, axis, spec in zip(tensors, axes, out, strict=True)
    )


def _along(x: te.Tensor, axis: int, shape: Sequence[int]) -> te.Tensor:
    scalar = not x.shape
    return compute(shape, lambda index: x() if scalar else x(index[axis]), "meshgrid")


def _choose(part: Any, place: Index, starts: list[int], first: int, last: int) -> Any:
    """The part that `place` falls in, found by bisection so that many parts stay cheap."""
    if last - first == 1:
        return part(first)
    middle = (first + last) // 2
    left = _choose(part, place, starts, first, middle)
    right = _choose(part, place, starts, middle, last)
    return tirx.if_then_else(place < starts[middle], left, right)
