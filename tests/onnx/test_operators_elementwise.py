"""Elementwise operators of ONNX against the node tests of the onnx package."""

from .node_cases import NodeCase, parametrize, run_case


@parametrize("Add", "Relu")
def test_node_case(case: NodeCase) -> None:
    run_case(case)
