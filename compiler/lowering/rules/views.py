"""Operators that read the same elements under another shape or order of axes."""

from collections.abc import Sequence
from typing import Any

import torch
from tvm import te

from ...ir.tensor_spec import TensorSpec
from ..registry import lowers
from .indices import Index, broadcast_place, compute, reshape_index, shape_of, wrap_axis

aten = torch.ops.aten


@lowers(
    aten.view.default,
    aten.reshape.default,
    aten._unsafe_view.default,
    aten.view_as.default,
    aten.reshape_as.default,
    aten.flatten.using_ints,
    aten.unflatten.int,
    aten.ravel.default,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.unsqueeze.default,
    aten.atleast_1d.default,
    aten.alias.default,
    aten.detach.default,
)
def reshape(x: te.Tensor, *_: Any, out: TensorSpec) -> te.Tensor:
    """The elements of x in the same order; the sizes are those torch found."""
    source = shape_of(x)
    return compute(out.shape, lambda index: x(*reshape_index(index, out.shape, source)), "reshape")


@lowers(aten.permute.default)
def permute(x: te.Tensor, axes: Sequence[int]) -> te.Tensor:
    """y[i0, i1, ...] = x[...] with axis axes[k] of x at place k."""
    sizes = shape_of(x)
    order = [wrap_axis(axis, len(sizes)) for axis in axes]

    def element(index: list[Index]) -> Any:
        return x(*(index[order.index(axis)] for axis in range(len(order))))

    return compute([sizes[axis] for axis in order], element, "permute")


@lowers(aten.transpose.int, aten.swapaxes.default, aten.swapdims.default)
def transpose(x: te.Tensor, first: int, second: int) -> te.Tensor:
    """The two axes exchanged."""
    order = list(range(len(x.shape)))
    if not order:
        return permute(x, order)
    order[first], order[second] = order[second], order[first]
    return permute(x, order)


@lowers(aten.t.default)
def matrix_transpose(x: te.Tensor) -> te.Tensor:
    """The transpose of a matrix; vectors and scalars stay as they are."""
    return permute(x, list(reversed(range(len(x.shape)))))


@lowers(aten.mT.default, aten.mH.default, aten.adjoint.default)
def batch_transpose(x: te.Tensor) -> te.Tensor:
    """The last two axes exchanged."""
    return transpose(x, -2, -1)


@lowers(aten.numpy_T.default, aten.matrix_H.default)
def reverse_axes(x: te.Tensor) -> te.Tensor:
    """All axes in reverse order."""
    return permute(x, list(reversed(range(len(x.shape)))))


@lowers(aten.movedim.int, aten.movedim.intlist, aten.moveaxis.int, aten.moveaxis.intlist)
def movedim(x: te.Tensor, source: int | list[int], destination: int | list[int]) -> te.Tensor:
    """The axes `source` moved to the places `destination`, the others in their order."""
    rank = len(x.shape)
    sources = [source] if isinstance(source, int) else source
    targets = [destination] if isinstance(destination, int) else destination
    pairs = zip(sources, targets, strict=True)
    moved = {wrap_axis(to, rank): wrap_axis(axis, rank) for axis, to in pairs}
    rest = iter([axis for axis in range(rank) if axis not in moved.values()])
    return permute(x, [moved[place] if place in moved else next(rest) for place in range(rank)])


@lowers(aten.expand.default, aten.expand_as.default, aten.broadcast_to.default)
def expand(x: te.Tensor, *_: Any, out: TensorSpec, implicit: bool = False) -> te.Tensor:
    """Axes of size 1 repeated, new axes in front."""
    sizes = shape_of(x)
    return compute(out.shape, lambda index: x(*broadcast_place(index, sizes)), "expand")
