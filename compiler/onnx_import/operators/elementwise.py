"""Arithmetic and functions of single elements."""

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from ..call import Call
from ..registry import Translation, onnx_op
from .axes import wrap_axis

_OF_ONE: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "IsNaN": torch.isnan,
    "Log": torch.log,
    "Neg": torch.neg,
    "Reciprocal": torch.reciprocal,
    "Round": torch.round,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Sqrt": torch.sqrt,
    "Tan": torch.tan,
    "Tanh": torch.tanh,
}
_OF_TWO: dict[str, Callable[[Any, Any], Tensor]] = {
    "Add": operator.add,
    "Mul": operator.mul,
    "Sub": operator.sub,
}


def of_one(function: Callable[[Tensor], Tensor]) -> Translation:
    """The translation of an operator that is a function of PyTorch with one operand."""
    return lambda call: function(call.tensor(0))


def of_two(function: Callable[[Any, Any], Tensor]) -> Translation:
    """The translation of an operator that is a function of PyTorch with two operands."""
    return lambda call: function(*operands(call))


def operands(call: Call) -> tuple[Any, Any]:
    """Two inputs; a known scalar beside a tensor as a number, which is how PyTorch has it."""
    x, y = aligned(call)
    if x.dtype is not y.dtype or x.dtype is torch.bool:
        return x, y
    if x.dim() and not y.dim() and call.is_known(1):
        return x, call.known(1).item()
    if y.dim() and not x.dim() and call.is_known(0):
        return call.known(0).item(), y
    return x, y


def aligned(call: Call) -> tuple[Tensor, Tensor]:
    """Two inputs; before version 7 the second one starts at an axis of the first."""
    x, y = call.tensor(0), call.tensor(1)
    if call.opset >= 7 or "axis" not in call.attributes:
        return x, y
    behind = x.dim() - wrap_axis(call, call.needed("axis"), x.dim()) - y.dim()
    if behind < 0:
        raise call.refused(f"{tuple(y.shape)} from axis {call.needed('axis')} of {tuple(x.shape)}")
    return x, y.reshape(*y.shape, *(1,) * behind)


for _name, _function in _OF_ONE.items():
    onnx_op(_name)(of_one(_function))
for _name, _pair_function in _OF_TWO.items():
    onnx_op(_name)(of_two(_pair_function))


def _divide(x: Any, y: Any) -> Tensor:
    result: Tensor = x / y
    return result


@onnx_op("Div")
def div(call: Call) -> Tensor:
    """Integers are divided as in C: towards zero."""
    x, y = aligned(call)
    if not x.is_floating_point():
        return torch.div(x, y, rounding_mode="trunc")
    return _divide(*operands(call))


@onnx_op("Mod")
def mod(call: Call) -> Tensor:
    """The sign is that of the divisor, as in Python; with fmod=1 that of the dividend, as in C."""
    x, y = call.tensor(0), call.tensor(1)
    if call.attribute("fmod", 0):
        return torch.fmod(x, y)
    if not x.is_floating_point():
        return torch.remainder(x, y)
    rest = torch.remainder(x, y)
    return torch.where(rest == 0, torch.copysign(rest, y), rest)


@onnx_op("Pow")
def power(call: Call) -> Tensor:
    """The result has the type of the base, whatever that of the exponent is."""
    x, y = aligned(call)
    if x.is_floating_point():
        number = known_number(call, 1, x.dim())
        return torch.pow(x, y.to(x.dtype) if number is None else number)
    if not y.is_floating_point():
        return torch.pow(x, y.to(x.dtype))
    return torch.pow(x.double(), y.double()).to(x.dtype)


@onnx_op("Max")
def maximum(call: Call) -> Tensor:
    return _extreme(call, torch.maximum, torch.clamp_min)


@onnx_op("Min")
def minimum(call: Call) -> Tensor:
    return _extreme(call, torch.minimum, torch.clamp_max)


@onnx_op("Sum")
def sum_of_inputs(call: Call) -> Tensor:
    return reduce(torch.add, call.tensors())


@onnx_op("Mean")
def mean_of_inputs(call: Call) -> Tensor:
    return torch.div(sum_of_inputs(call), len(call.inputs))


@onnx_op("Clip")
def clip(call: Call) -> Tensor:
    """min(max(x, low), high); bounds are attributes before version 11, then optional inputs."""
    x = call.tensor(0)
    if call.opset < 11:
        low, high = call.attribute("min", None), call.attribute("max", None)
        return x if low is None and high is None else torch.clamp(x, low, high)
    bounds = [known_number(call, index, x.dim()) for index in (1, 2)]
    if all(
        call.has(index) == (bound is not None) for index, bound in zip((1, 2), bounds, strict=True)
    ):
        return torch.clamp(x, *bounds) if call.has(1) or call.has(2) else x
    low, high = (_one_element(call, index) if call.has(index) else None for index in (1, 2))
    return torch.clamp(x, low, high)


def known_number(call: Call, index: int, rank: int) -> float | int | bool | None:
    """An input that is one known number and broadcasts to `rank` axes; None if it is not."""
    if not call.is_known(index):
        return None
    known = call.known(index)
    if known.size != 1 or known.ndim > rank:
        return None
    number: float | int | bool = known.item()
    return number


def _extreme(call: Call, choose: Callable[..., Tensor], clamp_to: Callable[..., Tensor]) -> Tensor:
    """The maximum or minimum of all inputs; NaN if any of them is."""
    if len(call.inputs) != 2:
        return reduce(choose, call.tensors())
    for first, second in ((0, 1), (1, 0)):
        x = call.tensor(first)
        number = known_number(call, second, x.dim())
        if number is not None:
            return clamp_to(x, number)
    return choose(call.tensor(0), call.tensor(1))


def _one_element(call: Call, index: int) -> Tensor:
    bound = call.tensor(index)
    if bound.numel() != 1:
        raise call.refused(f"a bound of shape {tuple(bound.shape)}, not a single number")
    return bound.reshape(())
