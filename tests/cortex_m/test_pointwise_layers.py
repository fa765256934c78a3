"""Operators on elements, means, maxima and joined tensors as layers of microcontrollers."""

from dataclasses import replace
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


def _images(op: str, x: Array, result: torch.Tensor, values: dict[str, Any]) -> Case:
    """A case on images, which are channels last in layers."""
    return _case(op, [_last(x)], _last(result.numpy()), values)


def _last(image: Array) -> Array:
    return np.ascontiguousarray(image.transpose(0, 2, 3, 1))


def _mean(rows: int, columns: int, channels: int, factor: float = 0.9, low: int = -128) -> Case:
    x = _int8(1, channels, rows, columns)
    values = _requantizing(factor / (rows * columns), low)
    result = ops.mean_int8(torch.from_numpy(x), [2, 3], True, **values)
    return _images("penjing.mean_int8", x, result, {"dim": [1, 2], "keepdim": True, **values})


def _average_pool(size: int, kernel: int, stride: int, factor: float = 0.8) -> Case:
    x = _int8(1, 8, size, size + 1)
    values = {"kernel_size": [kernel] * 2, "stride": [stride] * 2, "padding": [0, 0]}
    values |= _requantizing(factor / kernel**2)
    result = ops.avg_pool_int8(torch.from_numpy(x), **values)
    return _images("penjing.avg_pool_int8", x, result, values)


def _requantizing(scale: float, low: int = -128) -> dict[str, Any]:
    values = {"input_zero_point": -17, "multiplier": round(scale * 2**31), "shift": 0}
    return {**values, "zero_point": 11, "low": low, "high": 127}


def _max_pool(size: tuple[int, int], kernel: int, stride: int, padding: int) -> Case:
    x = _int8(1, 8, *size)
    result = torch.nn.functional.max_pool2d(torch.from_numpy(x).float(), kernel, stride, padding)
    values: dict[str, Any] = {"kernel_size": [kernel] * 2, "stride": [stride] * 2}
    values |= {"padding": [padding] * 2, "dilation": [1, 1], "ceil_mode": False}
    return _images("aten.max_pool2d", x, result.to(torch.int8), values)


def _table(count: int) -> Case:
    x, table = _int8(count), _int8(256)
    result = ops.table_int8(torch.from_numpy(x), torch.from_numpy(table))
    node, inputs, expected = _case("penjing.table_int8", [x], result.numpy(), {})
    return replace(node, constants={"table": table}), inputs, expected


def _join(axis: int, *lengths: int) -> Case:
    shapes = [[1, 3, 4, 5] for _ in lengths]
    for shape, length in zip(shapes, lengths, strict=True):
        shape[axis] = length
    parts = [_int8(*shape) for shape in shapes]
    return _case("aten.cat", parts, np.concatenate(parts, axis), {"dim": axis})


_CASES: dict[str, Case] = {
    "add": _add(64),
    "add of an odd number": _add(23),
    "add of three": _add(3),
    "add with limits": _add(50, -30, 101),
    "rescale": _rescale(45),
    "max pool": _max_pool((6, 8), 2, 2, 0),
    "max pool, padded": _max_pool((7, 6), 3, 2, 1),
    "max pool, of all": _max_pool((5, 5), 5, 5, 0),
    "table": _table(40),
    "table of an odd number": _table(23),
    "join channels": _join(3, 3, 5, 8),
    "join rows": _join(1, 1, 2),
    "mean": _mean(5, 7, 8),
    "mean of many": _mean(23, 25, 4),
    "mean with limits": _mean(8, 8, 16, low=-20),
    "average pool": _average_pool(6, 2, 2),
    "average pool, large factor": _average_pool(6, 2, 2, factor=3.5),
    "average pool, overlapping": _average_pool(7, 3, 2),
}


_CORES = ("cortex-m3", "cortex-m4", "cortex-m55")


@pytest.mark.parametrize("target", _CORES[1:])
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
