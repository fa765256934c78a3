"""Computes at compile time whatever does not depend on the inputs."""

from typing import Any

import torch
from torch.fx import Node
from torch.fx.node import map_arg

from ..program import Program


def fold_constants(program: Program) -> int:
    """Replace constant results by weights; the number replaced."""
    values: dict[Node, Any] = {}
    count = 0
    for node in list(program.graph.nodes):
        if node.op == "get_attr":
            values[node] = program.weight(node).detach()
        elif (
            node.op == "call_function"
            and _foldable(node)
            and all(n in values for n in node.all_input_nodes)
        ):
            with torch.no_grad():
                args, kwargs = map_arg((node.args, node.kwargs), values.__getitem__)
                values[node] = node.target(*args, **kwargs)
    for node in list(program.graph.nodes):
        if (
            node.op == "call_function"
            and isinstance(values.get(node), torch.Tensor)
            and any(u not in values for u in node.users)
        ):
            new = program.add_weight(
                values[node].clone(memory_format=torch.contiguous_format), like=node
            )
            node.replace_all_uses_with(new, delete_user_cb=lambda user: user not in values)
            count += 1
    return count


def _foldable(node: Node) -> bool:
    return "quantized_decomposed.dequantize" not in str(node.target)
