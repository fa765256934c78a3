"""Canonical spellings of convolutions and attention: what stands in front of them, as arguments."""

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import Node

from ..compiler.frontend.forms.emitter import normal_arguments
from ..compiler.ir.program import Program
from ..compiler.ir.rewrite import arguments_of, insert_call, shape_of, weight_of

_ATEN = torch.ops.aten
_ATTENTION = _ATEN.scaled_dot_product_attention.default
_EXPAND = _ATEN.expand.default
_RESHAPE = _ATEN.reshape.default
_NOTHING = -1e30  # added to a score, leaves nothing of it


def _convolution(program: Program, node: Node) -> Node | None:
    """Zeros padded on both sides alike are the padding of the convolution."""
    arguments = arguments_of(node)
    added = _zeros_around(arguments["input"], len(shape_of(arguments["weight"])) - 2)
    if added is None:
        return None
    given = arguments["padding"]
    given = given * len(added) if len(given) == 1 else given
    arguments["input"] = arguments["input"].args[0]
    arguments["padding"] = [a + b for a, b in zip(given, added, strict=True)]
    return _call(node, arguments)


def _zeros_around(value: Any, axes: int) -> list[int] | None:
    """The width of the border that a `pad` puts around the last `axes` axes, first axis first."""
    if not isinstance(value, Node) or value.target is not _ATEN.pad.default:
        return None
    arguments = arguments_of(value)
    widths: list[int] = arguments["pad"]
    before, after = widths[::2], widths[1::2]
    is_zeros = arguments["mode"] == "constant" and not arguments["value"]
    if not is_zeros or before != after or min(before) < 0 or len(before) > axes:
        return None
    return [0] * (axes - len(before)) + before[::-1]


def _attention(program: Program, node: Node) -> Node | None:
    """No mask that masks nothing or what comes later, no repeated mask rows, keys or values."""
    arguments = arguments_of(node)
    changed: dict[str, Any] = {}
    mask = arguments["attn_mask"]
    if _masks_nothing(program, mask):
        changed["attn_mask"] = None
    elif _is_triangle(program, mask):
        changed |= {"attn_mask": None, "is_causal": True}
    elif isinstance(mask, Node) and mask.target is _EXPAND:
        changed["attn_mask"] = mask.args[0]
    key, value = (_heads_before_repetition(arguments[name]) for name in ("key", "value"))
    if key is not None and value is not None and shape_of(key)[-4] == shape_of(value)[-4]:
        changed |= {"key": _merged(node, key), "value": _merged(node, value), "enable_gqa": True}
    return _call(node, arguments | changed) if changed else None


def _masks_nothing(program: Program, mask: Any) -> bool:
    tensor = weight_of(program, mask)
    return tensor is not None and bool((tensor == (tensor.dtype == torch.bool)).all())


def _is_triangle(program: Program, mask: Any) -> bool:
    """Whether a constant mask leaves row l of the scores the columns up to l, and nothing else."""
    tensor = weight_of(program, mask)
    if tensor is None or tensor.dim() < 2 or tensor.shape[-2] == 1:
        return False
    kept = torch.ones(tensor.shape[-2:], dtype=torch.bool).tril().expand(tensor.shape)
    if tensor.dtype == torch.bool:
        return bool((tensor == kept).all())
    return bool(((tensor == 0) == kept).all() and (tensor[~kept] < _NOTHING).all())


def _heads_before_repetition(value: Any) -> Node | None:
    """The source [..., heads, 1, S, E] of what is repeated to [..., heads * n, S, E]."""
    if not isinstance(value, Node) or value.target is not _RESHAPE:
        return None
    wide = value.args[0]
    if not isinstance(wide, Node) or wide.target is not _EXPAND or len(shape_of(wide)) < 4:
        return None
    source = wide.args[0]
    assert isinstance(source, Node)
    *batch, heads, count, rows, size = shape_of(wide)
    is_repetition = shape_of(source) == (*batch, heads, 1, rows, size)
    return (
        source if is_repetition and shape_of(value) == (*batch, heads * count, rows, size) else None
    )


def _merged(node: Node, source: Node) -> Node:
    *batch, heads, _, rows, size = shape_of(source)
    return insert_call(node, _RESHAPE, source, [*batch, heads, rows, size])


def _call(node: Node, arguments: dict[str, Any]) -> Node:
    """The operator of `node` with other arguments, defaults left out."""
    assert isinstance(node.target, OpOverload)
    args, kwargs = normal_arguments(node.target, (), arguments)
    return insert_call(node, node.target, *args, **kwargs)


LAYER_RULES: dict[Any, Callable[[Program, Node], Node | None]] = {
    _ATEN.conv1d.default: _convolution,
    _ATEN.conv2d.default: _convolution,
    _ATEN.conv3d.default: _convolution,
    _ATTENTION: _attention,
}
