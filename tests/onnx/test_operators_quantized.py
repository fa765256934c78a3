"""Operators on quantized tensors against the node tests of the onnx package."""

from dataclasses import replace

import pytest
import torch

from penjing.compiler.onnx_import.registry import translation

from .node_cases import NodeCase, call_of, check_results, parametrize

_PARAMETERS = {
    "QuantizeLinear": (1, 2),
    "DequantizeLinear": (1, 2),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
}


@pytest.mark.parametrize("with_known_parameters", [True, False])
@parametrize(
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
)
def test_node_case(case: NodeCase, with_known_parameters: bool) -> None:
    call = call_of(case)
    op = case.node.op_type
    known = _PARAMETERS.get(op, ()) if with_known_parameters else ()
    inputs = [
        replace(value, known=value.tensor.numpy())
        if value and value.tensor is not None and index in known
        else value
        for index, value in enumerate(call.inputs)
    ]
    function = translation(case.node.domain, op)
    assert function is not None
    with torch.no_grad():
        results = function(replace(call, inputs=inputs))
    check_results(case, results if isinstance(results, tuple) else (results,))
