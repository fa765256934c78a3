"""Dense layers with random constants, their inputs and results, for tests."""

from typing import Any

import numpy as np
import torch

from penjing.compiler.quantization import ops
from penjing.targets.cortex_m.layer import Array, NodeArguments, Operand

Case = tuple[NodeArguments, Array, Array]  # input and result [N, H, W, C] or as in PyTorch


def convolution(
    size: tuple[int, int],
    channels: int,
    results: int,
    *,
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    **others: Any,
) -> Case:
    """A convolution; `others` are options of `_constants` and limits of the result."""
    random = np.random.default_rng(channels * 1000 + results)
    x = random.integers(-128, 128, (1, channels, *size)).astype(np.int8)
    if others.get("extreme"):
        x[:] = random.choice([-128, 127], x.shape)
    shape = (results, channels // groups, *kernel)
    constants = _constants(random, shape, others)
    values = {
        "stride": list(stride),
        "padding": list(padding),
        "dilation": list(dilation),
        "groups": groups,
        "input_zero_point": -3,
        **_limits(others),
    }
    result = ops.conv_int8(torch.from_numpy(x), **_tensors(constants), **values)
    images = [np.ascontiguousarray(t.transpose(0, 2, 3, 1)) for t in (x, result.numpy())]
    return _case("penjing.conv_int8", images[0], images[1], constants, values)


def linear(rows: int, factors: int, channels: int, **others: Any) -> Case:
    """A linear layer of [rows, factors]."""
    random = np.random.default_rng(factors * 1000 + channels)
    x = random.integers(-128, 128, (rows, factors)).astype(np.int8)
    constants = _constants(random, (channels, factors), others)
    values = _limits(others)
    result = ops.linear_int8(torch.from_numpy(x), **_tensors(constants), **values)
    return _case("penjing.linear_int8", x, result.numpy(), constants, values)


def _constants(
    random: np.random.Generator, shape: tuple[int, ...], others: dict[str, Any]
) -> dict[str, Array]:
    """`scale` is the largest of a channel, by default one that fills the range of results."""
    most = others.get("most_weight", 127)
    weight = random.integers(-127, 128, shape).astype(np.int8)
    if others.get("extreme"):
        weight[:] = random.choice([-most, 127], shape)
    outputs, factors = shape[0], int(np.prod(shape[1:]))
    scale = others.get("scale", 60 / (factors**0.5 * 74 * 74))
    most_bias = others.get("most_bias", 2000)
    return {
        "weight": weight,
        "bias": random.integers(-most_bias, most_bias, outputs).astype(np.int32),
        "multiplier": (random.uniform(0.6, 1, outputs) * scale * 2**31).astype(np.int32),
    }


def _limits(others: dict[str, Any]) -> dict[str, int]:
    low, high = others.get("low", -128), others.get("high", 127)
    shift, zero_point = others.get("shift", 0), others.get("zero_point", 5)
    return {"shift": shift, "zero_point": zero_point, "low": low, "high": high}


def _tensors(constants: dict[str, Array]) -> dict[str, Any]:
    return {name: torch.from_numpy(data) for name, data in constants.items()}


def _case(op: str, x: Array, y: Array, constants: dict[str, Array], values: dict[str, Any]) -> Case:
    operands = Operand("x", x.shape, "int8"), Operand("y", y.shape, "int8")
    return NodeArguments(op, (operands[0],), operands[1], constants, values), x, y
