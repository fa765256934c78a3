"""Layers of ONNX with random attributes against onnxruntime, in eager PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from penjing.compiler.errors import CompileError

from .single_node import Inputs, RefusedByOnnxruntime, check, reals

Random = np.random.Generator
Case = tuple[str, Inputs, dict[str, Any], int]
COUNT = 40
_AUTO = ["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]


def _ints(random: Random, low: int, high: int, count: int) -> list[int]:
    return [int(number) for number in random.integers(low, high + 1, count)]


def _window(random: Random, rank: int, *, dilated: bool = True) -> dict[str, Any]:
    """Attributes of a window."""
    attributes: dict[str, Any] = {"strides": _ints(random, 1, 3, rank)}
    auto = str(random.choice(_AUTO))
    if auto == "NOTSET":
        attributes["pads"] = _ints(random, 0, 1, 2 * rank)
        if dilated:
            attributes["dilations"] = _ints(random, 1, 2, rank)
    else:
        attributes["auto_pad"] = auto
    return attributes


def conv(random: Random) -> Case:
    rank, groups = int(random.integers(1, 4)), int(random.integers(1, 3))
    kernel = _ints(random, 1, 3, rank)
    x = reals(1, 2 * groups, *_ints(random, 5, 8, rank))
    weight = reals(3 * groups, 2, *kernel)
    bias = reals(3 * groups) if random.random() < 0.5 else None
    return "Conv", [x, weight, bias], {"group": groups, **_window(random, rank)}, 1


def conv_transpose(random: Random) -> Case:
    rank, groups = int(random.integers(1, 3)), int(random.integers(1, 3))
    kernel, images = _ints(random, 2, 3, rank), _ints(random, 3, 5, rank)
    attributes: dict[str, Any] = {"group": groups, **_window(random, rank)}
    kind = random.integers(0, 3)
    if kind == 1:
        steps = attributes["strides"]
        attributes["output_padding"] = [int(random.integers(0, step)) for step in steps]
    if kind == 2 and "auto_pad" not in attributes:
        del attributes["pads"]
        attributes["output_shape"] = [size * 2 for size in images]
    x, weight = reals(1, 2 * groups, *images), reals(2 * groups, 3, *kernel)
    return "ConvTranspose", [x, weight, reals(3 * groups)], attributes, 1


def max_pool(random: Random) -> Case:
    rank = int(random.integers(1, 4))
    attributes = {"kernel_shape": _ints(random, 2, 3, rank), **_window(random, rank)}
    attributes["ceil_mode"] = int("auto_pad" not in attributes and random.random() < 0.5)
    outputs = 1 + int(random.random() < 0.4)
    if outputs == 2:
        attributes["storage_order"] = int(random.random() < 0.5) if rank == 2 else 0
    return "MaxPool", [reals(2, 3, *_ints(random, 6, 9, rank))], attributes, outputs


def average_pool(random: Random) -> Case:
    rank = int(random.integers(1, 4))
    attributes = {"kernel_shape": _ints(random, 2, 3, rank), **_window(random, rank, dilated=False)}
    attributes["ceil_mode"] = int("auto_pad" not in attributes and random.random() < 0.5)
    attributes["count_include_pad"] = int(random.random() < 0.5)
    return "AveragePool", [reals(2, 3, *_ints(random, 6, 9, rank))], attributes, 1


def lp_pool(random: Random) -> Case:
    attributes = {"kernel_shape": _ints(random, 2, 3, 2), **_window(random, 2, dilated=False)}
    attributes["p"] = int(random.integers(1, 4))
    return "LpPool", [reals(2, 3, *_ints(random, 6, 9, 2))], attributes, 1


def gemm(random: Random) -> Case:
    attributes: dict[str, Any] = {
        "transA": int(random.integers(2)),
        "transB": int(random.integers(2)),
    }
    if random.random() < 0.5:
        attributes |= {"alpha": 0.5, "beta": float(random.choice([0.0, 2.0]))}
    x = reals(4, 3) if attributes["transA"] else reals(3, 4)
    weight = reals(5, 4) if attributes["transB"] else reals(4, 5)
    shapes: list[tuple[int, ...]] = [(5,), (1, 5), (3, 1), (3, 5), (), (1,)]
    shape = shapes[int(random.integers(len(shapes)))]
    return "Gemm", [x, weight, reals(*shape) + 1 if random.random() < 0.8 else None], attributes, 1


def lrn(random: Random) -> Case:
    x = reals(2, 6, *_ints(random, 2, 4, int(random.integers(1, 3))))
    return "LRN", [x], {"size": int(random.choice([1, 3, 5])), "alpha": 0.3, "bias": 2.0}, 1


def batch_norm(random: Random) -> Case:
    x, rank = reals(3, 4, 5), int(random.integers(0, 2))
    given = [reals(4, seed=seed) for seed in range(3)]
    x = x if rank else reals(3, 4)
    return "BatchNormalization", [x, *given, np.abs(reals(4)) + 0.1], {"epsilon": 1e-3}, 1


def layer_norm(random: Random) -> Case:
    axis = int(random.choice([-1, -2, 1, 2]))
    x = reals(2, 3, 4)
    shape = x.shape[axis:]
    return "LayerNormalization", [x, reals(*shape), reals(*shape)], {"axis": axis}, 1


def _recurrent(random: Random, op: str, gates: int, states: int, peepholes: int = 0) -> Case:
    direction = str(random.choice(["forward", "reverse", "bidirectional"]))
    ways, size, steps, batch, features = 2 if direction == "bidirectional" else 1, 3, 4, 2, 5
    weights = [reals(ways, gates * size, features), reals(ways, gates * size, size)]
    bias = reals(ways, 2 * gates * size) if random.random() < 0.7 else None
    lengths = np.array([4, 2], np.int32) if random.random() < 0.4 else None
    before = [
        reals(ways, batch, size, seed=seed) if random.random() < 0.5 else None
        for seed in range(states)
    ]
    inputs = [reals(steps, batch, features), *weights, bias, lengths, *before]
    if peepholes and random.random() < 0.4:
        inputs.append(reals(ways, peepholes * size))
    attributes: dict[str, Any] = {"hidden_size": size, "direction": direction}
    if random.random() < 0.3:
        attributes["clip"] = 0.4
    if op == "GRU":
        attributes["linear_before_reset"] = int(random.random() < 0.5)
    if random.random() < 0.3:
        names = {"LSTM": ["HardSigmoid", "Softsign", "Tanh"], "GRU": ["HardSigmoid", "Relu"]}
        attributes["activations"] = names.get(op, ["Relu"]) * ways
    return op, inputs, attributes, 1 + states


def lstm(random: Random) -> Case:
    return _recurrent(random, "LSTM", 4, 2, 3)


def gru(random: Random) -> Case:
    return _recurrent(random, "GRU", 3, 1)


def rnn(random: Random) -> Case:
    return _recurrent(random, "RNN", 1, 1)


@pytest.mark.parametrize("opset", [7, 11, 12, 13])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
def test_axes_of_softmax_in_all_versions(op: str, opset: int) -> None:
    """Before version 13 the axes from the given one on are one."""
    for axis in (None, 0, 1, 2, -1, *([-2] if opset >= 11 else [])):
        attributes = {} if axis is None else {"axis": axis}
        check(op, [reals(2, 3, 4)], domain="", version=opset, **attributes)


@pytest.mark.parametrize("opset", [7, 9, 13])
def test_old_versions(opset: int) -> None:
    x, kernel = reals(2, 3, 7, 7), dict[str, Any](kernel_shape=[3, 2])
    statistics = [reals(3), reals(3), reals(3), np.abs(reals(3)) + 1]
    check("BatchNormalization", [x, *statistics], domain="", version=opset)
    check("AveragePool", [x], domain="", version=opset, pads=[1, 0, 1, 1], **kernel)
    check("MaxPool", [x], domain="", version=opset, auto_pad="SAME_LOWER", **kernel)
    check("Gemm", [reals(2, 3), reals(3, 4), reals(4)], domain="", version=opset, alpha=0.5)
    check("InstanceNormalization", [x, reals(3), reals(3)], domain="", version=opset)
    weights = [reals(1, 16, 5), reals(1, 16, 4), reals(1, 32)]
    check("LSTM", [reals(3, 2, 5), *weights], domain="", version=opset, hidden_size=4, outputs=3)


MAKERS = [
    conv, conv_transpose, max_pool, average_pool, lp_pool, gemm, lrn, batch_norm, layer_norm,
    lstm, gru, rnn,
]  # fmt: skip


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_random_attributes(make: Callable[[Random], Case]) -> None:
    compared = 0
    for seed in range(COUNT):
        op, inputs, attributes, outputs = make(np.random.default_rng(seed))
        try:
            check(op, inputs, outputs=outputs, domain="", **attributes)
        except (RefusedByOnnxruntime, CompileError):
            continue
        except AssertionError as error:
            raise AssertionError(f"{op} {attributes}") from error
        compared += 1
    assert compared >= COUNT // 2
