"""Which operators may work on 16-bit floats, and which of their numbers float16 can hold."""

from collections.abc import Iterator
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import Node

from ..compiler.ir.op_kinds import (
    CONVOLUTIONS,
    NEAREST,
    NORMALIZATIONS,
    POOLS,
    Kind,
    kind_of,
)

_ATEN = torch.ops.aten

WEIGHTED = {*CONVOLUTIONS, _ATEN.linear, _ATEN.embedding}
_LAYERS = WEIGHTED | {_ATEN.matmul, _ATEN.scaled_dot_product_attention}
# Results are no larger than what a layer gives, but for a few additions. Statistics of
# normalizations are float32, as in PyTorch.
_BOUNDED = {
    *POOLS,
    *NEAREST,
    *NORMALIZATIONS,
    _ATEN.abs,
    _ATEN.add,
    _ATEN.celu,
    _ATEN.clamp,
    _ATEN.elu,
    _ATEN.gelu,
    _ATEN.hardsigmoid,
    _ATEN.hardswish,
    _ATEN.hardtanh,
    _ATEN.leaky_relu,
    _ATEN.masked_fill,
    _ATEN.maximum,
    _ATEN.minimum,
    _ATEN.mish,
    _ATEN.neg,
    _ATEN.prelu,
    _ATEN.relu,
    _ATEN.relu6,
    _ATEN.sigmoid,
    _ATEN.silu,
    _ATEN.softplus,
    _ATEN.sub,
    _ATEN.tanh,
    _ATEN.where,
    _ATEN.cat,
    _ATEN.stack,
    _ATEN.pad,
    _ATEN.expand,
}
_MOVING = (Kind.VIEW, Kind.MOVE)


def is_layer(node: Node) -> bool:
    """Whether a node multiplies by weights, or looks them up: where 16 bits pay."""
    return _packet(node) in _LAYERS


def may_follow(node: Node) -> bool:
    """Whether a node may work on the 16 bits of the layer before it.

    Not what multiplies two results (a square overflows early) or takes powers and sums.
    """
    if kind_of(node) in _MOVING or _packet(node) in _BOUNDED:
        return True
    left, right = [*node.args, None, None][:2]
    if _packet(node) is _ATEN.mul:
        return left is not right
    is_constant = not isinstance(right, Node) or right.op == "get_attr"
    return _packet(node) is _ATEN.div and is_constant


def numbers_of(value: Any) -> Iterator[float]:
    """The finite floats among the arguments of a node."""
    if isinstance(value, float) and value - value == 0:
        yield value
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from numbers_of(item)


def _packet(node: Node) -> Any:
    return node.target.overloadpacket if isinstance(node.target, OpOverload) else None
