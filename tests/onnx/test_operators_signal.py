"""Transforms, sampling and optimizers against the node tests of the onnx package."""

from dataclasses import replace

import pytest

from penjing.compiler.errors import CompileError

from .node_cases import NodeCase, node_cases, parametrize, run_case


@parametrize("DFT", "STFT", "GridSample", "RoiAlign", "Adagrad", "Adam", "Momentum")
def test_node_case(case: NodeCase) -> None:
    run_case(replace(case, absolute_tolerance=1e-6))  # sums of values around 1 that cancel out


@parametrize(
    "HannWindow", "HammingWindow", "BlackmanWindow", "MelWeightMatrix", "NonMaxSuppression"
)
def test_node_case_of_known_inputs(case: NodeCase) -> None:
    run_case(case, all_known=True)


def test_boxes_that_depend_on_the_inputs_are_refused() -> None:
    with pytest.raises(CompileError, match="depends on the inputs of the model"):
        run_case(node_cases("NonMaxSuppression")[0])
