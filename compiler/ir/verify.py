"""Checks that a program is what `Program` says it is; what passes may rely on, and must keep."""

import operator

import torch
from torch._ops import OpOverload
from torch.fx import Node

from ..errors import CompileError
from .inference import infer
from .program import Program, node_specs, origin_of
from .tensor_spec import TensorSpec
from .text import node_text, specs_text
from .weights import has_name

_KINDS = ("placeholder", "get_attr", "call_function", "output")


def verify(program: Program) -> None:
    """Check the whole program.

    Raises:
        CompileError: It names the node and the module of the first thing that is wrong: a kind of
            node that programs do not have, a value used before it is computed, an operator that
            writes to its operands, recorded shapes that the operator does not give, a weight that
            is missing or not used, inputs or outputs that do not fit their names and structure.
    """
    _check_interface(program)
    seen: set[Node] = set()
    for node in program.graph.nodes:
        _check_kind(node)
        _check_order(node, seen)
        if node.op == "get_attr":
            _check_weight(program, node)
        if node.op == "call_function":
            _check_call(node)
        seen.add(node)
    _check_unused_weights(program)


def _check_interface(program: Program) -> None:
    results = program.graph.output_node().args[0]
    if not isinstance(results, (tuple, list)) or not all(isinstance(r, Node) for r in results):
        raise CompileError("the output must be one flat tuple of nodes", got=str(results))
    for what, values, names, spec in (
        ("inputs", program.input_nodes, program.input_names, program.in_spec),
        ("outputs", program.output_nodes, program.output_names, program.out_spec),
    ):
        if not len(values) == len(names) == spec.tensor_count:
            raise CompileError(
                f"the {what} do not fit their names and structure",
                got=f"{len(values)} values, {len(names)} names, {spec.tensor_count} in structure",
            )
    for value in (*program.input_nodes, *program.output_nodes):
        if not isinstance(value.meta.get("val"), torch.Tensor):
            raise _wrong("inputs and outputs must be tensors", value)


def _check_kind(node: Node) -> None:
    if node.op not in _KINDS:
        raise _wrong("programs hold placeholders, weights, operator calls and one output", node)
    if node.op != "output" and "val" not in node.meta:
        raise _wrong('a node has no recorded value, meta["val"]', node)
    is_operator = isinstance(node.target, OpOverload) or node.target is operator.getitem
    if node.op == "call_function" and not is_operator:
        raise _wrong("only operators of PyTorch and custom operators may be called", node)


def _check_order(node: Node, seen: set[Node]) -> None:
    if node.op == "placeholder" and any(other.op != "placeholder" for other in seen):
        raise _wrong("placeholders must come first", node)
    for operand in node.all_input_nodes:
        if operand not in seen:
            raise _wrong(f"{operand.name} is used before it is computed", node)


def _check_weight(program: Program, node: Node) -> None:
    if not has_name(program.module, str(node.target)):
        raise _wrong(f"there is no weight {node.target}", node)
    got = TensorSpec.of(program.weight(node))
    if got != node_specs(node):
        raise _wrong(f"weight {node.target} is {got}", node)
    if not program.weight(node).is_contiguous():
        raise _wrong(f"weight {node.target} is not dense in row-major order", node)


def _check_call(node: Node) -> None:
    if isinstance(node.target, OpOverload) and node.target._schema.is_mutable:
        raise _wrong("operators must not write to their operands", node)
    try:
        specs = infer(node.target, node.args, node.kwargs)
    except CompileError:
        raise
    except Exception as error:
        message = str(error).strip().splitlines()
        reason = message[0] if message else type(error).__name__
        raise _wrong(f"the operator refuses its operands: {reason}", node) from error
    if specs != node_specs(node):
        raise _wrong(f"the operator gives {specs_text(specs)}, not what is recorded", node)


def _check_unused_weights(program: Program) -> None:
    used = {node.target for node in program.graph.find_nodes(op="get_attr")}
    unused = [name for name in program.weights if name not in used]
    if unused:
        raise CompileError(
            "a weight is not used", at=unused[0], got=f"{len(unused)} such", fix="call tidy()"
        )


def _wrong(what: str, node: Node) -> CompileError:
    got = node_text(node) if "val" in node.meta else node.format_node() or str(node)
    return CompileError(what, at=str(origin_of(node)), got=got)
