"""Moves of elements across the borders between float and int8, exact in either direction."""

from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Node

from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of, insert_call, replace_by, shape_of
from ...compiler.quantization.scales import QuantizedRange
from .values import (
    Quantized,
    add_constant,
    constant,
    dequantized,
    quantized,
    quantized_again,
    range_of,
)

_ATEN = torch.ops.aten
# Operators that only move elements of their first operand, and take integers as they take floats.
_JOINS = {_ATEN.maximum.default, _ATEN.minimum.default}  # of integers of the same steps
MOVES = {
    _ATEN.amax.default,
    _ATEN.amin.default,
    _ATEN.reshape.default,
    _ATEN.permute.default,
    _ATEN.slice.Tensor,
    _ATEN.select.int,
    _ATEN.expand.default,
    _ATEN.flip.default,
    _ATEN.roll.default,
    _ATEN.repeat.default,
    _ATEN.channel_shuffle.default,
    _ATEN.pixel_shuffle.default,
    _ATEN.pixel_unshuffle.default,
    _ATEN.index_select.default,
    _ATEN.embedding.default,
    _ATEN.max_pool2d.default,
    _ATEN.max_pool3d.default,
}
# Those of them that have as many elements as their operand, or fewer that depend on all.
_EARLY = {
    _ATEN.reshape.default,
    _ATEN.permute.default,
    _ATEN.embedding.default,  # of a table that becomes one of integers
    _ATEN.channel_shuffle.default,
    _ATEN.pixel_shuffle.default,
    _ATEN.pixel_unshuffle.default,
    _ATEN.max_pool1d.default,
    _ATEN.max_pool2d.default,
    _ATEN.max_pool3d.default,
}


def move_integers(node: Node) -> bool:
    """Rewrite move(dequantize(x)) to dequantize(move(x)) at a node, if it is one."""
    if not node.args or node.op != "call_function":
        return False
    if node.target is _ATEN.cat.default or node.target in _JOINS:
        return _join_integers(node)
    x = quantized(node.args[0])
    if x is None:
        return False
    if node.target in MOVES:
        moved: Node | None = insert_call(node, node.target, x.node, *node.args[1:], **node.kwargs)
    else:
        rule = _RULES.get(node.target)
        moved = None if rule is None else rule(node, x)
    if moved is None:
        return False
    replace_by(node, dequantized(node, moved, x.range))
    return True


def quantize_early(node: Node) -> bool:
    """Rewrite quantize(move(x)) to move(quantize(x)) at a quantize node, if it is one."""
    found, moved = range_of(node), node.args[0]
    assert isinstance(moved, Node)
    if found is None or len(moved.users) > 1 or moved.op != "call_function":
        return False
    if moved.target is _ATEN.cat.default:
        parts = [quantized_again(node, part, found) for part in _parts(moved)]
        replace_by(node, insert_call(node, moved.target, parts, *moved.args[1:]))
        return True
    if moved.target in _JOINS and len({quantized(part) for part in moved.args} - {None}) == 2:
        parts = [part for part in moved.args if isinstance(part, Node)]
        operands = [quantized_again(node, part, found) for part in parts]
        replace_by(node, insert_call(node, moved.target, *operands))
        return True
    source = moved.args[0] if moved.args else None
    if moved.target not in _EARLY or not isinstance(source, Node) or len(source.users) > 1:
        return False
    early = quantized_again(node, source, found)
    if moved.target is _ATEN.max_pool1d.default:
        late: Node | None = _max_pool(moved, Quantized(early, found), before=node)
    else:
        late = insert_call(node, moved.target, early, *moved.args[1:], **moved.kwargs)
    assert late is not None
    replace_by(node, late)
    return True


def cancel(node: Node) -> bool:
    """Rewrite quantize(dequantize(x)) to x at a quantize node, if both have the same steps."""
    found, x = range_of(node), quantized(node.args[0])
    if found is None or x is None or x.range != found:
        return False
    replace_by(node, x.node)
    return True


def quantize_constant(program: Program, node: Node) -> bool:
    """Rewrite quantize(weight) to a weight of integers at a quantize node, if it is one."""
    value = constant(program, node.args[0])
    if value is None:
        return False
    integers = node.target(value, *node.args[1:])  # type: ignore[operator]
    replace_by(node, add_constant(program, node, "integers", integers))
    return True


def share_quantized(node: Node, known: dict[Any, Node]) -> bool:
    """Let all that quantize a value alike read the first node that does."""
    key = (node.target, node.args)
    first = known.setdefault(key, node)
    if first is node:
        return False
    replace_by(node, first)
    return True


def _join_integers(node: Node) -> bool:
    """cat(dequantize(x), dequantize(y)), or the larger, where both have the same steps."""
    is_cat = node.target is _ATEN.cat.default
    parts = [quantized(part) for part in (_parts(node) if is_cat else node.args)]
    ranges = {None if part is None else part.range for part in parts}
    (only,) = ranges if len(ranges) == 1 else (None,)
    if only is None:
        return False
    integers = [part.node for part in parts if part is not None]
    operands = (integers, *node.args[1:]) if is_cat else integers
    joined = insert_call(node, node.target, *operands)
    replace_by(node, dequantized(node, joined, only))
    return True


def _relu(node: Node, x: Quantized) -> Node:
    """What is less than zero is less than the zero point."""
    return insert_call(node, _ATEN.clamp.default, x.node, x.range.zero_point)


def _pad(node: Node, x: Quantized) -> Node | None:
    """A border of integers, where one stands for exactly its value."""
    arguments = arguments_of(node)
    if node.target is _ATEN.pad.default and arguments["mode"] != "constant":
        return insert_call(node, node.target, x.node, *node.args[1:])
    fill = _exactly(arguments["value"] or 0.0, x.range)
    pad = arguments["pad"]
    return (
        None
        if fill is None
        else insert_call(node, _ATEN.pad.default, x.node, pad, "constant", fill)
    )


def _exactly(value: float, of: QuantizedRange) -> int | None:
    integer = of.quantized(value)
    return integer if (integer - of.zero_point) * of.scale == value else None


def _max_pool(node: Node, x: Quantized, before: Node | None = None) -> Node | None:
    """Of rows, as that of images one element high: PyTorch has it for integers."""
    before, arguments = before or node, arguments_of(node)
    shape = shape_of(x.node)
    if len(shape) != 3:
        return None
    images = insert_call(before, _ATEN.reshape.default, x.node, [*shape[:2], 1, shape[2]])
    one = [1, *arguments["kernel_size"]]
    stride = [1, *(arguments["stride"] or arguments["kernel_size"])]
    padding, dilation = [0, *arguments["padding"]], [1, *arguments["dilation"]]
    options = (one, stride, padding, dilation, arguments["ceil_mode"])
    pooled = insert_call(before, _ATEN.max_pool2d.default, images, *options)
    sizes = shape_of(pooled)
    return insert_call(before, _ATEN.reshape.default, pooled, [*sizes[:2], sizes[3]])


def _nearest(node: Node, x: Quantized) -> Node | None:
    """Elements repeated a whole number of times."""
    before, after = shape_of(x.node), shape_of(node)
    if any(size % old for old, size in zip(before[2:], after[2:], strict=True)):
        return None
    split, repeated = list(before[:2]), list(before[:2])
    for old, size in zip(before[2:], after[2:], strict=True):
        split, repeated = [*split, old, 1], [*repeated, old, size // old]
    parts = insert_call(node, _ATEN.reshape.default, x.node, split)
    whole = insert_call(node, _ATEN.expand.default, parts, repeated)
    return insert_call(node, _ATEN.reshape.default, whole, list(after))


def _parts(node: Node) -> list[Node]:
    parts = node.args[0]
    assert isinstance(parts, (list, tuple))
    return list(parts)


_RULES: dict[Any, Callable[[Node, Quantized], Node | None]] = {
    _ATEN.relu.default: _relu,
    _ATEN.pad.default: _pad,
    _ATEN.constant_pad_nd.default: _pad,
    _ATEN.max_pool1d.default: _max_pool,
    _ATEN.upsample_nearest1d.vec: _nearest,
    _ATEN.upsample_nearest2d.vec: _nearest,
    _ATEN.upsample_nearest3d.vec: _nearest,
}
