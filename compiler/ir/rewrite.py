"""Small steps that passes rewrite graphs with; each leaves complete metadata."""

from collections.abc import Sequence
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import Node

from .inference import set_value
from .program import Program, node_spec, node_specs, origin_of


def insert_call(before: Node, target: Any, *args: Any, **kwargs: Any) -> Node:
    """A new call of `target` in front of `before`, with the origin of `before`."""
    with before.graph.inserting_before(before):
        node = before.graph.call_function(target, args, kwargs)
    set_value(node)
    node.meta["origin"] = origin_of(before)
    return node


def replace_by(node: Node, value: Node) -> None:
    """Let everything that reads `node` read `value`, and erase `node`."""
    assert node_specs(node) == node_specs(value), f"{value} is not like {node}"
    node.replace_all_uses_with(value)
    node.graph.erase_node(node)


def replace_call(node: Node, target: Any, *args: Any, **kwargs: Any) -> Node:
    """Put a call of `target` in the place of `node`, which is erased; the new node."""
    new = insert_call(node, target, *args, **kwargs)
    replace_by(node, new)
    return new


def arguments_of(node: Node) -> dict[str, Any]:
    """The arguments of an operator call by their names in its schema, defaults included."""
    assert isinstance(node.target, OpOverload), node
    schema = node.target._schema.arguments
    defaults = {a.name: a.default_value for a in schema if a.has_default_value()}
    return defaults | dict(zip((a.name for a in schema), node.args, strict=False)) | node.kwargs


def shape_of(node: Node) -> tuple[int, ...]:
    """The shape of a node with one result."""
    return node_spec(node).shape


def weight_of(program: Program, value: Any) -> torch.Tensor | None:
    """The tensor that a `get_attr` node reads; None for everything else."""
    is_weight = isinstance(value, Node) and value.op == "get_attr"
    return program.weight(value).detach() if is_weight else None


def change_weight(
    program: Program, readers: Sequence[Node], node: Node, value: torch.Tensor
) -> Node:
    """The `get_attr` node that gives `readers` a new value of the weight `node`.

    The weight itself changes if nothing else reads it; otherwise it gets a sister.
    """
    old = program.weight(node)
    if isinstance(old, torch.nn.Parameter):
        value = torch.nn.Parameter(value, requires_grad=old.requires_grad)
    same = program.graph.find_nodes(op="get_attr", target=node.target)
    if {user for other in same for user in other.users}.issubset(readers):
        program.replace_weight(node, value)
        return node
    return program.add_weight(value, name=str(node.target), like=node)
