"""Comparisons, logic, bits and choices."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..call import Call
from ..registry import onnx_op
from .elementwise import of_one, of_two

_OF_ONE: dict[str, Callable[[Tensor], Tensor]] = {
    "BitwiseNot": torch.bitwise_not,
    "Not": torch.logical_not,
}
_OF_TWO: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "And": torch.logical_and,
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Or": torch.logical_or,
    "Xor": torch.logical_xor,
}
for _name, _function in _OF_ONE.items():
    onnx_op(_name)(of_one(_function))
for _name, _pair_function in _OF_TWO.items():
    onnx_op(_name)(of_two(_pair_function))


@onnx_op("BitShift")
def bit_shift(call: Call) -> Tensor:
    """Bits shifted out are lost; both here and in PyTorch that holds for any distance."""
    direction = call.needed("direction")
    shifts = {"LEFT": torch.bitwise_left_shift, "RIGHT": torch.bitwise_right_shift}
    if direction not in shifts:
        raise call.refused(f"direction {direction!r}")
    return shifts[direction](call.tensor(0), call.tensor(1))


@onnx_op("IsInf")
def is_infinite(call: Call) -> Tensor:
    x = call.tensor(0)
    positive, negative = call.attribute("detect_positive", 1), call.attribute("detect_negative", 1)
    if positive and negative:
        return torch.isinf(x)
    if positive:
        return torch.isposinf(x)
    return torch.isneginf(x) if negative else torch.zeros_like(x, dtype=torch.bool)


@onnx_op("Where")
def where(call: Call) -> Tensor:
    return torch.where(call.tensor(0), call.tensor(1), call.tensor(2))
