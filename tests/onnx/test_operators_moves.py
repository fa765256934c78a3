"""Shapes, moves and places of elements against the node tests of the onnx package."""

import numpy as np
import pytest
import torch

from penjing.compiler.errors import CompileError

from .node_cases import NodeCase, parametrize, run_case
from .test_operators_elementwise import call


@parametrize(
    *("Constant", "ConstantOfShape", "EyeLike", "Range", "Shape", "Size"),
    *("DepthToSpace", "Expand", "Flatten", "Reshape", "SpaceToDepth", "Squeeze", "Tile"),
    *("Transpose", "Trilu", "Unsqueeze"),
)
def test_shapes(case: NodeCase) -> None:
    run_case(case)


@parametrize(
    "AffineGrid", "CenterCropPad", "Col2Im", "Concat", "Pad", "ReverseSequence", "Slice", "Split"
)
def test_moves(case: NodeCase) -> None:
    run_case(case)


@parametrize(
    *("Compress", "Gather", "GatherElements", "GatherND", "NonZero", "OneHot"),
    *("Scatter", "ScatterElements", "ScatterND", "TensorScatter"),
)
def test_places(case: NodeCase) -> None:
    run_case(case)


@parametrize(
    "Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND", "OneHot", "Pad"
)
def test_places_that_are_known(case: NodeCase) -> None:
    run_case(case, all_known=True)


def test_reshape_keeps_and_finds_sizes() -> None:
    x = torch.zeros(2, 3, 4)
    assert call("Reshape", x, np.array([0, -1])).shape == (2, 12)
    assert call("Reshape", torch.zeros(0, 3), np.array([3, 0]), allowzero=1).shape == (3, 0)
    with pytest.raises(CompileError, match="shape"):
        call("Reshape", x, np.array([5, -1]))
    with pytest.raises(CompileError, match="shape"):
        call("Reshape", x, np.array([-1, -1]))


@pytest.mark.parametrize(
    ("start", "end", "step"),
    [(-1, -(2**31), -1), (5, 0, -2), (3, 3, 1), (-100, 100, 3), (2**62, -(2**62), -1), (0, 7, 3)],
)
def test_slices_are_those_of_numpy(start: int, end: int, step: int) -> None:
    x = torch.arange(14.0).reshape(2, 7)
    bounds = [np.array([number]) for number in (start, end, -1, step)]
    assert call("Slice", x, *bounds).tolist() == x.numpy()[:, start:end:step].tolist()


def test_old_slices_have_attributes() -> None:
    x = torch.arange(14.0).reshape(2, 7)
    assert call("Slice", x, opset=1, starts=[1, 0], ends=[2, 2]).tolist() == [[7.0, 8.0]]


@pytest.mark.parametrize("mode", ["reflect", "edge", "wrap"])
@pytest.mark.parametrize("pads", [(0, 0, 1, 2, 0, 0, 2, 1), (1, 0, 5, 7, 0, 2, 0, 9)])
def test_padded_edges_are_those_of_numpy(mode: str, pads: tuple[int, ...]) -> None:
    x = torch.arange(36.0).reshape(2, 2, 3, 3)
    wanted = np.pad(x.numpy(), np.array(pads).reshape(2, 4).T, mode=mode)  # type: ignore[call-overload]
    assert call("Pad", x, np.array(pads), mode=mode, opset=19).tolist() == wanted.tolist()


def test_negative_pads_crop_before_edges_are_mirrored() -> None:
    x = torch.arange(5.0)[None]
    padded = call("Pad", x, np.array([0, -1, 0, 2]), mode="reflect")
    assert padded.tolist() == [[1.0, 2.0, 3.0, 4.0, 3.0, 2.0]]


def test_pads_before_version_11_are_attributes() -> None:
    x = torch.ones(1, 2)
    assert call("Pad", x, opset=2, pads=[0, 1, 0, 0], value=7.0).tolist() == [[7.0, 1.0, 1.0]]


def test_rows_are_looked_up_from_the_end_too() -> None:
    table = torch.arange(6.0).reshape(3, 2)
    assert call("Gather", table, torch.tensor([-1, 0])).tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert call("Gather", table, np.array(-1)).tolist() == [4.0, 5.0]
    assert call("Gather", table, np.array([[0, 2]])).tolist() == [[[0.0, 1.0], [4.0, 5.0]]]
    with pytest.raises(CompileError, match="places 0 to 3 of 3"):
        call("Gather", table, np.array([0, 3]))


def test_results_whose_size_depends_on_values_are_refused() -> None:
    with pytest.raises(CompileError, match="how many results"):
        call("NonZero", torch.ones(3))
    with pytest.raises(CompileError, match="how many results"):
        call("Compress", torch.ones(3), torch.ones(3, dtype=torch.bool))
