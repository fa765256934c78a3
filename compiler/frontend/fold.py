"""Computes at compile time whatever does not depend on the inputs."""

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import Node
from torch.fx.node import map_arg

from ..ir.program import Program, node_spec

MAX_BYTES = 1 << 20
_EXPAND = torch.ops.aten.expand.default
_CAST = torch.ops.aten._to_copy.default
_KEPT_NAMESPACES = ("quantized_decomposed",)  # a dequantized weight must stay small


def fold_constants(
    program: Program,
    max_bytes: int = MAX_BYTES,
    on_skip: Callable[[Node, str], None] = lambda node, reason: None,
) -> int:
    """Replace constant results by weights; the number replaced.

    Args:
        program: Changed in place.
        max_bytes: A larger result stays computed, unless an operand as large goes away for it.
        on_skip: Called with each constant result that stays computed, and the reason.
    """
    constant = _constant_nodes(program)  # those that nothing left in the program needs
    chosen: list[Node] = []
    for node in reversed(program.graph.nodes):
        if node.op != "call_function" or node not in constant or constant.issuperset(node.users):
            continue
        if reason := _reason_to_keep(node, constant, max_bytes):
            constant.remove(node)
            on_skip(node, reason)
        else:
            chosen.append(node)
    values = _evaluate(program, chosen)
    for node in reversed(chosen):
        value = values[node].clone(memory_format=torch.contiguous_format)
        weight = program.add_weight(value, like=node)
        node.replace_all_uses_with(weight)
        program.graph.erase_node(node)
    return len(chosen)


def _constant_nodes(program: Program) -> set[Node]:
    constant: set[Node] = set()
    for node in program.graph.nodes:
        is_call = node.op == "call_function" and _is_foldable(node)
        if node.op == "get_attr" or (is_call and constant.issuperset(node.all_input_nodes)):
            constant.add(node)
    return constant


def _is_foldable(node: Node) -> bool:
    if not isinstance(node.target, OpOverload):
        return True  # getitem
    is_random = torch.Tag.nondeterministic_seeded in node.target.tags
    is_widened = node.target.namespace in _KEPT_NAMESPACES or "dequantize" in str(node.target)
    return not is_random and not is_widened


def _reason_to_keep(node: Node, constant: set[Node], max_bytes: int) -> str:
    if not isinstance(node.meta["val"], torch.Tensor):
        return "it has several results"
    if node.target is _EXPAND:
        return "it only repeats its operand"
    if node.target is _CAST and _is_narrow_weight(node.all_input_nodes[0]):
        return "it widens a weight that is stored in 16 bits"
    leaving = [n for n in node.all_input_nodes if constant.issuperset(n.users)]
    sizes = [node_spec(n).nbytes for n in leaving if isinstance(n.meta["val"], torch.Tensor)]
    if node_spec(node).nbytes > max(max_bytes, *sizes, 0):
        return f"its {node_spec(node).nbytes} bytes are more than max_bytes and what it replaces"
    return ""


def _is_narrow_weight(node: Node) -> bool:
    return node.op == "get_attr" and node_spec(node).dtype in ("float16", "bfloat16")


def _evaluate(program: Program, wanted: list[Node]) -> dict[Node, Any]:
    """The values of constant nodes, computed by PyTorch in graph order."""
    needed: set[Node] = set()
    todo = list(wanted)
    while todo:
        node = todo.pop()
        if node not in needed:
            needed.add(node)
            todo += node.all_input_nodes
    values: dict[Node, Any] = {}
    with torch.no_grad():
        for node in program.graph.nodes:
            if node in needed and node.op == "get_attr":
                values[node] = program.weight(node).detach()
            elif node in needed:
                args, kwargs = map_arg((node.args, node.kwargs), values.__getitem__)
                values[node] = node.target(*args, **kwargs)
    return values
