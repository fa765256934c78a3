"""Activation functions."""

import math
from typing import Any

import pytest
import torch

from .harness import Weight, check
from .strategies import numbered

aten = torch.ops.aten
NUMBERS = torch.cat(
    [torch.linspace(-9, 9, 37), torch.tensor([0.0, -0.0, 30.0, -30.0, 100.0, math.inf, math.nan])]
)
FLOATS = (torch.float64, torch.float16, torch.bfloat16)
CASES: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    (aten.relu.default, (), {}),
    (aten.relu6.default, (), {}),
    (aten.silu.default, (), {}),
    (aten.mish.default, (), {}),
    (aten.log_sigmoid.default, (), {}),
    (aten.hardsigmoid.default, (), {}),
    (aten.hardswish.default, (), {}),
    (aten.gelu.default, (), {}),
    (aten.gelu.default, (), {"approximate": "tanh"}),
    (aten.hardtanh.default, (), {}),
    (aten.hardtanh.default, (-0.5, 2.5), {}),
    (aten.clamp.default, (-1, 2), {}),
    (aten.clamp.default, (None, 2.5), {}),
    (aten.clamp.default, (0.5,), {}),
    (aten.clamp_min.default, (0.5,), {}),
    (aten.clamp_max.default, (0.5,), {}),
    (aten.clamp.Tensor, (torch.tensor(-1.0), torch.tensor(2.0)), {}),
    (aten.leaky_relu.default, (), {}),
    (aten.leaky_relu.default, (0.3,), {}),
    (aten.elu.default, (), {}),
    (aten.elu.default, (0.5, 1.5, 2.0), {}),
    (aten.selu.default, (), {}),
    (aten.celu.default, (0.7,), {}),
    (aten.softplus.default, (), {}),
    (aten.softplus.default, (2.0, 5.0), {}),
    (aten.hardshrink.default, (0.7,), {}),
    (aten.softshrink.default, (0.7,), {}),
    (aten.threshold.default, (0.3, -2.0), {}),
]


def names(case: Any) -> str:
    return f"{case[0]}{list(case[1])}"


@pytest.mark.parametrize("case", CASES, ids=names)
def test_activation(case: tuple[Any, tuple[Any, ...], dict[str, Any]]) -> None:
    op, options, more = case
    numbers = NUMBERS[:-2] if op is aten.gelu.default else NUMBERS  # torch gives NaN for infinity
    check(op, numbers, *options, **more)
    dtype = FLOATS[CASES.index(case) % 3]
    check(op, numbered((3, 1, 5), dtype) / 8, *(_cast(o, dtype) for o in options), **more)


def _cast(option: Any, dtype: torch.dtype) -> Any:
    return option.to(dtype) if isinstance(option, torch.Tensor) else option


def test_integers() -> None:
    x = numbered((5, 7), torch.int64)
    check(aten.relu.default, x)
    check(aten.clamp.default, x, -3, 50)
    check(aten.clamp.Tensor, x, torch.tensor(-3), torch.arange(7) * 9)
    check(aten.clamp_min.Tensor, x, torch.tensor(4))
    check(aten.hardtanh.default, x, -3, 3)


def test_clamp_promotes() -> None:
    check(aten.clamp.default, numbered((5, 7), torch.int64), -3.5, 50.5)
    check(aten.clamp.Tensor, numbered((5, 7)), None, numbered((5, 1)))


@pytest.mark.parametrize("constant", [False, True])
def test_prelu(constant: bool) -> None:
    for shape, count in [((2, 5, 3, 4), 5), ((2, 5, 3), 1), ((2, 8), 8), ((7,), 1)]:
        slopes = torch.linspace(-0.5, 1, count)
        check(aten.prelu.default, numbered(shape), Weight(slopes) if constant else slopes)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_glu(axis: int) -> None:
    check(aten.glu.default, numbered((4, 6, 10)) / 20, axis)
    check(aten.glu.default, numbered((4, 6, 10), torch.bfloat16) / 20, axis)
