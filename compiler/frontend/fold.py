"""Computes at compile time whatever does not depend on the inputs."""

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import Node
from torch.fx.node import map_arg

from ..program import Program, node_spec

MAX_BYTES = 1 << 20
_EXPAND = torch.ops.aten.expand.default
_KEPT_NAMESPACES = ("quantized_decomposed",)  # a dequantized weight must stay small


def fold_constants(
    program: Program,
    max_bytes: int = MAX_BYTES,
    on_skip: Callable[[Node, str], None] = lambda node, reason: None,
) -> int:
    """Replace constant results by weights; the number replaced.

    Args:
        program: Changed in place.
        max_bytes: A result larger than this and than each of its operands stays computed.
        on_skip: Called with each constant result that stays computed, and the reason.
    """
    constant = _constant_nodes(program)
    chosen: list[Node] = []
    computed: set[Node] = set()  # constant, but left to the compiled program
    for node in reversed(program.graph.nodes):
        is_read = any(user not in constant or user in computed for user in node.users)
        if node.op != "call_function" or node not in constant or not is_read:
            continue
        if reason := _reason_to_keep(node, max_bytes):
            computed.add(node)
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
    return not is_random and node.target.namespace not in _KEPT_NAMESPACES


def _reason_to_keep(node: Node, max_bytes: int) -> str:
    if not isinstance(node.meta["val"], torch.Tensor):
        return "it has several results"
    if node.target is _EXPAND:
        return "it only repeats its operand"
    nbytes = node_spec(node).nbytes
    operands = [node_spec(n).nbytes for n in node.all_input_nodes if _has_one_result(n)]
    if nbytes > max(max_bytes, *operands, 0):
        return f"{nbytes} bytes would be more than max_bytes and than its operands"
    return ""


def _has_one_result(node: Node) -> bool:
    return isinstance(node.meta["val"], torch.Tensor)


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
