"""Elementwise operators: operands are dropped together; a probe tells whether zeros stay zeros."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch.fx import Node
from torch.fx.node import map_arg

from ...ir.program import node_spec
from ..flow import Flow
from ..join import join
from ..labels import Labels
from ..registry import couples

_ATEN = torch.ops.aten
_PROBES = torch.tensor([0.7, -1.3, 2.0, -0.4, 1.0, 3.1])


def elementwise(flow: Flow, node: Node) -> Labels:
    """Broadcasts the operands; a dropped unit is 0 if the operator makes 0 of its zeros."""
    operands = node.all_input_nodes
    joined = join(flow, [flow.of(operand) for operand in operands], node_spec(node).shape)
    gives_zero = {
        zeros: _gives_zero(flow, node, dict(zip(operands, zeros, strict=True)))
        for zeros in set(joined.vanishing)
    }
    pairs = zip(joined.labels.blocks, joined.vanishing, strict=True)
    blocks = [replace(block, vanishes=gives_zero[zeros]) for block, zeros in pairs]
    return Labels(joined.labels.shape, tuple(blocks))


@couples(_ATEN.prelu.default)
def prelu(flow: Flow, node: Node, x: Node, weight: Node) -> Labels:
    """The slopes go with the channels, dimension 1; one slope serves all."""
    labels = flow.of(x)
    if flow.apart(weight).shape != (1,) and len(labels.shape) > 1:
        labels = flow.alone(labels, 1)
        flow.unite(labels, 1, flow.apart(weight), 0)
        flow.use(weight, 0, "scale")
    elif len(labels.shape) <= 1:
        flow.lock_all(flow.apart(weight), "it is the only slope")
    return labels


def _gives_zero(flow: Flow, node: Node, is_zero: Mapping[Node, bool]) -> bool:
    """Whether the result is 0 for zeros in some operands and anything in the others."""
    if not any(is_zero.values()) or not node_spec(node).torch_dtype.is_floating_point:
        return False
    samples = {
        operand: _sample(flow, operand, zero, number)
        for number, (operand, zero) in enumerate(is_zero.items())
    }
    args = map_arg(node.args, lambda operand: samples[operand])
    kwargs: dict[str, Any] = map_arg(node.kwargs, lambda operand: samples[operand])
    assert callable(node.target)
    result = node.target(*args, **kwargs)
    return bool((result == 0).all())


def _sample(flow: Flow, operand: Node, zero: bool, number: int) -> torch.Tensor:
    """Values that stand for an operand: zeros, its own if it is one number, else a mixture."""
    dtype = node_spec(operand).torch_dtype
    if zero:
        return torch.zeros(len(_PROBES), dtype=dtype)
    if operand.op == "get_attr" and flow.program.weight(operand).numel() == 1:
        return flow.program.weight(operand).detach().reshape(())
    mixture = _PROBES.roll(number)
    return mixture > 0 if dtype == torch.bool else mixture.to(dtype)
