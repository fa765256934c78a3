"""Arguments of an operator call, as its schema has them."""

from typing import Any

from torch._ops import OpOverload
from torch.fx import Node


def ordered_arguments(node: Node) -> list[Any]:
    """Every argument in the order of the schema, defaults included."""
    assert isinstance(node.target, OpOverload), node
    values = []
    for place, argument in enumerate(node.target._schema.arguments):
        default = argument.default_value if argument.has_default_value() else None
        given = node.args[place] if place < len(node.args) else default
        values.append(node.kwargs.get(argument.name, given))
    return values


def set_argument(node: Node, name: str, value: Any) -> None:
    """Give one argument of a call another value."""
    assert isinstance(node.target, OpOverload), node
    schema = node.target._schema.arguments
    place = next(i for i, argument in enumerate(schema) if argument.name == name)
    if schema[place].kwarg_only or name in node.kwargs:
        node.kwargs = {**node.kwargs, name: value}
        return
    values = ordered_arguments(node)
    node.args = (*values[:place], value, *node.args[place + 1 :])
