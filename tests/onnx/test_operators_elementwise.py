"""Elementwise operators and reductions of ONNX against the node tests of the onnx package."""

import re

import numpy as np
import pytest
import torch

from penjing.compiler.errors import CompileError
from penjing.compiler.onnx_import.call import Call, Value
from penjing.compiler.onnx_import.registry import translation

from .node_cases import NodeCase, node_cases, parametrize, run_case

IS_RANDOM = {
    "test_training_dropout",
    "test_training_dropout_default",
    "test_training_dropout_default_mask",
    "test_training_dropout_mask",
}


REFUSED_CASTS = re.compile(r"to_U?INT[24]|to_FLOAT4|to_FLOAT8E8M0|no_saturate.*E4M3FN$")


def call(op: str, *inputs: object, opset: int = 18, **attributes: object) -> torch.Tensor:
    """The result of an operator; arrays are known, tensors are not."""
    values = [
        Value(f"x{i}", torch.as_tensor(item), item if isinstance(item, np.ndarray) else None)
        for i, item in enumerate(inputs)
    ]
    function = translation("", op)
    assert function is not None
    result = function(Call(op, op.lower(), opset, values, attributes))
    assert isinstance(result, torch.Tensor)
    return result


@parametrize(
    *("Abs", "Acos", "Acosh", "Add", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Clip", "Cos"),
    *("Cosh", "Div", "Erf", "Exp", "Floor", "Log", "Max", "Mean", "Min", "Mod", "Mul", "Neg"),
    *("Pow", "Reciprocal", "Round", "Sign", "Sin", "Sinh", "Sqrt", "Sub", "Sum", "Tan", "Tanh"),
)
def test_arithmetic(case: NodeCase) -> None:
    run_case(case)


@parametrize(
    *("And", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Equal"),
    *("Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Not", "Or", "Where"),
    *("Xor", "Identity", "BitCast", "CastLike"),
)
def test_logic(case: NodeCase) -> None:
    run_case(case)


@parametrize(
    *("Celu", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu"),
    *("Selu", "Shrink", "Sigmoid", "Softplus", "Softsign", "SwiGLU", "Swish", "ThresholdedRelu"),
)
def test_activation(case: NodeCase) -> None:
    run_case(case)


@parametrize(
    *("ArgMax", "ArgMin", "CumProd", "CumSum", "ReduceL1", "ReduceL2", "ReduceLogSum"),
    *("ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"),
    *("ReduceSumSquare", "TopK", "Unique"),
)
def test_reduction(case: NodeCase) -> None:
    run_case(case)


@pytest.mark.parametrize(
    "case",
    [case for case in node_cases("Cast") if "FLOAT4E2M1_to" not in case.name],
    ids=lambda case: case.name,
)
def test_cast(case: NodeCase) -> None:
    """Types that PyTorch does not have are refused."""
    if not REFUSED_CASTS.search(case.name):
        run_case(case)
        return
    with pytest.raises(CompileError, match="operator Cast"):
        run_case(case)


@parametrize("Dropout")
def test_dropout(case: NodeCase) -> None:
    if case.name not in IS_RANDOM:
        run_case(case)
        return
    with pytest.raises(CompileError, match="at random"):
        run_case(case)


def test_integers_are_divided_towards_zero() -> None:
    x, y = torch.tensor([7, -7, 7, -7]), torch.tensor([2, 2, -2, -2])
    assert call("Div", x, y).tolist() == [3, -3, -3, 3]
    assert call("Mod", x, y).tolist() == [1, 1, -1, -1]
    assert call("Mod", x, y, fmod=1).tolist() == [1, -1, 1, -1]


def test_a_number_is_divided() -> None:
    number = np.array(6.0, np.float32)
    assert call("Div", number, torch.tensor([2.0, 4.0])).tolist() == [3.0, 1.5]
    assert call("Div", np.array(-7), torch.tensor([2, 3])).tolist() == [-3, -2]
    assert call("Sub", number, torch.tensor([2.0])).tolist() == [4.0]


def test_the_zeros_of_mod_have_the_sign_of_the_divisor() -> None:
    x, y = torch.tensor([0.0, -0.0, 5.0]), torch.tensor([-2.0, 2.0, torch.inf])
    assert torch.signbit(call("Mod", x, y)).tolist() == [True, False, False]


def test_integer_powers_are_exact() -> None:
    big = call("Pow", torch.tensor([2**31 - 1]), torch.tensor([2], dtype=torch.int32))
    assert big.tolist() == [(2**31 - 1) ** 2] and big.dtype is torch.int64
    assert call("Pow", torch.tensor([9]), torch.tensor([0.5])).tolist() == [3]


def test_clip_before_version_11_has_attributes() -> None:
    x = torch.tensor([-1.0, 0.5, 2.0])
    assert call("Clip", x, opset=6, min=0.0, max=1.0).tolist() == [0.0, 0.5, 1.0]
    assert call("Clip", x, opset=6, max=1.0).tolist() == [-1.0, 0.5, 1.0]


def test_clip_to_known_and_unknown_bounds() -> None:
    x = torch.tensor([-1.0, 0.5, 2.0])
    low, high = np.array(0.0, np.float32), torch.tensor(1.0)
    assert call("Clip", x, low, high).tolist() == [0.0, 0.5, 1.0]
    assert call("Clip", x, np.array(3.0, np.float32), np.array(1.0, np.float32)).tolist() == [1] * 3
    with pytest.raises(CompileError, match="not a single number"):
        call("Clip", x, torch.zeros(3))


def test_reductions_take_axes_as_attributes_in_old_versions() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    assert call("ReduceMean", x, opset=13, axes=[-1], keepdims=0).tolist() == [1.0, 4.0]
    assert call("ReduceSum", x, opset=11, axes=[0]).tolist() == [[3.0, 5.0, 7.0]]
    assert call("ReduceMean", x.long(), np.array([1])).tolist() == [[1], [4]]
    with pytest.raises(CompileError, match="axis 2"):
        call("ReduceMax", x, np.array([2]))
    with pytest.raises(CompileError, match="depends on the inputs"):
        call("ReduceMax", x, torch.tensor([1]))


def test_top_k_prefers_the_first_of_equal_elements() -> None:
    x = torch.zeros(40)
    function = translation("", "TopK")
    assert function is not None
    values = [Value("x", x), Value("k", torch.tensor([3]), np.array([3]))]
    assert function(Call("TopK", "top", 11, values, {}))[1].tolist() == [0, 1, 2]


def test_operands_before_version_7_start_at_an_axis() -> None:
    x, y = torch.zeros(2, 3, 4), torch.tensor([1.0, 2.0, 3.0])
    added = call("Add", x, y, opset=6, broadcast=1, axis=1)
    assert added[0, :, 0].tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(CompileError, match="from axis 2"):
        call("Add", x, torch.zeros(3, 4), opset=6, broadcast=1, axis=2)


def test_a_known_truth_beside_a_tensor_of_them() -> None:
    x, truth = torch.tensor([True, False]), np.array(True)
    assert call("And", x, truth).tolist() == [True, False]
    assert call("Equal", x, truth).tolist() == [True, False]


def test_slopes_before_version_7_are_of_channels() -> None:
    x, slope = -torch.ones(1, 2, 1, 2), torch.tensor([2.0, 3.0])
    assert call("PRelu", x, slope, opset=6).tolist() == [[[[-2.0, -2.0]], [[-3.0, -3.0]]]]
    assert call("PRelu", x, slope, opset=9).tolist() == [[[[-2.0, -3.0]], [[-2.0, -3.0]]]]
