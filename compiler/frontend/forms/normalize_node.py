"""The normal form of a node that a pass inserted, the same that `trace` writes."""

import operator
from typing import Any

from torch._ops import OpOverload
from torch.fx import Node

from ...ir.program import origin_of
from ...ir.rewrite import replace_by
from . import rules as rules
from .emitter import Emitter, normal_arguments
from .registry import normal_form


def normalize_node(node: Node) -> bool:
    """Replace an operator call by its normal form; whether that is another one."""
    if not isinstance(node.target, OpOverload):
        return False
    args, kwargs = normal_arguments(node.target, node.args, node.kwargs)
    rule = normal_form(node.target)
    if rule is None:
        is_normal = (args, kwargs) == (node.args, node.kwargs)
        node.args, node.kwargs = args, kwargs
        return not is_normal
    with node.graph.inserting_before(node):
        result = rule(_EmitterBefore(node), *args, **kwargs)
    if result is node:
        return False
    if isinstance(result, list):
        _replace_results(node, result)
    else:
        replace_by(node, result)
    return True


class _EmitterBefore(Emitter):
    """Inserts calls in front of a node; the node itself serves as the call that equals it."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.graph)
        self.origin = origin_of(node)
        self.traced = node

    def __call__(self, target: OpOverload, *args: Any, **kwargs: Any) -> Node:
        node = self.traced
        assert node is not None
        args, kwargs = normal_arguments(target, args, kwargs)
        if (target, args, kwargs) == (node.target, node.args, node.kwargs):
            return node
        return super().__call__(target, *args, **kwargs)


def _replace_results(node: Node, results: list[Node]) -> None:
    for user in list(node.users):
        assert user.target is operator.getitem, user
        replace_by(user, results[user.args[1]])  # type: ignore[index]
    node.graph.erase_node(node)
