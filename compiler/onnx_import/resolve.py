"""Walks an ONNX graph once: what is known becomes numbers, everything else a list of steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from onnx import FunctionProto, GraphProto, NodeProto, TensorProto

from ..errors import CompileError
from . import constants as constants
from . import control_flow as control_flow
from . import operators as operators
from . import sequences as sequences
from .attributes import read_attributes
from .calculate import Calculator
from .call import Call, Value
from .check_call import check_call
from .clean import clean
from .dynamic_products import join_dynamic_products
from .functions import body_in_schema, functions_of, opsets_of
from .join_functions import join_functions
from .load import Source
from .node_names import node_name
from .read_tensor import read_sparse, read_tensor
from .registry import MICROSOFT, STANDARD, translation
from .scope import Scope
from .steps import Steps
from .structural import structural

MAX_VISITS = 20_000  # of nodes, in every iteration and call
MAX_DEPTH = 40
_RANDOM = (
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
)


class Resolver(Calculator):
    """Walks graphs, the bodies of functions and those of control flow, node by node."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._functions = functions_of(source.model)
        self._visits = 0
        self._cleaned: dict[tuple[int, tuple[str, ...]], tuple[object, list[NodeProto]]] = {}
        self._weights: dict[int, tuple[TensorProto, Value]] = {}
        self._attributes: dict[int, tuple[NodeProto, dict[str, Any]]] = {}

    def resolve(self, inputs: Mapping[str, Any]) -> Steps:
        """The steps of the whole graph, for example inputs by name."""
        values = {name: self.make.input(name, example) for name, example in inputs.items()}
        self.steps.inputs = list(values.values())
        scope = Scope(self._source.opsets)
        self.steps.outputs = self.run_graph(self._source.model.graph, scope, values)
        return self.steps.without_dead()

    def run_graph(
        self, graph: GraphProto, scope: Scope, inputs: Mapping[str, Value | None]
    ) -> list[Value]:
        """Walk a graph; its outputs.

        Args:
            graph: The main graph or one of a node with control flow.
            scope: A fresh one of its own.
            inputs: By the names that they have in the graph.
        """
        self._count_visit(scope)
        at = scope.prefix or graph.name or "the graph"
        for name, value in inputs.items():
            scope.define(name, value, at)
        for tensor in graph.initializer:
            scope.define(tensor.name, self._weight(tensor), at)
        for sparse in graph.sparse_initializer:
            array, name = read_sparse(sparse, self._source.folder), sparse.values.name
            scope.define(name, self.make.weight_or_number(name, array), at)
        names = [value.name for value in graph.output]
        self._run_nodes(graph, names, scope)
        return [self._output(name, scope, at) for name in names]

    def _run_nodes(
        self, graph: GraphProto | FunctionProto, outputs: Sequence[str], scope: Scope
    ) -> None:
        """Walk the nodes that `outputs` need; the results get their names in `scope`."""
        if scope.depth > MAX_DEPTH:
            raise CompileError(
                f"functions and graphs are nested more than {MAX_DEPTH} deep", at=scope.prefix
            )
        key = id(graph), tuple(outputs)
        if key not in self._cleaned:
            joined = join_functions(graph.node, outputs, getattr(graph, "initializer", ()))
            joined = join_dynamic_products(joined, outputs)
            self._cleaned[key] = graph, clean(joined, outputs)
        for index, node in enumerate(self._cleaned[key][1]):
            self._count_visit(scope)
            call = self._call(node, index, scope)
            self._define(node, call, self._results(call, scope, list(node.output)), scope)

    def _results(self, call: Call, scope: Scope, names: Sequence[str]) -> Sequence[Value | None]:
        """What a node gives.

        Raises:
            CompileError: No translation, function or schema says what the operator does.
        """
        if call.domain == STANDARD and call.op_type in _RANDOM:
            raise call.refused("it draws random numbers; pass them as inputs")
        check_call(call)
        if handler := structural(call):
            return handler(self, call, scope)
        own = translation(call.domain, call.op_type)
        function = self._functions.get((call.domain, call.op_type))
        if function is not None and (own is None or call.domain not in (STANDARD, MICROSOFT)):
            return self._call_function(function, call, scope)
        if own is not None:
            return self.apply(own, call, names)
        body = body_in_schema(call)
        if body is None:
            raise call.refused("penjing has no translation of it, and ONNX gives no function body")
        return self._call_function(body, call, scope)

    def _call_function(
        self, function: FunctionProto, call: Call, scope: Scope
    ) -> list[Value | None]:
        defaults = NodeProto(attribute=function.attribute_proto)
        given = {**self._read_attributes(defaults, {}), **call.attributes}
        inner = scope.called(f"{call.name}/", opsets_of(function, scope), given)
        for index, name in enumerate(function.input):
            inner.define(name, call.value(index) if call.has(index) else None, call.name)
        pairs = zip(function.output, call.outputs_wanted, strict=False)
        names = [name if is_wanted else "" for name, is_wanted in pairs]
        self._run_nodes(function, [name for name in names if name], inner)
        return [inner.read(name, call.name) for name in names]

    def _call(self, node: NodeProto, index: int, scope: Scope) -> Call:
        name = scope.prefix + node_name(node, index)
        domain = STANDARD if node.domain == "ai.onnx" else node.domain
        if domain == STANDARD and domain not in scope.opsets:
            raise CompileError(
                "the ONNX model does not say which operator set it uses",
                at=name,
                got=node.op_type,
                fix="export the model again",
            )
        return Call(
            op_type=node.op_type,
            name=name,
            opset=scope.opsets.get(domain, 1),
            inputs=[scope.read(read, name) for read in node.input],
            attributes=self._read_attributes(node, scope.attributes),
            output_count=len(node.output),
            outputs_wanted=[output != "" for output in node.output],
            domain=domain,
        )

    def _define(
        self, node: NodeProto, call: Call, results: Sequence[Value | None], scope: Scope
    ) -> None:
        for index, name in enumerate(node.output):
            value = results[index] if index < len(results) else None
            if name and value is None:
                raise call.refused(f"its result {index}, {name}, is not calculated")
            if name:
                scope.define(name, value, call.name)

    def _output(self, name: str, scope: Scope, at: str) -> Value:
        value = scope.read(name, at)
        if value is None:
            raise CompileError("an output of the ONNX graph has no value", at=at, got=repr(name))
        return value

    def _weight(self, tensor: TensorProto) -> Value:
        """The value of an initializer; one for all iterations of the loop that it is in."""
        if id(tensor) not in self._weights:
            array = read_tensor(tensor, self._source.folder)
            value = self.make.weight_or_number(tensor.name, array)
            self._weights[id(tensor)] = tensor, value
        return self._weights[id(tensor)][1]

    def _read_attributes(self, node: NodeProto, given: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes of a node, the same arrays for all iterations."""
        if any(attribute.ref_attr_name for attribute in node.attribute):
            return read_attributes(node, self._source.folder, given)
        if id(node) not in self._attributes:
            self._attributes[id(node)] = node, read_attributes(node, self._source.folder, given)
        return self._attributes[id(node)][1]

    def _count_visit(self, scope: Scope) -> None:
        self._visits += 1
        if self._visits > MAX_VISITS:
            raise CompileError(
                f"the graph unrolls to more than {MAX_VISITS} nodes",
                at=scope.prefix,
                fix="loops must be short: every iteration becomes code of its own",
            )
