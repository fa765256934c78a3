"""Normal forms of what moves elements: reshape, permute, expand, slice, select and cat suffice.

Strides do not exist in a `Program`, so every change of view is a `reshape`, copies vanish, and
what splits a tensor becomes slices of it.
"""

import math

import torch
from torch.fx import Node

from ...ir.program import node_spec
from .emitter import Emitter
from .registry import normalizes

_ATEN = torch.ops.aten


def shape_of(node: Node) -> tuple[int, ...]:
    """The shape of a node's value."""
    return node_spec(node).shape


def reshaped(emit: Emitter, x: Node, shape: tuple[int, ...]) -> Node:
    """`x` seen with another shape; the node itself where the shape is the same."""
    return x if shape_of(x) == shape else emit(_ATEN.reshape.default, x, list(shape))


@normalizes(
    _ATEN.clone.default,
    _ATEN.alias.default,
    _ATEN.detach.default,
    _ATEN.detach_.default,
    _ATEN.contiguous.default,
    _ATEN.lift_fresh.default,
    _ATEN.lift_fresh_copy.default,
    _ATEN.alias_copy.default,
    _ATEN.positive.default,
)
def identity(emit: Emitter, x: Node, **storage: object) -> Node:
    """The same values."""
    return x


@normalizes(
    _ATEN.view.default,
    _ATEN._unsafe_view.default,
    _ATEN.reshape.default,
    _ATEN.view_copy.default,
    _ATEN._reshape_copy.default,
    _ATEN.flatten.using_ints,
    _ATEN.unflatten.int,
    _ATEN.squeeze.default,
    _ATEN.squeeze.dim,
    _ATEN.squeeze.dims,
    _ATEN.unsqueeze.default,
    _ATEN.squeeze_copy.default,
    _ATEN.squeeze_copy.dim,
    _ATEN.squeeze_copy.dims,
    _ATEN.unsqueeze_copy.default,
)
def any_view(emit: Emitter, x: Node, *_: object) -> Node:
    """reshape(x, shape of the result)."""
    return reshaped(emit, x, emit.out.shape)


@normalizes(_ATEN._to_copy.default, _ATEN.to.dtype, _ATEN.type_as.default)
def cast(emit: Emitter, x: Node, *_: object, **__: object) -> Node:
    """_to_copy(x, dtype=...); nothing where the dtype stays."""
    dtype = emit.out.torch_dtype
    node: Node = (
        x if node_spec(x).torch_dtype == dtype else emit(_ATEN._to_copy.default, x, dtype=dtype)
    )
    return node


@normalizes(_ATEN.permute.default, _ATEN.permute_copy.default)
def permute(emit: Emitter, x: Node, dims: list[int]) -> Node:
    """Permutation with dims >= 0; nothing where the order stays."""
    dims = [dim % len(dims) for dim in dims]
    return x if dims == sorted(dims) else emit(_ATEN.permute.default, x, dims)


@normalizes(_ATEN.transpose.int, _ATEN.transpose_copy.int)
def transpose(emit: Emitter, x: Node, first: int, second: int) -> Node:
    """permute(x, dims)."""
    dims = list(range(len(shape_of(x))))
    dims[first], dims[second] = dims[second], dims[first]
    return permute(emit, x, dims)


@normalizes(_ATEN.t.default, _ATEN.t_copy.default, _ATEN.numpy_T.default)
def reverse_dims(emit: Emitter, x: Node) -> Node:
    """permute(x, dims from last to first)."""
    return permute(emit, x, list(reversed(range(len(shape_of(x))))))


@normalizes(_ATEN.expand.default, _ATEN.expand_copy.default)
def expand(emit: Emitter, x: Node, sizes: list[int], **_: object) -> Node:
    """Expansion without -1; nothing where the shape stays."""
    shape = emit.out.shape
    return x if shape_of(x) == shape else emit(_ATEN.expand.default, x, list(shape))


@normalizes(_ATEN.slice.Tensor, _ATEN.slice_copy.Tensor)
def slice_of(
    emit: Emitter,
    x: Node,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Node:
    """Slice with 0 <= start <= end <= size; nothing where it is all of x."""
    dim %= len(shape_of(x))
    size = shape_of(x)[dim]
    start, end, step = slice(start, end, step).indices(size)
    if (start, step) == (0, 1) and end >= size:
        return x
    return emit(_ATEN.slice.Tensor, x, dim, start, max(start, end), step)


@normalizes(_ATEN.select.int, _ATEN.select_copy.int)
def select(emit: Emitter, x: Node, dim: int, index: int) -> Node:
    """Selection with dim, index >= 0."""
    dim %= len(shape_of(x))
    return emit(_ATEN.select.int, x, dim, index % shape_of(x)[dim])


@normalizes(_ATEN.split_with_sizes.default, _ATEN.split_with_sizes_copy.default)
def split_with_sizes(emit: Emitter, x: Node, sizes: list[int], dim: int = 0) -> list[Node]:
    """One slice for each part."""
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    return [slice_of(emit, x, dim, end - size, end) for size, end in zip(sizes, ends, strict=True)]


@normalizes(_ATEN.split.Tensor, _ATEN.split_copy.Tensor)
def split(emit: Emitter, x: Node, size: int, dim: int = 0) -> list[Node]:
    """One slice for each part of `size`, the last may be smaller."""
    total = shape_of(x)[dim]
    return [slice_of(emit, x, dim, at, min(at + size, total)) for at in range(0, total, size)]


@normalizes(_ATEN.unbind.int, _ATEN.unbind_copy.int)
def unbind(emit: Emitter, x: Node, dim: int = 0) -> list[Node]:
    """One select for each index."""
    return [select(emit, x, dim, index) for index in range(shape_of(x)[dim])]


@normalizes(_ATEN.cat.default, _ATEN.concat.default)
def cat(emit: Emitter, tensors: list[Node], dim: int = 0) -> Node:
    """Join the operands that hold anything (PyTorch lets an empty vector join any rank)."""
    rank = len(emit.out.shape)
    parts = [x for x in tensors if math.prod(shape_of(x))] or tensors[:1]
    return parts[0] if len(parts) == 1 else emit(_ATEN.cat.default, parts, dim % rank)


@normalizes(_ATEN.stack.default)
def stack(emit: Emitter, tensors: list[Node], dim: int = 0) -> Node:
    """Join the operands with one more dimension of size 1."""
    shape = list(shape_of(tensors[0]))
    dim %= len(shape) + 1
    shape.insert(dim, 1)
    parts = [reshaped(emit, x, tuple(shape)) for x in tensors]
    return parts[0] if len(parts) == 1 else emit(_ATEN.cat.default, parts, dim)


@normalizes(_ATEN.repeat.default)
def repeat(emit: Emitter, x: Node, repeats: list[int]) -> Node:
    """reshape(expand(reshape(x))): a broadcast over new dimensions."""
    shape = (1,) * (len(repeats) - len(shape_of(x))) + shape_of(x)
    apart = [size for pair in zip(repeats, shape, strict=True) for size in (1, pair[1])]
    wide = [size for pair in zip(repeats, shape, strict=True) for size in pair]
    together = tuple(count * size for count, size in zip(repeats, shape, strict=True))
    if all(count == 1 for count in repeats):
        return reshaped(emit, x, together)
    return reshaped(
        emit, emit(_ATEN.expand.default, reshaped(emit, x, tuple(apart)), wide), together
    )
