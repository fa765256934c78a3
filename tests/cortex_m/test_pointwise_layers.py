"""Operators on elements, means, maxima and joined tensors as layers of microcontrollers."""

from typing import Any

import numpy as np
import pytest
import torch

from penjing.compiler.quantization import ops
from penjing.targets.cortex_m.layer import Array, NodeArguments, Operand, variants

from .layer_runs import check_layer, core

Case = tuple[NodeArguments, list[Array], Array]


def _int8(*shape: int) -> Array:
    random = np.random.default_rng(sum(shape))
    values = random.integers(-128, 128, shape).astype(np.int8)
    values.ravel()[: values.size // 4] = random.choice([-128, 127], values.size // 4)
    return values


def _case(op: str, inputs: list[Array], expected: Array, values: dict[str, Any]) -> Case:
    operands = tuple(Operand(f"x{i}", x.shape, "int8") for i, x in enumerate(inputs))
    output = Operand("y", expected.shape, "int8")
    return NodeArguments(op, operands, output, {}, values), inputs, expected


def _add(count: int, low: int = -128, high: int = 127) -> Case:
    x, y = _int8(count), _int8(count, 1)[:, 0].copy()
    values = {"x_multiplier": 29123, "y_multiplier": -17001, "offset": 81234, "shift": 15}
    values |= {"low": low, "high": high}
    result = ops.add_int8(torch.from_numpy(x), torch.from_numpy(y), **values)
    return _case("penjing.add_int8", [x, y], result.numpy(), values)


def _rescale(count: int) -> Case:
    x = _int8(count)
    values = {"multiplier": -20001, "offset": 7777, "shift": 14, "low": -128, "high": 127}
    result = ops.rescale_int8(torch.from_numpy(x), **values)
    return _case("penjing.rescale_int8", [x], result.numpy(), values)


_CASES: dict[str, Case] = {
    "add": _add(64),
    "add of an odd number": _add(23),
    "add of three": _add(3),
    "add with limits": _add(50, -30, 101),
    "rescale": _rescale(45),
}


_CORES = ("cortex-m4", "cortex-m55")


@pytest.mark.parametrize("target", _CORES)
@pytest.mark.parametrize("name", _CASES)
def test_portable_layers_give_the_bytes_of_the_operator(name: str, target: str) -> None:
    _check(name, target, on_board=False)


@pytest.mark.qemu
@pytest.mark.parametrize("target", _CORES)
@pytest.mark.parametrize("name", _CASES)
def test_layers_on_boards_give_the_bytes_of_the_operator(name: str, target: str) -> None:
    _check(name, target, on_board=True)


@pytest.mark.qemu
def test_sums_take_few_instructions() -> None:
    node, inputs, expected = _add(4096)
    (layer,) = variants(node, core("cortex-m4"))
    executed = check_layer(node, layer, inputs, expected, on=core("cortex-m4"))
    assert executed <= 5.9 * 4096
    assert abs(layer.cost - executed) < 0.02 * executed


def _check(name: str, target: str, *, on_board: bool) -> None:
    node, inputs, expected = _CASES[name]
    layers = variants(node, core(target))
    assert layers
    for layer in layers:
        check_layer(node, layer, inputs, expected, on=core(target) if on_board else None)
