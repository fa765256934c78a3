"""Computes once what a program computes twice."""

from hashlib import sha256
from typing import Any

import torch
from torch import nn
from torch._ops import OpOverload
from torch.fx import Node

from ..compiler.ir.program import Program, node_spec
from ..compiler.ir.rewrite import replace_by
from ..compiler.pass_base import Pass


class RemoveDuplicates(Pass):
    """Let equal calls on equal operands be one call, and equal buffers one buffer.

    Needs: canonical operators, so that what is equal also looks equal.
    Keeps: values exact.
    Skips: random numbers, and parameters, which training may move apart.
    """

    name = "remove-duplicates"
    contract = "exact"

    def run(self, program: Program) -> int:
        known: dict[object, Node] = {}
        count = 0
        for node in list(program.graph.nodes):
            key = _key(program, node)
            first = node if key is None else known.setdefault(key, node)
            if first is not node:
                replace_by(node, first)
                count += 1
        return count


def _key(program: Program, node: Node) -> object:
    """Equal for nodes with equal values; None for nodes that must stay."""
    if node.op == "get_attr":
        weight = program.weight(node)
        return node.target if isinstance(weight, nn.Parameter) else _content(node, weight)
    if node.op != "call_function":
        return None
    tags = node.target.tags if isinstance(node.target, OpOverload) else ()
    if torch.Tag.nondeterministic_seeded in tags:
        return None
    return node.target, _frozen(node.args), _frozen(tuple(sorted(node.kwargs.items())))


def _content(node: Node, weight: torch.Tensor) -> object:
    data = weight.detach().contiguous().flatten().view(torch.uint8)
    return node_spec(node), sha256(data.numpy().tobytes()).digest()


def _frozen(value: Any) -> object:
    """A hashable image of an argument; 1, 1.0 and True stay apart, and so do 0.0 and -0.0."""
    if isinstance(value, (tuple, list)):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, Node):
        return value
    return type(value), repr(value)
