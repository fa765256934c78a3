"""Canonical spellings of what only moves elements: composed with their like, or a reshape."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Node

from ..compiler.ir.program import Program, node_spec
from ..compiler.ir.rewrite import arguments_of, insert_call, shape_of

_ATEN = torch.ops.aten
_RESHAPE = _ATEN.reshape.default
_PERMUTE = _ATEN.permute.default
_EXPAND = _ATEN.expand.default
_SLICE = _ATEN.slice.Tensor
_SELECT = _ATEN.select.int
_CAST = _ATEN._to_copy.default


def _reshape(program: Program, node: Node) -> Node | None:
    """Twice reshaped is once reshaped; to the same shape is nothing.

    Channels [g, c] exchanged on the way to the same shape again are a shuffle of channels.
    """
    source = _source(node)
    if shape_of(source) == shape_of(node):
        return source
    if source.target is _RESHAPE:
        return _reshaped(node, _source(source))
    if source.target is _PERMUTE and _source(source).target is _RESHAPE:
        return _channels_shuffled(node, source, _source(source))
    return None


def _channels_shuffled(node: Node, exchanged: Node, split: Node) -> Node | None:
    images, sizes = _source(split), shape_of(split)
    order = [0, 2, 1, *range(3, len(sizes))]
    if len(sizes) < 4 or _ints(exchanged.args[1]) != order:
        return None
    joined = (sizes[0], sizes[1] * sizes[2], *sizes[3:])
    if not shape_of(images) == shape_of(node) == joined:
        return None
    return insert_call(node, _ATEN.channel_shuffle.default, images, sizes[1])


def _permute(program: Program, node: Node) -> Node | None:
    """Twice permuted is once permuted; what only moves axes of size 1 is a reshape."""
    source, dims = _source(node), _ints(node.args[1])
    moved = [dim for dim in dims if shape_of(source)[dim] != 1]
    if moved == sorted(moved):
        return _reshaped(node, source)
    if source.target is _PERMUTE:
        first = _ints(source.args[1])
        return insert_call(node, _PERMUTE, _source(source), [first[dim] for dim in dims])
    return None


def _expand(program: Program, node: Node) -> Node | None:
    """Twice expanded is once expanded; an expansion that repeats nothing is a reshape."""
    source = _source(node)
    if node_spec(source).size == node_spec(node).size:
        return _reshaped(node, source)
    if source.target is _EXPAND:
        return insert_call(node, _EXPAND, _source(source), list(shape_of(node)))
    return None


def _slice(program: Program, node: Node) -> Node | None:
    """Twice sliced along one axis is once sliced; a slice of everything is nothing."""
    source = _source(node)
    if shape_of(source) == shape_of(node):
        return source
    dim, start, _, step = _bounds(node)
    if source.target is not _SLICE or _bounds(source)[0] != dim:
        return None
    _, first, _, stride = _bounds(source)
    count = shape_of(node)[dim]
    begin, pace = first + start * stride, step * stride
    stop = begin + (count - 1) * pace + 1 if count else begin
    return insert_call(
        node, _SLICE, _source(source), dim, begin, stop, *([pace] if pace != 1 else [])
    )


def _select(program: Program, node: Node) -> Node | None:
    """Selected as early as possible; from an axis of size 1 it is a reshape."""
    source, dim, index = _source(node), *_ints(node.args[1:])
    if source.target is _SLICE and _bounds(source)[0] == dim:
        _, start, _, step = _bounds(source)
        return insert_call(node, _SELECT, _source(source), dim, start + index * step)
    if shape_of(source)[dim] == 1:
        return _reshaped(node, source)
    if source.target is _PERMUTE and all(user.target is _SELECT for user in source.users):
        return _select_then_permute(node, source, dim, index)
    if source.target is _RESHAPE and all(user.target is _SELECT for user in source.users):
        return _select_then_reshape(node, source, dim, index)
    return None


def _select_then_permute(node: Node, source: Node, dim: int, index: int) -> Node:
    """Less is moved when the part is selected first."""
    dims = _ints(source.args[1])
    chosen = dims.pop(dim)
    part = insert_call(node, _SELECT, _source(source), chosen, index)
    return insert_call(node, _PERMUTE, part, [axis - (axis > chosen) for axis in dims])


def _select_then_reshape(node: Node, source: Node, dim: int, index: int) -> Node | None:
    """Only past a reshape that leaves the axis whole, towards a permutation above it."""
    before, after = shape_of(_source(source)), shape_of(source)
    if _source(source).target is not _PERMUTE:
        return None
    ahead = [math.prod(before[:axis]) for axis in range(len(before))]
    same = [axis for axis, size in enumerate(before) if size == after[dim]]
    axes = [axis for axis in same if ahead[axis] == math.prod(after[:dim])]
    if not axes:
        return None
    part = insert_call(node, _SELECT, _source(source), axes[0], index)
    return _reshaped(node, part)


def _join(program: Program, node: Node) -> Node | None:
    """Joins of joins along one axis, read by nothing else, are one join."""
    tensors, dim = arguments_of(node)["tensors"], _join_dim(node)
    parts: list[Node] = []
    for tensor in tensors:
        is_inner = tensor.target is _ATEN.cat.default and len(tensor.users) == 1
        is_inner = is_inner and _join_dim(tensor) == dim and tensors.count(tensor) == 1
        parts += tensor.args[0] if is_inner else [tensor]
    if len(parts) == 1:
        return parts[0]
    return insert_call(node, _ATEN.cat.default, parts, dim) if len(parts) > len(tensors) else None


def _cast(program: Program, node: Node) -> Node | None:
    """A cast through a type that holds every value of the first one is a direct cast."""
    source, dtype = _source(node), node_spec(node).torch_dtype
    if node_spec(source).torch_dtype == dtype:
        return source
    if source.target is not _CAST:
        return None
    origin = _source(source)
    first, middle = node_spec(origin).torch_dtype, node_spec(source).torch_dtype
    same_family = first.is_floating_point == middle.is_floating_point
    if not same_family or torch.promote_types(first, middle) != middle:
        return None
    return origin if first == dtype else insert_call(node, _CAST, origin, dtype=dtype)


MOVE_RULES: dict[Any, Callable[[Program, Node], Node | None]] = {
    _RESHAPE: _reshape,
    _PERMUTE: _permute,
    _EXPAND: _expand,
    _SLICE: _slice,
    _SELECT: _select,
    _CAST: _cast,
    _ATEN.cat.default: _join,
}


def _source(node: Node) -> Node:
    source = node.args[0]
    assert isinstance(source, Node), node
    return source


def _reshaped(before: Node, source: Node) -> Node:
    """`source` in the shape of `before`."""
    if shape_of(source) == shape_of(before):
        return source
    return insert_call(before, _RESHAPE, source, list(shape_of(before)))


def _bounds(node: Node) -> tuple[int, int, int, int]:
    """dim, start, end, step of a slice."""
    arguments = arguments_of(node)
    dim: int = arguments["dim"]
    bounds = slice(arguments["start"], arguments["end"], arguments["step"])
    return dim, *bounds.indices(shape_of(_source(node))[dim])


def _join_dim(node: Node) -> int:
    return int(arguments_of(node)["dim"])


def _ints(values: Any) -> list[int]:
    return list(values)
