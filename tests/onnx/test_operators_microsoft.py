"""Operators of onnxruntime's own domain against onnxruntime."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from penjing.compiler.onnx_import.arrays import as_tensor
from penjing.compiler.onnx_import.call import Call, Value
from penjing.compiler.onnx_import.registry import translation

from .single_node import Inputs, check, integers, number, reals

X = reals(2, 5, 8)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes"),
    [
        ("Gelu", [X], {}),
        ("QuickGelu", [X], {"alpha": 1.5}),
        ("BiasGelu", [X, reals(8)], {}),
        ("FastGelu", [X, reals(8)], {}),
        ("FastGelu", [X], {}),
        ("FusedMatMul", [X, reals(2, 3, 8)], {"transB": 1, "alpha": 0.5}),
        ("FusedMatMul", [reals(2, 8, 5), reals(2, 8, 3)], {"transA": 1}),
        ("FusedMatMul", [reals(4, 2, 3, 5), reals(2, 3, 5, 6)], {"transBatchA": 1}),
        ("FusedGemm", [reals(3, 4), reals(4, 5), reals(5)], {"activation": "Relu"}),
        (
            "FusedGemm",
            [reals(3, 4), reals(4, 5), reals(5)],
            {"activation": "LeakyRelu", "activation_alpha": 0.3},
        ),
        ("FusedConv", [reals(1, 2, 5, 5), reals(3, 2, 3, 3), reals(3)], {"activation": "Relu"}),
        (
            "FusedConv",
            [reals(1, 2, 5, 5), reals(3, 2, 3, 3), reals(3), reals(1, 3, 3, 3)],
            {"activation": "Relu"},
        ),
        (
            "FusedConv",
            [reals(1, 2, 5, 5), reals(3, 2, 3, 3)],
            {"activation": "Clip", "activation_params": [-0.5, 0.5]},
        ),
        ("SkipLayerNormalization", [X, reals(2, 5, 8, seed=1), reals(8), reals(8, seed=1)], {}),
        ("SkipSimplifiedLayerNormalization", [X, reals(2, 5, 8, seed=1), reals(8)], {}),
        (
            "RotaryEmbedding",
            [X, np.array([[4, 3, 2, 1, 0]] * 2), reals(9, 4), reals(9, 4, seed=1)],
            {},
        ),
        (
            "RotaryEmbedding",
            [reals(2, 3, 5, 8), np.array([2]), reals(9, 4), reals(9, 4, seed=1)],
            {"interleaved": 1},
        ),
    ],
)
def test_fused(op: str, inputs: Inputs, attributes: dict[str, Any]) -> None:
    check(op, inputs, **attributes)


def test_simplified_layer_normalization() -> None:
    check("SimplifiedLayerNormalization", [X, reals(8)], domain="", axis=-1, epsilon=1e-3)


def test_skip_layer_normalization_gives_the_sum() -> None:
    inputs = [X, reals(2, 5, 8, seed=1), reals(8), reals(8, seed=1), reals(8, seed=2)]
    values = [Value("x", as_tensor(array)) for array in inputs]
    wanted = [True, False, False, True]
    call = Call("SkipLayerNormalization", "n", 1, values, {}, 4, wanted, "com.microsoft")
    function = translation("com.microsoft", "SkipLayerNormalization")
    assert function is not None
    total = function(call)[3]
    torch.testing.assert_close(total, torch.from_numpy(inputs[0] + inputs[1] + inputs[4]))


@pytest.mark.parametrize("mask", [None, np.array([[1, 1, 0, 1, 0], [1] * 5], np.int32)])
def test_embed_layer_normalization(mask: np.ndarray | None) -> None:
    words = np.array([[1, 2, 3, 4, 5], [6, 5, 4, 3, 2]], np.int32)
    tables = [reals(7, 8), reals(9, 8), reals(2, 8), reals(8), reals(8, seed=1)]
    check("EmbedLayerNormalization", [words, words % 2, *tables, mask], outputs=2)


@pytest.mark.parametrize(
    "mask",
    [
        None,
        np.array([3, 5], np.int32),
        np.array([5, 4, 1, 0], np.int32),
        np.array([[1, 1, 0, 1, 0], [1] * 5], np.int32),
        np.array([[0] * 5, [1] * 5], np.int32),
        np.tril(np.ones((2, 5, 5), np.int32)),
    ],
)
@pytest.mark.parametrize("unidirectional", [0, 1])
def test_attention(mask: np.ndarray | None, unidirectional: int) -> None:
    inputs: Inputs = [X, reals(8, 24), reals(24), mask]
    check("Attention", inputs, num_heads=2, unidirectional=unidirectional)


def test_attention_with_a_past() -> None:
    inputs: Inputs = [X, reals(8, 24), reals(24), None, reals(2, 2, 2, 3, 4)]
    check("Attention", inputs, num_heads=2, outputs=2, unidirectional=1)


@pytest.mark.parametrize("mask", [None, np.array([[1, 1, 0, 1, 0, 1], [1] * 6], np.int32)])
def test_multi_head_attention(mask: np.ndarray | None) -> None:
    inputs: Inputs = [X, reals(2, 6, 8), reals(2, 6, 8, seed=1), reals(24), mask]
    check("MultiHeadAttention", inputs, num_heads=2)
    check("MultiHeadAttention", [*inputs, reals(1, 2, 5, 6)], num_heads=2, scale=0.3)


def test_quantized_attention() -> None:
    steps = [number(0.02), number(0.01), None, number(130, np.uint8), number(3, np.int8)]
    weight = integers(8, 24, dtype=np.int8)
    inputs: Inputs = [integers(2, 5, 8), weight, reals(24), *steps]
    check("QAttention", inputs, num_heads=2)


STEPS = [number(0.02), number(120, np.uint8)]
SIGNED = [number(0.03), number(-5, np.int8)]


@pytest.mark.parametrize(
    ("op", "inputs", "attributes"),
    [
        ("QLinearAdd", [integers(2, 8), *STEPS, integers(8), *STEPS, *STEPS], {}),
        ("QLinearMul", [integers(2, 8), *STEPS, integers(8), *STEPS, *STEPS], {}),
        (
            "QLinearAdd",
            [integers(2, 8, dtype=np.int8), *SIGNED, integers(8, dtype=np.int8), *SIGNED, *SIGNED],
            {},
        ),
        (
            "QLinearWhere",
            [integers(2, 8) > 99, integers(2, 8), *STEPS, integers(2, 8, seed=1), *STEPS, *STEPS],
            {},
        ),
        (
            "NhwcMaxPool",
            [integers(1, 5, 5, 2, dtype=np.int8)],
            {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 1]},
        ),
        ("QLinearSigmoid", [integers(2, 8), *STEPS, number(1 / 256), number(0, np.uint8)], {}),
        ("QLinearLeakyRelu", [integers(2, 8), *STEPS, *STEPS], {"alpha": 0.3}),
        (
            "QLinearSoftmax",
            [integers(2, 8), *STEPS, number(1 / 256), number(0, np.uint8)],
            {"axis": -1, "opset": 13},
        ),
        (
            "QLinearAveragePool",
            [integers(1, 2, 5, 5), *STEPS, *STEPS],
            {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
        ),
        ("QLinearGlobalAveragePool", [integers(1, 2, 5, 5), *STEPS, *STEPS], {"channels_last": 0}),
        ("QLinearGlobalAveragePool", [integers(1, 5, 5, 2), *STEPS, *STEPS], {"channels_last": 1}),
        (
            "QLinearConcat",
            [*STEPS, integers(2, 3), *STEPS, integers(2, 4), number(0.01), number(9, np.uint8)],
            {"axis": 1},
        ),
        (
            "QGemm",
            [
                integers(3, 4),
                *STEPS,
                integers(5, 4, dtype=np.int8),
                *SIGNED,
                np.arange(5, dtype=np.int32),
                *STEPS,
            ],
            {"transB": 1},
        ),
        ("QGemm", [integers(3, 4), *STEPS, integers(4, 5, dtype=np.int8), *SIGNED], {}),
        (
            "MatMulIntegerToFloat",
            [
                integers(3, 4),
                integers(4, 5),
                number(0.1),
                number(0.2),
                number(9, np.uint8),
                number(7, np.uint8),
                reals(5),
            ],
            {},
        ),
        (
            "DynamicQuantizeMatMul",
            [reals(3, 4), integers(4, 5), number(0.2), number(7, np.uint8), reals(5)],
            {},
        ),
    ],
)
def test_quantized(op: str, inputs: Inputs, attributes: dict[str, Any]) -> None:
    check(op, inputs, **attributes)


@pytest.mark.parametrize("zeros", [None, integers(5, 1)])
@pytest.mark.parametrize("depth", [32, 24])
def test_matmul_of_few_bits(zeros: np.ndarray | None, depth: int) -> None:
    inputs: Inputs = [reals(3, depth), integers(5, 2, 8), reals(5, 2), zeros]
    check("MatMulNBits", inputs, K=depth, N=5, bits=4, block_size=16)


def translated(op: str, inputs: list[torch.Tensor], **attributes: Any) -> torch.Tensor:
    """What a translation gives; for operators that onnxruntime has on other devices alone."""
    function = translation("com.microsoft", op)
    assert function is not None
    values = [Value("x", tensor, tensor.numpy()) for tensor in inputs]
    result = function(Call(op, op, 1, values, attributes, domain="com.microsoft"))
    assert isinstance(result, torch.Tensor)
    return result


def test_what_onnxruntime_has_on_gpus_alone() -> None:
    x, bias = torch.randn(2, 5, 8), torch.randn(8)
    assert_close = torch.testing.assert_close
    assert_close(translated("BiasSoftmax", [x, bias], axis=2), torch.softmax(x + bias, -1))
    assert_close(translated("BiasAdd", [x, bias, x]), x + bias + x)
    left, right = (x + bias).chunk(2, -1)
    assert_close(translated("BiasSplitGelu", [x, bias]), left * functional.gelu(right))
    images = torch.randn(1, 3, 3, 8)
    norm = functional.group_norm(images.movedim(-1, 1), 4, bias, bias, 1e-5).movedim(1, -1)
    assert_close(translated("GroupNorm", [images, bias, bias], groups=4), norm)
    activated = translated("GroupNorm", [images, bias, bias], groups=4, activation=1)
    assert_close(activated, functional.silu(norm))
    product = functional.gelu(x @ x.mT[0] + bias[:5], approximate="tanh")
    assert_close(translated("GemmFastGelu", [x, x.mT[0].contiguous(), bias[:5]]), product)
    assert translated("ExpandDims", [bias, torch.tensor(0)]).shape == (1, 8)
