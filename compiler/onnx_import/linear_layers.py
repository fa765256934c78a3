"""Products with a weight matrix become linear layers, whose weights lie as PyTorch keeps them.

ONNX has MatMul and Add, and Gemm with a matrix of either orientation. As layers, with a weight of
[outputs, inputs] that is a parameter and not a transposed one, they can be pruned and quantized.
"""

from dataclasses import replace

import numpy as np
from torch import Tensor
from torch.nn import functional

from .call import Call, Value
from .registry import STANDARD
from .steps import Step, Steps, leaves


def join_linear_layers(steps: Steps) -> Steps:
    """The same model with linear layers in place of MatMul, MatMul and Add, and Gemm."""
    joiner = _Joiner(steps)
    joined = [joiner.join(step) for step in steps.steps]
    return replace(steps, steps=[step for step in joined if step is not None]).without_dead()


class _Joiner:
    def __init__(self, steps: Steps) -> None:
        self._readers: dict[int, list[Step | None]] = {}
        for step in steps.steps:
            for value in leaves(step.call.inputs):
                self._readers.setdefault(id(value), []).append(step)
        for value in leaves(steps.outputs):
            self._readers.setdefault(id(value), []).append(None)
        rounded = {id(step.outputs[0]) for step in steps.steps if _is(step, "DequantizeLinear")}
        self._turned = {
            id(step.outputs[0]): step.call.inputs[0]
            for step in steps.steps
            if _turns_matrix(step, rounded)
        }
        self._transposed: dict[int, Value] = {}
        self._pending: dict[int, Step] = {}  # products that wait for what is added to them

    def join(self, step: Step) -> Step | None:
        """What stands in place of a step; None where a later one takes it over."""
        if _is(step, "Gemm") and self._may_transpose(step):
            return self._as_gemm(step)
        weight = self._layer_weight(step)
        if weight is not None:
            layer = _layer(step, [step.call.inputs[0], weight], step.outputs)
            if self._bias(step) is None:
                return layer
            (adding,) = self._readers[id(step.outputs[0])]
            self._pending[id(adding)] = layer
            return None
        if id(step) in self._pending:
            layer = self._pending[id(step)]
            (bias,) = (v for v in step.call.inputs if v is not layer.outputs[0])
            return _layer(layer, [*layer.call.inputs, bias], step.outputs)
        return step

    def _layer_weight(self, step: Step) -> Value | None:
        """The weight of [outputs, inputs] that a product has, if it is a linear layer."""
        if not _is(step, "MatMul"):
            return None
        right = step.call.value(1)
        if id(right) in self._turned:
            return self._turned[id(right)]
        return self._transpose(right) if self._may_transpose(step) else None

    def _may_transpose(self, step: Step) -> bool:
        """Whether the right operand is a weight matrix that all readers want transposed."""
        weight = step.call.value(1)
        if not _is_parameter(weight, 2) or step.call.tensor(0).dim() < 1:
            return False
        return all(_wants_transposed(reader, weight) for reader in self._readers[id(weight)])

    def _transpose(self, weight: Value) -> Value:
        if id(weight) not in self._transposed:
            assert weight.known is not None and weight.tensor is not None
            known = np.ascontiguousarray(weight.known.T)
            self._transposed[id(weight)] = replace(weight, tensor=weight.tensor.t(), known=known)
        return self._transposed[id(weight)]

    def _as_gemm(self, step: Step) -> Step:
        inputs = [step.call.inputs[0], self._transpose(step.call.value(1)), *step.call.inputs[2:]]
        attributes = {**step.call.attributes, "transB": 1}
        return replace(step, call=replace(step.call, inputs=inputs, attributes=attributes))

    def _bias(self, step: Step) -> Value | None:
        """The vector that the only reader of a product adds to it."""
        readers = self._readers.get(id(step.outputs[0]), [])
        if len(readers) != 1 or readers[0] is None or not _is(readers[0], "Add"):
            return None
        first, second = readers[0].call.inputs
        bias = second if first is step.outputs[0] else first
        product = step.outputs[0]
        if bias is None or product is None or bias is product or not _is_parameter(bias, 1):
            return None
        assert bias.tensor is not None and product.tensor is not None
        return bias if bias.tensor.shape[0] == product.tensor.shape[-1] else None


def _layer(step: Step, inputs: list[Value | None], outputs: list[Value | None]) -> Step:
    return Step(_linear, replace(step.call, inputs=inputs, attributes={}), outputs)


def _linear(call: Call) -> Tensor:
    return functional.linear(call.tensor(0), call.tensor(1), call.optional(2))


def _is(step: Step, op_type: str) -> bool:
    return step.call.op_type == op_type and step.call.domain == STANDARD


def _turns_matrix(step: Step, rounded: set[int]) -> bool:
    """Whether a step transposes a weight matrix, or one of integers that stand for reals."""
    if not _is(step, "Transpose"):
        return False
    matrix = step.call.value(0)
    is_weight = _is_parameter(matrix, 2) or (
        id(matrix) in rounded and step.call.tensor(0).dim() == 2
    )
    return is_weight and list(step.call.attributes.get("perm", (1, 0))) == [1, 0]


def _is_parameter(value: Value, axes: int) -> bool:
    tensor = value.tensor
    is_float = tensor is not None and tensor.is_floating_point() and tensor.dim() == axes
    return is_float and value.is_weight and value.known is not None


def _wants_transposed(reader: Step | None, weight: Value) -> bool:
    if reader is None or not (_is(reader, "MatMul") or _is(reader, "Gemm")):
        return False
    is_right = [value is weight for value in reader.call.inputs] == [
        index == 1 for index in range(len(reader.call.inputs))
    ]
    return is_right and not reader.call.attributes.get("transB", 0)
