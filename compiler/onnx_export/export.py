"""A program as an ONNX model."""

import operator
from collections.abc import Sequence
from typing import Any

import onnx
import torch
from onnx import helper
from torch._ops import OpOverload
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_arg

from ..errors import CompileError
from ..ir.program import Program, node_spec, node_specs
from ..ir.steps import input_steps, output_steps
from ..ir.tensor_spec import TensorSpec
from ..ir.text import op_name, specs_text
from . import operators as operators  # registers what it imports
from .decompose import decompose, ordered_arguments
from .emitter import Emitter, Value
from .registry import emission
from .tensors import element_type

_PENJING = torch.ops.penjing
OLDEST, NEWEST = 13, onnx.defs.onnx_opset_version()
# onnxruntime 1.32 refuses int8 graphs of operator set 21 on x86: where it moves QuantizeLinear it
# writes down a dtype, which it then changes.
_DEFAULT, _WITH_BLOCKS = 20, 21
_BLOCKS = {_PENJING.dequantize_groups.default, _PENJING.linear_int4_rows.default}
_GROUP_NORM = torch.ops.aten.group_norm.default
_QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default


def to_onnx_model(program: Program, opset: int | None = None) -> onnx.ModelProto:
    """A program as an ONNX model with static shapes.

    Inputs, outputs and weights keep their names; nodes are called after the modules that they come
    from. Quantize and dequantize nodes stay what they are; integer operators become the integer
    arithmetic that defines them, bit for bit.

    Raises:
        CompileError: An operator cannot be said in this operator set; it says which, and where.
    """
    opset = default_opset(program) if opset is None else opset
    if not OLDEST <= opset <= NEWEST:
        raise CompileError(
            f"operator sets {OLDEST} to {NEWEST} can be exported", got=f"opset={opset}"
        )
    emit = Emitter(opset)
    inputs = [Value(emit.free_name(name), node_spec(node)) for name, node in _inputs(program)]
    values: dict[Node, Any] = dict(zip(program.input_nodes, inputs, strict=True))
    weights = {name: emit.weight(name, tensor) for name, tensor in program.weights.items()}
    values |= {node: weights[node.target] for node in program.graph.find_nodes(op="get_attr")}
    _emit_calls(emit, program.graph, values)
    results = [values[node] for node in program.output_nodes]
    outputs = _name_outputs(emit, results, program.output_names, inputs)
    return _model(emit, program, inputs, outputs)


def default_opset(program: Program) -> int:
    """20, or 21 for weights with steps for groups, and for norms of groups of real numbers."""
    targets = {node.target for node in program.graph.nodes}
    is_real = _QUANTIZE not in targets
    needs_newer = targets & _BLOCKS or (is_real and _GROUP_NORM in targets)
    return _WITH_BLOCKS if needs_newer else _DEFAULT


def _inputs(program: Program) -> list[tuple[str, Node]]:
    return list(zip(program.input_names, program.input_nodes, strict=True))


def _emit_calls(emit: Emitter, graph: Graph, values: dict[Node, Any]) -> None:
    """Say every call of a graph; `values` becomes what each node is."""
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        if node.target is operator.getitem:
            values[node] = values[node.args[0]][node.args[1]]
        else:
            values[node] = _emit_call(emit, node, values)


def _emit_call(emit: Emitter, node: Node, values: dict[Node, Any]) -> Any:
    assert isinstance(node.target, OpOverload), node
    emit.operator, emit.specs = op_name(node.target), node_specs(node)
    emit.origin = node.meta.get("origin", emit.origin)  # parts of an operator have its own
    rule = emission(node.target)
    if rule is not None:
        arguments = map_arg(ordered_arguments(node), lambda operand: values[operand])
        return _with_specs(rule(emit, *arguments), node_specs(node))
    parts = decompose(node)
    if parts is None:
        raise CompileError(
            f"the operator {emit.operator} cannot be exported to ONNX",
            at=str(emit.origin),
            got=f"{emit.operator} -> {specs_text(node_specs(node))}",
            fix="replace it in the model, or say it with @emits in penjing's onnx_export/operators",
        )
    return _emit_parts(emit, parts[0], [values[operand] for operand in parts[1]])


def _emit_parts(emit: Emitter, module: GraphModule, operands: Sequence[Value]) -> Any:
    """What an operator is decomposed into."""
    graph = module.graph
    values: dict[Node, Any] = dict(zip(graph.find_nodes(op="placeholder"), operands, strict=True))
    for node in graph.find_nodes(op="get_attr"):
        values[node] = emit.constant(getattr(module, str(node.target)))
    _emit_calls(emit, graph, values)
    return map_arg(graph.output_node().args[0], lambda node: values[node])


def _with_specs(result: Any, specs: Any) -> Any:
    """Results of an operator with the specs that the program records."""
    if isinstance(specs, TensorSpec):
        assert isinstance(result, Value), result
        return Value(result.name, specs, result.tensor)
    pairs = zip(result, specs, strict=True)
    return [None if value is None else Value(value.name, spec) for value, spec in pairs]


def _name_outputs(
    emit: Emitter, results: Sequence[Value], names: Sequence[str], inputs: Sequence[Value]
) -> list[Value]:
    """Give results the names of outputs; an input, a weight and a second output are copied."""
    fixed = {value.name: value.name for value in inputs}
    fixed |= {name: name for name in emit.initializers}
    outputs = []
    for result, wanted in zip(results, names, strict=True):
        name = emit.free_name(wanted)
        if result.name in fixed:
            emit.rename(emit("Identity", Value(fixed[result.name])).name, name)
        else:
            emit.rename(result.name, name)
            fixed[result.name] = name
        outputs.append(Value(name, result.spec))
    return outputs


def _model(
    emit: Emitter, program: Program, inputs: Sequence[Value], outputs: Sequence[Value]
) -> onnx.ModelProto:
    nodes = _needed(emit.nodes, {value.name for value in outputs})
    read = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "program",
        [_info(value) for value in inputs],
        [_info(value) for value in outputs],
        [proto for name, proto in emit.initializers.items() if name in read],
    )
    version = helper.make_opsetid("", emit.opset)
    model = helper.make_model(
        graph,
        opset_imports=[version],
        ir_version=helper.find_min_ir_version_for([version]),
        producer_name="penjing",
    )
    helper.set_model_props(model, _steps(program, inputs, outputs))
    return model


def _needed(nodes: Sequence[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """The nodes that something wanted depends on."""
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def _info(value: Value) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(value.name, element_type(value.dtype), value.shape)


def _steps(program: Program, inputs: Sequence[Value], outputs: Sequence[Value]) -> dict[str, str]:
    """What integers that go in and out stand for: scale * (integer - zero point)."""
    pairs = [*zip(inputs, input_steps(program), strict=True)]
    pairs += zip(outputs, output_steps(program), strict=True)
    noted = [(value.name, steps) for value, steps in pairs if steps is not None]
    scales = {f"{name}.scale": repr(steps.scale) for name, steps in noted}
    return scales | {f"{name}.zero_point": str(steps.zero_point) for name, steps in noted}
