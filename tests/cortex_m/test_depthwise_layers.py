"""Depthwise convolutions as layers of microcontrollers: bytes, memory and instructions."""

from typing import Any

import numpy as np
import pytest
import torch

from penjing.compiler.quantization import ops
from penjing.targets.cortex_m.layer import Array, NodeArguments, Operand, variants

from .layer_runs import check_layer, core


def _case(
    rows: int,
    columns: int,
    channels: int,
    *,
    kernel: tuple[int, int] = (3, 3),
    stride: int = 1,
    padding: int | tuple[int, int] = 1,
    each: int = 1,
    low: int = -128,
    high: int = 127,
    largest: float = 0.002,
    shift: int = 0,
    most_bias: int = 3000,
    extreme: bool = False,
) -> tuple[NodeArguments, Array, Array]:
    """A layer, its input and its result, both [N, H, W, C]."""
    random = np.random.default_rng(rows * 1000 + columns * 10 + channels)
    outputs = channels * each
    x = random.integers(-128, 128, (1, channels, rows, columns)).astype(np.int8)
    weight = random.integers(-127, 128, (outputs, 1, *kernel)).astype(np.int8)
    if extreme:
        x[:] = random.choice([-128, 127], x.shape)
        weight[:] = random.choice([-127, 127], weight.shape)
    bias = random.integers(-most_bias, most_bias, outputs).astype(np.int32)
    multiplier = (random.uniform(0.3, 1, outputs) * largest * 2**31).astype(np.int32)
    values = {
        "stride": [stride, stride],
        "padding": [padding] * 2 if isinstance(padding, int) else list(padding),
        "dilation": [1, 1],
        "groups": channels,
        "input_zero_point": -11,
        "shift": shift,
        "zero_point": 7,
        "low": low,
        "high": high,
    }
    constants: dict[str, Array] = {"weight": weight, "bias": bias, "multiplier": multiplier}
    arrays = {name: torch.from_numpy(data) for name, data in constants.items()}
    result = ops.conv_int8(torch.from_numpy(x), **arrays, **values)
    images = [np.ascontiguousarray(t.transpose(0, 2, 3, 1)) for t in (x, result.numpy())]
    operands = [
        Operand(name, image.shape, "int8") for name, image in zip("xy", images, strict=True)
    ]
    node = NodeArguments("penjing.conv_int8", (operands[0],), operands[1], constants, values)
    return node, images[0], images[1]


_SHAPES: list[dict[str, Any]] = [
    {"rows": 6, "columns": 6, "channels": 8},
    {"rows": 7, "columns": 5, "channels": 4},
    {"rows": 5, "columns": 3, "channels": 6, "padding": 0},
    {"rows": 4, "columns": 26, "channels": 5},
    {"rows": 9, "columns": 8, "channels": 4, "stride": 2},
    {"rows": 8, "columns": 9, "channels": 7, "stride": 2},
    {"rows": 8, "columns": 9, "channels": 4, "stride": 2, "padding": 0},
    {"rows": 3, "columns": 3, "channels": 2},
    {"rows": 1, "columns": 1, "channels": 4},
    {"rows": 6, "columns": 6, "channels": 4, "each": 2},
    {"rows": 6, "columns": 6, "channels": 8, "low": -20, "high": 90},
    {"rows": 6, "columns": 6, "channels": 8, "largest": 0.9},
    {"rows": 6, "columns": 6, "channels": 8, "extreme": True},
    {"rows": 7, "columns": 6, "channels": 8, "kernel": (5, 5), "padding": 2},
    {"rows": 7, "columns": 9, "channels": 4, "kernel": (5, 5), "padding": 2, "stride": 2},
    {"rows": 8, "columns": 7, "channels": 4, "kernel": (7, 7), "padding": 3, "extreme": True},
    {"rows": 9, "columns": 5, "channels": 5, "kernel": (4, 1), "padding": (1, 0)},
    {"rows": 3, "columns": 13, "channels": 4, "kernel": (1, 4), "padding": (0, 2)},
    {"rows": 8, "columns": 8, "channels": 4, "kernel": (2, 2), "padding": 0, "stride": 2},
    {"rows": 7, "columns": 11, "channels": 4, "kernel": (3, 6), "padding": 1, "shift": -1},
    {"rows": 5, "columns": 5, "channels": 4, "kernel": (5, 5), "padding": 2, "low": -9, "high": 9},
    {"rows": 6, "columns": 6, "channels": 8, "shift": 3, "largest": 0.001},
    {"rows": 3, "columns": 3, "channels": 8, "shift": 5, "largest": 0.9, "most_bias": 2**30},
    {"rows": 3, "columns": 3, "channels": 8, "shift": -2, "largest": 0.02},
]


@pytest.mark.parametrize("shape", _SHAPES, ids=str)
def test_portable_layers_give_the_bytes_of_the_operator(shape: dict[str, Any]) -> None:
    node, x, expected = _case(**shape)
    layers = variants(node, core("cortex-m4"))
    for layer in {0: layers[0], 1: layers[-1]}.values():
        check_layer(node, layer, [x], expected)


@pytest.mark.qemu
@pytest.mark.parametrize("shape", _SHAPES, ids=str)
def test_layers_on_boards_give_the_bytes_of_the_operator(shape: dict[str, Any]) -> None:
    node, x, expected = _case(**shape)
    layers = variants(node, core("cortex-m4"))
    for layer in {0: layers[0], 1: layers[-1]}.values():
        check_layer(node, layer, [x], expected, on=core("cortex-m4"))


@pytest.mark.qemu
@pytest.mark.parametrize("name", ["cortex-m3", "cortex-m7", "cortex-m33", "cortex-m55"])
def test_all_cores_give_the_same_bytes(name: str) -> None:
    node, x, expected = _case(7, 6, 8)
    layers = variants(node, core(name))
    assert layers
    for layer in layers:
        check_layer(node, layer, [x], expected, on=core(name))


# Instructions for each product (of nine), on a Cortex-M4, widening included.
_COUNTS = {
    (48, 48, 8, 1): 1.50,
    (24, 24, 32, 1): 1.53,
    (12, 12, 64, 1): 1.54,
    (6, 6, 128, 1): 1.68,
    (25, 5, 64, 1): 1.68,
    (24, 24, 32, 2): 2.38,
}


@pytest.mark.qemu
@pytest.mark.parametrize("sizes", _COUNTS, ids=str)
def test_instructions_are_few_and_estimated(sizes: tuple[int, int, int, int]) -> None:
    rows, columns, channels, stride = sizes
    node, x, expected = _case(rows, columns, channels, stride=stride)
    layer = variants(node, core("cortex-m4"))[0]
    executed = check_layer(node, layer, [x], expected, on=core("cortex-m4"))
    assert executed / (9 * expected.size) <= _COUNTS[sizes]
    assert abs(layer.cost - executed) < 0.02 * executed
