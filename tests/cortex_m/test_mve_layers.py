"""Layers for cores with vectors: bytes on this computer and on a Cortex-M55, instructions."""

from typing import Any

import numpy as np
import pytest
import torch

from penjing.compiler.quantization import ops
from penjing.targets.cortex_m.layer import Array, NodeArguments, Operand, variants

from .layer_runs import check_layer, core

Case = tuple[NodeArguments, list[Array], Array]


def _convolution(
    size: tuple[int, int],
    channels: int,
    results: int,
    kernel: tuple[int, int] = (3, 3),
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
    shift: int = 0,
    limits: tuple[int, int] = (-128, 127),
    most_bias: int = 3000,
) -> Case:
    random = np.random.default_rng(channels * 100 + results)
    x = random.integers(-128, 128, (1, channels, *size)).astype(np.int8)
    x.ravel()[: x.size // 3] = random.choice([-128, 127], x.size // 3)
    weight = random.integers(-128, 128, (results, channels // groups, *kernel)).astype(np.int8)
    constants: dict[str, Array] = {
        "weight": weight,
        "bias": random.integers(-most_bias, most_bias, results).astype(np.int32),
        "multiplier": (random.uniform(0.1, 1, results) * 2**22).astype(np.int32),
    }
    values: dict[str, Any] = {"stride": [stride] * 2, "padding": [padding] * 2}
    values |= {"dilation": [dilation] * 2, "groups": groups, "input_zero_point": 9}
    values |= {"shift": shift, "zero_point": -3, "low": limits[0], "high": limits[1]}
    arrays = {name: torch.from_numpy(data) for name, data in constants.items()}
    result = ops.conv_int8(torch.from_numpy(x), **arrays, **values)
    images = [np.ascontiguousarray(t.transpose(0, 2, 3, 1)) for t in (x, result.numpy())]
    given, taken = (
        Operand(name, data.shape, "int8") for name, data in zip("xy", images, strict=True)
    )
    node = NodeArguments("penjing.conv_int8", (given,), taken, constants, values)
    return node, images[:1], images[1]


def _linear(rows: int, inputs: int, results: int, shift: int = 0) -> Case:
    random = np.random.default_rng(inputs)
    x = random.integers(-128, 128, (rows, inputs)).astype(np.int8)
    constants: dict[str, Array] = {
        "weight": random.integers(-127, 128, (results, inputs)).astype(np.int8),
        "bias": random.integers(-3000, 3000, results).astype(np.int32),
        "multiplier": (random.uniform(0.1, 1, results) * 2**22).astype(np.int32),
    }
    values = {"shift": shift, "zero_point": -3, "low": -128, "high": 127}
    arrays = {name: torch.from_numpy(data) for name, data in constants.items()}
    result = ops.linear_int8(torch.from_numpy(x), **arrays, **values).numpy()
    operands = (Operand("x", x.shape, "int8"),)
    output = Operand("y", result.shape, "int8")
    return NodeArguments("penjing.linear_int8", operands, output, constants, values), [x], result


_CASES: dict[str, Case] = {
    "1x1": _convolution((5, 5), 16, 8, (1, 1)),
    "1x1, more results": _convolution((3, 5), 32, 48, (1, 1)),
    "1x1, few channels": _convolution((5, 4), 8, 10, (1, 1)),
    "1x1, stride": _convolution((5, 6), 16, 6, (1, 1), stride=2),
    "3x3": _convolution((6, 5), 16, 16, padding=1),
    "3x3, stride": _convolution((7, 6), 4, 8, stride=2, padding=1),
    "3x3, dilation": _convolution((9, 8), 5, 3, padding=2, dilation=2),
    "first": _convolution((8, 9), 3, 8, stride=2, padding=1),
    "10x4": _convolution((12, 10), 1, 12, (10, 4), stride=2, padding=1),
    "limits": _convolution((4, 4), 16, 4, (1, 1), limits=(-30, 77)),
    "shift to the left": _convolution((4, 4), 16, 8, shift=6, most_bias=2**30),
    "shift to the right": _convolution((4, 4), 16, 8, shift=-3),
    "depthwise": _convolution((6, 7), 16, 16, padding=1, groups=16),
    "depthwise, 1x1": _convolution((4, 5), 3, 3, (1, 1), groups=3),
    "depthwise, stride": _convolution((7, 6), 8, 8, stride=2, padding=1, groups=8),
    "depthwise, 5x5": _convolution((7, 6), 8, 8, (5, 5), padding=2, groups=8),
    "depthwise, limits": _convolution((3, 3), 8, 8, groups=8, limits=(-30, 66), shift=-1),
    "linear": _linear(1, 128, 10),
    "linear, few": _linear(3, 8, 5, shift=2),
}


@pytest.mark.parametrize("name", _CASES)
def test_portable_layers_give_the_bytes_of_the_operator(name: str) -> None:
    node, inputs, expected = _CASES[name]
    for layer in _vector_layers(node):
        check_layer(node, layer, inputs, expected)


@pytest.mark.qemu
@pytest.mark.parametrize("name", _CASES)
def test_layers_on_boards_give_the_bytes_of_the_operator(name: str) -> None:
    node, inputs, expected = _CASES[name]
    for layer in _vector_layers(node):
        check_layer(node, layer, inputs, expected, on=core("cortex-m55"))


def _vector_layers(node: NodeArguments) -> list[Any]:
    found = [
        layer for layer in variants(node, core("cortex-m55")) if layer.variant.startswith("vectors")
    ]
    assert found
    return found


# Instructions for each product on a Cortex-M55.
_COUNTS: dict[str, tuple[Case, float]] = {
    "3x3": (_convolution((16, 16), 32, 32, padding=1), 0.21),
    "1x1": (_convolution((6, 6), 128, 128, (1, 1)), 0.19),
    "1x1, few channels": (_convolution((24, 24), 8, 16, (1, 1)), 0.75),
    "first": (_convolution((48, 48), 3, 8, stride=2, padding=1), 0.73),
    "depthwise": (_convolution((24, 24), 32, 32, padding=1, groups=32), 0.88),
    "linear": (_linear(1, 640, 128), 0.17),
}


@pytest.mark.qemu
@pytest.mark.parametrize("name", _COUNTS)
def test_instructions_are_few_and_estimated(name: str) -> None:
    (node, inputs, expected), most = _COUNTS[name]
    layer = _vector_layers(node)[0]
    executed = check_layer(node, layer, inputs, expected, on=core("cortex-m55"))
    assert executed / (expected.size * node.constants["weight"][0].size) <= most
    assert abs(layer.cost - executed) < 0.2 * executed
