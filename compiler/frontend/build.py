"""An exported program, functional and decomposed, as a flat `Program`."""

import operator
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_arg

from ..inference import fake_of
from ..program import Origin, Program
from ..structure import Structure
from ..tensor_spec import TensorSpec
from ..weights import has_name, set_weight
from .emitter import Emitter
from .normalize_math import RULES
from .provenance import origin_of_traced


def build_program(exported: ExportedProgram) -> Program:
    """The flat program of an exported one, in normal form."""
    return _Builder(exported).build()


class _Builder:
    """Copies a lifted graph node by node; `values` maps old nodes to new ones or to constants."""

    def __init__(self, exported: ExportedProgram) -> None:
        self.exported = exported
        self.graph = Graph()
        self.emit = Emitter(self.graph)
        self.module = GraphModule(nn.Module(), Graph())
        self.values: dict[Node, Any] = {}
        self.names: dict[tuple[object, ...], Node] = {}  # identity of a tensor -> its get_attr
        self.input_names: list[str] = []

    def build(self) -> Program:
        placeholders = self.exported.graph.find_nodes(op="placeholder")
        specs = list(zip(placeholders, self.exported.graph_signature.input_specs, strict=True))
        for node, spec in specs:
            if spec.kind is InputKind.USER_INPUT:
                self._input(node, spec.arg)
        for node, spec in specs:
            if spec.kind is not InputKind.USER_INPUT and node.users:
                self.values[node] = self._weight(spec.target or spec.arg.name, self._tensor(spec))
        for node in self.exported.graph.nodes:
            if node.op == "call_function":
                self.values[node] = self._call(node)
        output_names, out_spec = self._outputs()
        self.module.graph = self.graph
        return Program(
            self.module, tuple(self.input_names), output_names, self._in_spec(), out_spec
        )

    def _input(self, node: Node, argument: Any) -> None:
        if isinstance(argument, ConstantArgument):
            self.values[node] = argument.value
            return
        new = self.graph.placeholder(node.name)
        new.meta = {"val": fake_of(TensorSpec.of(node.meta["val"])), "origin": Origin()}
        self.values[node] = new
        self.input_names.append(node.name)

    def _tensor(self, spec: Any) -> torch.Tensor:
        if spec.target in self.exported.state_dict:
            tensor = self.exported.state_dict[spec.target]
        else:
            tensor = self.exported.constants[spec.target]
        assert isinstance(tensor, torch.Tensor)
        return tensor

    def _weight(self, name: str, tensor: torch.Tensor) -> Node:
        identity = (
            tensor.untyped_storage()._cdata,
            tensor.storage_offset(),
            tensor.dtype,
            tuple(tensor.shape),
            tensor.stride(),
        )
        if identity in self.names:
            return self.names[identity]
        if (
            has_name(self.module, name.split(".")[0])
            and name.split(".")[0] not in self.module._modules
        ):
            name = "_" + name
        copied = tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)
        if isinstance(tensor, nn.Parameter):
            copied = nn.Parameter(copied, requires_grad=tensor.requires_grad)
        set_weight(self.module, name, copied)
        node = self.graph.create_node("get_attr", name)
        node.meta = {
            "val": fake_of(TensorSpec.of(copied)),
            "origin": Origin(name.rpartition(".")[0]),
        }
        self.names[identity] = node
        return node

    def _call(self, node: Node) -> Any:
        args, kwargs = map_arg((node.args, node.kwargs), self.values.__getitem__)
        if node.target is operator.getitem:
            source, index = args
            if not isinstance(source, Node):
                return source[index]
            new = self.graph.call_function(operator.getitem, (source, index))
            new.meta = {"val": source.meta["val"][index], "origin": source.meta["origin"]}
            return new
        if "assert" in str(node.target):
            return None
        self.emit.origin = origin_of_traced(node)
        value = node.meta.get("val")
        self.emit.out = TensorSpec.of(value) if isinstance(value, torch.Tensor) else None
        if node.target in RULES:
            return RULES[node.target](self.emit, *args, **kwargs)
        return self.emit(node.target, *args, **kwargs)

    def _outputs(self) -> tuple[tuple[str, ...], Structure]:
        arguments = self.exported.graph.output_node().args[0]
        results, constants = [], {}
        index = 0
        for spec, argument in zip(
            self.exported.graph_signature.output_specs, arguments, strict=True
        ):
            if spec.kind is OutputKind.USER_OUTPUT:
                value = self.values[argument] if isinstance(argument, Node) else argument
                if isinstance(value, Node):
                    results.append(value)
                else:
                    constants[index] = value
                index += 1
            elif spec.kind is OutputKind.BUFFER_MUTATION:
                pass
        self.graph.output(tuple(results))
        structure = Structure(self.exported.call_spec.out_spec, constants)
        names = structure.names()
        if structure.spec.is_leaf():
            names = ("output",)
        return tuple(n if not n[0].isdigit() else f"output_{n}" for n in names), structure

    def _in_spec(self) -> Structure:
        specs = [
            s for s in self.exported.graph_signature.input_specs if s.kind is InputKind.USER_INPUT
        ]
        constants = {
            i: s.arg.value for i, s in enumerate(specs) if isinstance(s.arg, ConstantArgument)
        }
        return Structure(self.exported.call_spec.in_spec, constants)
