"""An exported program, functional and decomposed, as a flat `Program`."""

import operator
from typing import Any

from torch import nn
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_arg

from ..errors import CompileError
from ..ir.inference import fake_of
from ..ir.program import Origin, Program
from ..ir.tensor_spec import TensorSpec
from .export import Exported
from .forms import rules as rules
from .forms.complex_numbers import Complex, calculates_complex, emit_complex
from .forms.emitter import Emitter
from .forms.registry import emit_normal
from .provenance import origin_of_traced
from .refusals import refuse_call, refuse_kept_state
from .weight_table import WeightTable


def build_program(exported: Exported) -> Program:
    """The flat program of an exported one, which is functional and decomposed, in normal form."""
    return _Builder(exported).build()


class _Builder:
    """Copies a lifted graph node by node; `values` maps old nodes to new ones or to constants."""

    def __init__(self, exported: Exported) -> None:
        self.interface = exported
        self.exported = exported.program
        self.graph = Graph()
        self.emit = Emitter(self.graph)
        self.weights = WeightTable(exported.program, exported.root, self.graph)
        self.values: dict[Node, Any] = {}

    def build(self) -> Program:
        self._placeholders()
        needed = _needed_nodes(self.exported)
        for node in self.exported.graph.nodes:
            if node.op == "call_function" and node in needed:
                self.values[node] = self._call(node)
        self._output()
        module = GraphModule(nn.Module(), Graph())
        self.weights.store(module)
        module.graph = self.graph
        own = self.interface
        output_names = own.output_names or own.out_spec.names("output")
        program = Program(module, own.input_names, output_names, own.in_spec, own.out_spec)
        program.tidy()
        mutated = self.exported.graph_signature.buffers_to_mutate.values()
        refuse_kept_state(program, {self.weights.names.get(name) for name in mutated})
        return program

    def _placeholders(self) -> None:
        """Inputs first, then the weights that anything reads."""
        placeholders = self.exported.graph.find_nodes(op="placeholder")
        specs = self.exported.graph_signature.input_specs
        names = iter(self.interface.input_names)
        for node, spec in zip(placeholders, specs, strict=True):
            if spec.kind is not InputKind.USER_INPUT:
                continue
            is_constant = isinstance(spec.arg, ConstantArgument)
            self.values[node] = spec.arg.value if is_constant else self._input(node, next(names))
        for node, spec in zip(placeholders, specs, strict=True):
            if spec.kind not in (InputKind.USER_INPUT, InputKind.TOKEN) and node.users:
                self.values[node] = self.weights.node(spec)

    def _input(self, node: Node, name: str) -> Node:
        new = self.graph.placeholder(name)
        new.meta = {"val": fake_of(TensorSpec.of(node.meta["val"])), "origin": Origin()}
        return new

    def _call(self, node: Node) -> Any:
        origin = origin_of_traced(node, self.interface.root)
        refuse_call(node, origin)
        args: Any
        args, kwargs = map_arg((node.args, node.kwargs), self.values.__getitem__)
        if node.target is operator.getitem:
            return self._item(*args)
        assert isinstance(node.target, OpOverload), node.target
        self.emit.origin, self.emit.traced = origin, node
        try:
            if calculates_complex(node, (args, kwargs)):
                return emit_complex(self.emit, node.target, args, kwargs)
            return emit_normal(self.emit, node.target, args, kwargs)
        except CompileError as error:
            got = ": ".join(filter(None, (str(node.target), error.got)))
            raise CompileError(error.what, at=str(origin), got=got, fix=error.fix) from error

    def _item(self, source: Any, index: int) -> Any:
        if not isinstance(source, Node):
            return source[index]
        new = self.graph.call_function(operator.getitem, (source, index))
        new.meta = {"val": source.meta["val"][index], "origin": source.meta["origin"]}
        return new

    def _output(self) -> None:
        tensors = tuple(self.values[node] for node in _results(self.exported))
        if not tensors:
            raise CompileError("the model returns no tensor", fix="return what is to be computed")
        if any(isinstance(tensor, Complex) for tensor in tensors):
            raise CompileError(
                "results must be real", got="a complex tensor", fix="return torch.view_as_real(...)"
            )
        self.graph.output(tensors)


def _results(exported: ExportedProgram) -> list[Node]:
    """The nodes that the user's model returns, without those that are written to its state."""
    results = exported.graph.output_node().args[0]
    assert isinstance(results, (tuple, list))
    pairs = zip(exported.graph_signature.output_specs, results, strict=True)
    wanted = [result for spec, result in pairs if spec.kind is OutputKind.USER_OUTPUT]
    return [result for result in wanted if isinstance(result, Node)]


def _needed_nodes(exported: ExportedProgram) -> set[Node]:
    """Everything that a result depends on; checks and writes to state are not among it."""
    needed: set[Node] = set()
    todo = _results(exported)
    while todo:
        node = todo.pop()
        if node not in needed:
            needed.add(node)
            todo += node.all_input_nodes
    return needed
