"""An exported program, functional and decomposed, as a flat `Program`."""

import operator
from typing import Any

import torch
from torch import nn
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_arg

from ..errors import CompileError
from ..inference import fake_of
from ..program import Origin, Program
from ..structure import Structure
from ..tensor_spec import TensorSpec
from . import normal_forms as normal_forms
from .emitter import Emitter
from .normalize import normal_form
from .provenance import origin_of_traced
from .refusals import refuse_call, refuse_kept_state
from .weight_table import WeightTable

_ATEN = torch.ops.aten
# Checks that tracing has already passed; they have no result.
_CHECKS = frozenset(
    {
        _ATEN._assert_async.default,
        _ATEN._assert_async.msg,
        _ATEN._assert_scalar.default,
        _ATEN._assert_tensor_metadata.default,
        _ATEN.sym_constrain_range.default,
        _ATEN.sym_constrain_range_for_size.default,
    }
)


def build_program(exported: ExportedProgram) -> Program:
    """The flat program of an exported one, in normal form."""
    return _Builder(exported).build()


class _Builder:
    """Copies a lifted graph node by node; `values` maps old nodes to new ones or to constants."""

    def __init__(self, exported: ExportedProgram) -> None:
        self.exported = exported
        self.graph = Graph()
        self.emit = Emitter(self.graph)
        self.weights = WeightTable(exported, self.graph)
        self.values: dict[Node, Any] = {}
        self.input_names: list[str] = []

    def build(self) -> Program:
        placeholders = self.exported.graph.find_nodes(op="placeholder")
        signature = self.exported.graph_signature
        for node, spec in zip(placeholders, signature.input_specs, strict=True):
            if spec.kind is InputKind.USER_INPUT:
                self.values[node] = self._input(node, spec.arg)
        for node, spec in zip(placeholders, signature.input_specs, strict=True):
            if spec.kind is not InputKind.USER_INPUT and node.users:
                self.values[node] = self.weights.node(spec)
        for node in self.exported.graph.nodes:
            if node.op == "call_function" and node.target not in _CHECKS:
                self.values[node] = self._call(node)
        output_names, out_spec = self._outputs()
        module = GraphModule(nn.Module(), Graph())
        self.weights.store(module)
        module.graph = self.graph
        names = tuple(self.input_names)
        program = Program(module, names, output_names, self._in_spec(), out_spec)
        program.tidy()
        mutated = signature.buffers_to_mutate.values()
        refuse_kept_state(program, {self.weights.names[name] for name in mutated})
        return program

    def _input(self, node: Node, argument: Any) -> Any:
        if isinstance(argument, ConstantArgument):
            return argument.value
        new = self.graph.placeholder(node.name)
        new.meta = {"val": fake_of(TensorSpec.of(node.meta["val"])), "origin": Origin()}
        self.input_names.append(node.name)
        return new

    def _call(self, node: Node) -> Any:
        args: Any
        args, kwargs = map_arg((node.args, node.kwargs), self.values.__getitem__)
        if node.target is operator.getitem:
            return self._item(*args)
        origin = origin_of_traced(node)
        refuse_call(node, origin)
        assert isinstance(node.target, OpOverload), node.target
        self.emit.origin, self.emit.traced = origin, node
        try:
            rule = normal_form(node.target)
            return (
                rule(self.emit, *args, **kwargs)
                if rule
                else self.emit(node.target, *args, **kwargs)
            )
        except CompileError as error:
            got = f"{node.target}: {error.got}"
            raise CompileError(error.what, at=str(origin), got=got, fix=error.fix) from error

    def _item(self, source: Any, index: int) -> Any:
        if not isinstance(source, Node):
            return source[index]
        new = self.graph.call_function(operator.getitem, (source, index))
        new.meta = {"val": source.meta["val"][index], "origin": source.meta["origin"]}
        return new

    def _outputs(self) -> tuple[tuple[str, ...], Structure]:
        results = self.exported.graph.output_node().args[0]
        specs = self.exported.graph_signature.output_specs
        assert isinstance(results, (tuple, list))
        values = [
            self.values[result] if isinstance(result, Node) else result
            for spec, result in zip(specs, results, strict=True)
            if spec.kind is OutputKind.USER_OUTPUT
        ]
        self.graph.output(tuple(value for value in values if isinstance(value, Node)))
        constants = {i: value for i, value in enumerate(values) if not isinstance(value, Node)}
        assert self.exported.call_spec.out_spec is not None
        structure = Structure(self.exported.call_spec.out_spec, constants)
        return structure.names("output"), structure

    def _in_spec(self) -> Structure:
        specs = self.exported.graph_signature.input_specs
        arguments = [spec.arg for spec in specs if spec.kind is InputKind.USER_INPUT]
        constants: dict[int, object] = {
            index: argument.value
            for index, argument in enumerate(arguments)
            if isinstance(argument, ConstantArgument)
        }
        assert self.exported.call_spec.in_spec is not None
        return Structure(self.exported.call_spec.in_spec, constants)
