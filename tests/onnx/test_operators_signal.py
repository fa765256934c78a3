"""Transforms, sampling and optimizers against the node tests of the onnx package."""

from dataclasses import replace

import numpy as np
import pytest

from penjing.compiler.errors import CompileError

from .node_cases import NodeCase, node_cases, parametrize, run_case
from .single_node import check, reals


@parametrize("DFT", "STFT", "GridSample", "RoiAlign", "Adagrad", "Adam", "Momentum")
def test_node_case(case: NodeCase) -> None:
    run_case(replace(case, absolute_tolerance=1e-6))  # sums of values around 1 that cancel out


@parametrize(
    "HannWindow", "HammingWindow", "BlackmanWindow", "MelWeightMatrix", "NonMaxSuppression"
)
def test_node_case_of_known_inputs(case: NodeCase) -> None:
    run_case(case, all_known=True)


def test_largest_elements_of_boxes() -> None:
    boxes = [[0, 1, 2, 7, 9], [1, 0, 0, 3, 3], [1, 5.5, 4.5, 5, 4], [0, -3, 6, 20, 30]]
    for scale in (1.0, 0.5):
        inputs = [reals(2, 3, 10, 9), np.array(boxes, np.float32)]
        check("MaxRoiPool", inputs, domain="", pooled_shape=[3, 2], spatial_scale=scale)


def test_boxes_that_depend_on_the_inputs_are_refused() -> None:
    with pytest.raises(CompileError, match="depends on the inputs of the model"):
        run_case(node_cases("NonMaxSuppression")[0])
