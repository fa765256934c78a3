"""The normal form of a node that a pass inserted, the same that `trace` writes."""

import operator

from torch._ops import OpOverload
from torch.fx import Node

from ..program import origin_of
from ..rewrite import replace_by
from . import normal_forms as normal_forms
from .emitter import Emitter, normal_arguments
from .normalize import normal_form


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
    emit = Emitter(node.graph)
    emit.origin = origin_of(node)
    emit.traced = node
    with node.graph.inserting_before(node):
        result = rule(emit, *args, **kwargs)
    return _replace_results(node, result) if isinstance(result, list) else _replace(node, result)


def _replace(node: Node, result: Node) -> bool:
    same = (result.target, result.args, result.kwargs) == (node.target, node.args, node.kwargs)
    if same and result.op == "call_function" and not result.users:
        node.graph.erase_node(result)
        return False
    replace_by(node, result)
    return True


def _replace_results(node: Node, results: list[Node]) -> bool:
    for user in list(node.users):
        assert user.target is operator.getitem, user
        replace_by(user, results[user.args[1]])  # type: ignore[index]
    node.graph.erase_node(node)
    return True
