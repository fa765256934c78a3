"""Sums, means, extremes and norms along axes."""

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor

from ..call import Call
from ..registry import onnx_op
from .axes import given_axes, wrap_axes

_Reduction = Callable[[Tensor, list[int], bool], Tensor]
AXES_ARE_AN_INPUT = 18  # of all reductions but ReduceSum


@onnx_op("ReduceSum")
def reduce_sum(call: Call) -> Tensor:
    return _reduced(call, _sum, input_since=13)


@onnx_op("ReduceMean")
def reduce_mean(call: Call) -> Tensor:
    return _reduced(call, _mean)


@onnx_op("ReduceProd")
def reduce_prod(call: Call) -> Tensor:
    return _reduced(call, _product)


@onnx_op("ReduceMax")
def reduce_max(call: Call) -> Tensor:
    return _reduced(call, _largest)


@onnx_op("ReduceMin")
def reduce_min(call: Call) -> Tensor:
    return _reduced(call, _smallest)


@onnx_op("ReduceL1")
def reduce_l1(call: Call) -> Tensor:
    return _reduced(call, _sum, before=torch.abs)


@onnx_op("ReduceL2")
def reduce_l2(call: Call) -> Tensor:
    return _reduced(call, _sum, before=torch.square, after=_square_root)


@onnx_op("ReduceSumSquare")
def reduce_sum_square(call: Call) -> Tensor:
    return _reduced(call, _sum, before=torch.square)


@onnx_op("ReduceLogSum")
def reduce_log_sum(call: Call) -> Tensor:
    return _reduced(call, _sum, after=torch.log)


@onnx_op("ReduceLogSumExp")
def reduce_log_sum_exp(call: Call) -> Tensor:
    return _reduced(call, torch.logsumexp)


def _reduced(
    call: Call,
    reduction: _Reduction,
    *,
    before: Callable[[Tensor], Tensor] = lambda x: x,
    after: Callable[[Tensor], Tensor] = lambda x: x,
    input_since: int = AXES_ARE_AN_INPUT,
) -> Tensor:
    """after(reduction(before(x))) along the axes of the node; no axes are all of them."""
    x, axes = call.tensor(0), given_axes(call, 1, input_since)
    if not axes and call.attribute("noop_with_empty_axes", 0):
        return after(before(x))  # log(sum(exp(x))) of one element is x too
    if not axes or not x.dim():
        axes = list(range(x.dim()))
    axes = wrap_axes(call, axes, x.dim())
    return after(reduction(before(x), axes, bool(call.attribute("keepdims", 1))))


def _sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return torch.sum(x, axes, keepdim=keep, dtype=x.dtype)


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    """Means of integers are rounded towards zero."""
    if x.is_floating_point():
        return torch.mean(x, axes, keepdim=keep)
    total, count = torch.sum(x, axes, keepdim=keep), prod(x.shape[axis] for axis in axes)
    return torch.div(total, count, rounding_mode="trunc").to(x.dtype)


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    if len(axes) == x.dim() and not keep:
        return torch.prod(x, dtype=x.dtype)
    for axis in sorted(axes, reverse=True):
        x = torch.prod(x, axis, keepdim=keep, dtype=x.dtype)
    return x


def _largest(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return _extreme(x, axes, keep, torch.amax, -1)


def _smallest(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return _extreme(x, axes, keep, torch.amin, 1)


def _extreme(
    x: Tensor, axes: list[int], keep: bool, function: Callable[..., Tensor], sign: int
) -> Tensor:
    """The extreme of no elements is the end of the number line that any element moves it from."""
    if all(x.shape[axis] for axis in axes):
        return function(x, axes, keepdim=keep) if x.dim() else x
    shape = [
        1 if axis in axes else size for axis, size in enumerate(x.shape) if keep or axis not in axes
    ]
    if x.is_floating_point():
        return x.new_full(shape, sign * float("inf"))
    if x.dtype is torch.bool:
        return x.new_full(shape, sign > 0)
    limits = torch.iinfo(x.dtype)
    return x.new_full(shape, limits.max if sign > 0 else limits.min)


def _square_root(x: Tensor) -> Tensor:
    """Of integers, rounded down."""
    return torch.sqrt(x) if x.is_floating_point() else torch.sqrt(x.double()).to(x.dtype)
