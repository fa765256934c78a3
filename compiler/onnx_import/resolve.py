"""Walks an ONNX graph once: what is known becomes numbers, everything else a list of steps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from onnx import GraphProto, NodeProto

from ..errors import CompileError
from ..ir.tensor_spec import holds
from . import constants as constants
from . import operators as operators
from .attributes import read_attributes
from .call import Call, Value
from .clean import clean
from .evaluate import byte_count, numbers_of_results, shapes_of_results
from .functions import body_in_schema, functions_of, opsets_of
from .load import Source
from .read_tensor import read_sparse, read_tensor
from .registry import MICROSOFT, STANDARD, Translation, translation
from .scope import Scope
from .steps import Step, Steps, leaves
from .structural import structural
from .values import ValueMaker

MAX_VISITS = 200_000  # nodes, counted once for every iteration and call
MAX_STEPS = 50_000
MAX_DEPTH = 40
MAX_NUMBER_BYTES = 1 << 24  # calculated here and not in the program
MAX_FILLED_BYTES = 1 << 29  # of what only repeats a number, as weights of sample models do
MAX_TOTAL_BYTES = 1 << 31
MAX_RESULT_BYTES = 1 << 36
_FILLS = ("ConstantOfShape",)


class Resolver:
    """What is known while a graph is walked.

    Attributes:
        steps: Grows as nodes are met whose results depend on the inputs.
        make: Makes values.
    """

    def __init__(self, source: Source) -> None:
        self.steps = Steps()
        self.make = ValueMaker()
        self._source = source
        self._functions = functions_of(source.model)
        self._visits = 0
        self._bytes_left = MAX_TOTAL_BYTES

    def resolve(self, inputs: Mapping[str, Any]) -> Steps:
        """The steps of the whole graph, for example inputs by name."""
        graph = self._source.model.graph
        values = {name: self.make.input(name, example) for name, example in inputs.items()}
        self.steps.inputs = list(values.values())
        scope = Scope(self._source.opsets)
        self.steps.outputs = self.run_graph(graph, scope, values)
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
        at = scope.prefix or graph.name or "the graph"
        for name, value in inputs.items():
            scope.define(name, value, at)
        for tensor in graph.initializer:
            array = read_tensor(tensor, self._source.folder)
            scope.define(tensor.name, self.make.weight_or_number(tensor.name, array), at)
        for sparse in graph.sparse_initializer:
            array, name = read_sparse(sparse, self._source.folder), sparse.values.name
            scope.define(name, self.make.weight_or_number(name, array), at)
        names = [value.name for value in graph.output]
        self.run_nodes(graph.node, names, scope)
        return [self._output(name, scope, at) for name in names]

    def run_nodes(self, nodes: Sequence[NodeProto], outputs: Sequence[str], scope: Scope) -> None:
        """Walk the nodes that `outputs` need; the results get their names in `scope`."""
        if scope.depth > MAX_DEPTH:
            raise CompileError(
                f"functions and graphs are nested more than {MAX_DEPTH} deep", at=scope.prefix
            )
        for index, node in enumerate(clean(nodes, outputs)):
            self._count_visit(scope)
            call = self._call(node, index, scope)
            results = self.results(call, scope, list(node.output))
            self._define(node, call, results, scope)

    def results(self, call: Call, scope: Scope, names: Sequence[str]) -> Sequence[Value | None]:
        """What a node gives.

        Raises:
            CompileError: No translation, function or schema says what the operator does.
        """
        if handler := structural(call):
            return handler(self, call, scope)
        own = translation(call.domain, call.op_type)
        function = self._functions.get((call.domain, call.op_type))
        if function is not None and (own is None or call.domain not in (STANDARD, MICROSOFT)):
            return self._call_function(function, call, opsets_of(function, scope), scope)
        if own is not None:
            return self.apply(own, call, names)
        body = body_in_schema(call)
        if body is None:
            raise call.refused("penjing has no translation of it, and ONNX gives no function body")
        return self._call_function(body, call, opsets_of(body, scope), scope)

    def apply(
        self, function: Translation, call: Call, names: Sequence[str] = ()
    ) -> list[Value | None]:
        """Calculate the results if all inputs are numbers, else take the node as a step."""
        step = Step(function, call, [])
        inputs = list(leaves(call.inputs))
        are_known = all(value.is_known for value in inputs)
        are_numbers = are_known and not any(value.is_weight for value in inputs)
        results = shapes_of_results(step, self.make.fake_mode)
        if results is None:
            if not are_known:
                raise call.refused(
                    "the shape of its result, or a branch of its calculation, depends on values"
                    " of the inputs of the model"
                )
            return self._named(numbers_of_results(step), names)
        self._check_size(call, results)
        if are_numbers and not _is_kept(call) and self._affords(call, results):
            return self._named(numbers_of_results(step), names)
        if all(isinstance(result, np.ndarray) for result in results if result is not None):
            return self._named(results, names)
        lazy = _Lazy(step) if are_known else None
        step.outputs = self._named(results, names, lazy)
        self._check_dtypes(step)
        self.steps.steps.append(step)
        if len(self.steps.steps) > MAX_STEPS:
            raise call.refused(f"the graph unrolls to more than {MAX_STEPS} nodes")
        return step.outputs

    def emit(self, call: Call, op_type: str, inputs: Sequence[Value], **attributes: Any) -> Value:
        """One standard operator in place of a part of a node.

        Args:
            call: The node.
            op_type: With one result.
            inputs: Of the operator.
            attributes: Of the operator.
        """
        function = translation(STANDARD, op_type)
        if function is None:
            raise call.refused(f"penjing has no translation of {op_type}")
        part = Call(op_type, call.name, call.opset, inputs, attributes)
        (result,) = self.apply(function, part, [f"{call.name}/{op_type}"])
        assert result is not None
        return result

    def _call_function(
        self, function: Any, call: Call, opsets: Mapping[str, int], scope: Scope
    ) -> list[Value | None]:
        defaults = {attribute.name: attribute for attribute in function.attribute_proto}
        given = dict(
            read_attributes(NodeProto(attribute=defaults.values()), self._source.folder, {})
        )
        inner = scope.called(f"{call.name}/", opsets, {**given, **call.attributes})
        for index, name in enumerate(function.input):
            inner.define(name, call.value(index) if call.has(index) else None, call.name)
        self.run_nodes(function.node, list(function.output), inner)
        return [inner.read(name, call.name) for name in function.output]

    def _call(self, node: NodeProto, index: int, scope: Scope) -> Call:
        name = scope.prefix + (node.name or f"{node.op_type}_{index}")
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
            attributes=read_attributes(node, self._source.folder, scope.attributes),
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

    def _named(
        self, results: Sequence[Any], names: Sequence[str], lazy: "_Lazy | None" = None
    ) -> list[Value | None]:
        every = [*names, *[""] * (len(results) - len(names))]
        return [
            self.make.result(name, result, None if lazy is None else lazy.result(index))
            for index, (name, result) in enumerate(zip(every, results, strict=False))
        ]

    def _affords(self, call: Call, results: Sequence[Any]) -> bool:
        """Whether to calculate known results here; takes them from what may be calculated."""
        size = byte_count(results)
        if size > (MAX_FILLED_BYTES if call.op_type in _FILLS else MAX_NUMBER_BYTES):
            return False
        self._bytes_left -= size
        return self._bytes_left >= 0

    def _count_visit(self, scope: Scope) -> None:
        self._visits += 1
        if self._visits > MAX_VISITS:
            raise CompileError(
                f"the graph unrolls to more than {MAX_VISITS} nodes",
                at=scope.prefix,
                fix="loops must be short: every iteration becomes code of its own",
            )

    def _check_size(self, call: Call, results: Sequence[Any]) -> None:
        if (size := byte_count(results)) > MAX_RESULT_BYTES:
            raise call.refused(f"its result has {size} bytes")

    def _check_dtypes(self, step: Step) -> None:
        for value in leaves(step.outputs):
            tensor = value.tensor
            if tensor is not None and not (holds(tensor.dtype) or tensor.is_complex()):
                dtype = str(tensor.dtype).removeprefix("torch.")
                raise step.call.refused(f"its result is {dtype}, which programs do not hold")


class _Lazy:
    """The numbers of a step that depends on weights alone, calculated when first asked for."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._results: tuple[Any, ...] | None = None

    def result(self, index: int) -> Callable[[], np.ndarray]:
        """Gives one of the results."""

        def compute() -> np.ndarray:
            if self._results is None:
                self._results = numbers_of_results(self._step)
            found: np.ndarray = self._results[index]
            return found

        return compute


def _is_kept(call: Call) -> bool:
    """Whether a calculation on numbers stays in the program: dequantized biases of layers."""
    source = call.inputs[0].tensor if call.inputs and call.inputs[0] else None
    is_wide = source is not None and source.dtype is torch.int32 and source.numel() > 1
    return call.op_type == "DequantizeLinear" and is_wide
