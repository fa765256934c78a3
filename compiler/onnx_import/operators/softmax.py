"""Softmax and what is made of it: over one axis, before operator set 13 over all that follow."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..call import Call
from ..registry import onnx_op


@onnx_op("Softmax")
def softmax(call: Call) -> Tensor:
    return _over_axis(call, torch.softmax)


@onnx_op("LogSoftmax")
def log_softmax(call: Call) -> Tensor:
    return _over_axis(call, torch.log_softmax)


@onnx_op("Hardmax")
def hardmax(call: Call) -> Tensor:
    return _over_axis(call, _first_largest)


def _over_axis(call: Call, function: Callable[[Tensor, int], Tensor]) -> Tensor:
    x = call.tensor(0)
    axis = call.attribute("axis", -1 if call.opset >= 13 else 1)
    if not -x.dim() <= axis < x.dim():
        raise call.refused(f"attribute axis is {axis} for an input of {x.dim()} axes")
    if call.opset >= 13 or axis % x.dim() == x.dim() - 1:
        return function(x, axis)
    return function(x.flatten(axis), -1).reshape(x.shape)


def _first_largest(x: Tensor, axis: int) -> Tensor:
    """1 at the first of the largest elements along an axis, 0 elsewhere."""
    places = torch.arange(x.shape[axis]).reshape(-1, *[1] * (x.dim() - 1 - axis % x.dim()))
    return (places == x.argmax(axis, keepdim=True)).to(x.dtype)
