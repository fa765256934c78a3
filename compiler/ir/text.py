"""A program as numbered text: values are %0, %1, ... and weights are @their.name."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.fx import Node

from .inference import Specs
from .program import Program, node_specs
from .tensor_spec import short_dtype


def program_text(program: Program) -> str:
    """The whole program, one line per value; equal programs give equal text.

    A line that belongs to a fused region ends with `{region}`.
    """
    numbers: dict[Node, int] = {}
    for node in program.graph.nodes:
        if node.op in ("placeholder", "call_function"):
            numbers[node] = len(numbers)
    names = dict(zip(program.input_nodes, program.input_names, strict=True))
    lines = [_line(node, numbers, names) for node in program.graph.nodes if node.op != "get_attr"]
    return "\n".join(lines) + "\n"


def node_text(node: Node) -> str:
    """One node as text, its inputs by their names in the graph, for messages."""
    return (
        f"{node.name} = {_right_side(node, lambda n: f'%{n.name}')}: {specs_text(node_specs(node))}"
    )


def op_name(target: object) -> str:
    """The name of an operator: `aten.conv2d`, or `aten.add.Tensor` where the overload counts."""
    if isinstance(target, torch._ops.OpOverload):
        return str(target).removesuffix(".default")
    return getattr(target, "__name__", str(target))


def specs_text(specs: Specs) -> str:
    """`f32[1,2]`, or `(f32[1,2], i64[3])` for several results."""
    if isinstance(specs, tuple):
        return f"({', '.join('none' if spec is None else str(spec) for spec in specs)})"
    return str(specs)


def _line(node: Node, numbers: Mapping[Node, int], names: Mapping[Node, str]) -> str:
    def value(operand: Node) -> str:
        return f"@{operand.target}" if operand.op == "get_attr" else f"%{numbers[operand]}"

    if node.op == "output":
        return "return " + ", ".join(_argument(item, value) for item in node.args[0])  # type: ignore[union-attr]
    right = f"input {names[node]}" if node.op == "placeholder" else _right_side(node, value)
    line = f"%{numbers[node]} = {right}: {specs_text(node_specs(node))}"
    return f"{line} {{{node.meta['region']}}}" if "region" in node.meta else line


def _right_side(node: Node, value: Callable[[Node], str]) -> str:
    if node.op != "call_function":
        return f"{node.op} {node.target}"
    if node.target is operator.getitem:
        return f"{_argument(node.args[0], value)}[{node.args[1]}]"
    arguments = [_argument(item, value) for item in node.args]
    arguments += [f"{key}={_argument(item, value)}" for key, item in node.kwargs.items()]
    return f"{op_name(node.target)}({', '.join(arguments)})"


def _argument(item: Any, value: Callable[[Node], str]) -> str:
    if isinstance(item, Node):
        return value(item)
    if isinstance(item, (list, tuple)):
        return f"[{','.join(_argument(part, value) for part in item)}]"
    if isinstance(item, torch.dtype):
        return short_dtype(item)
    if item is None or isinstance(item, bool):
        return str(item).lower()
    return repr(item)
