"""Where the extremes of an axis are, its largest elements, and running sums and products."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..call import Call
from ..registry import onnx_op
from .axes import wrap_axis


@onnx_op("ArgMax")
def arg_max(call: Call) -> Tensor:
    return _place(call, torch.argmax)


@onnx_op("ArgMin")
def arg_min(call: Call) -> Tensor:
    return _place(call, torch.argmin)


@onnx_op("TopK")
def top_k(call: Call) -> tuple[Tensor, Tensor]:
    """The k largest or smallest elements; of equal ones those with the smaller index come first.

    `torch.topk` takes equal elements in any order, so this is a stable sort.
    """
    x = call.tensor(0)
    axis = wrap_axis(call, call.attribute("axis", -1), x.dim())
    k = call.needed("k") if call.opset < 10 else call.known(1, "the number of elements").item()
    if not 0 <= k <= x.shape[axis]:
        raise call.refused(f"{k} elements of an axis of {x.shape[axis]}")
    descending = bool(call.attribute("largest", 1))
    values, places = torch.sort(x, stable=True, dim=axis, descending=descending)
    return values.narrow(axis, 0, k), places.narrow(axis, 0, k)


@onnx_op("CumSum")
def running_sum(call: Call) -> Tensor:
    return _running(call, torch.cumsum, 0)


@onnx_op("CumProd")
def running_product(call: Call) -> Tensor:
    return _running(call, torch.cumprod, 1)


@onnx_op("Unique")
def unique(call: Call) -> tuple[np.ndarray, ...]:
    """Different elements or slices, where each is first, which each element is, how often each."""
    x = call.known(0, "the tensor whose values say how many results there are")
    axis = call.attributes.get("axis")
    values, first, inverse, counts = np.unique(
        x, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    inverse = inverse.reshape(-1)
    if not call.attribute("sorted", 1):  # in the order in which they come
        order = np.argsort(first)
        values = np.take(values, order, axis=axis or 0)
        first, counts, inverse = first[order], counts[order], np.argsort(order)[inverse]
    return values, *(part.astype(np.int64) for part in (first, inverse, counts))


def _place(call: Call, function: Callable[..., Tensor]) -> Tensor:
    """Where the extreme is: the first of equal ones, or the last."""
    x, keep = call.tensor(0), bool(call.attribute("keepdims", 1))
    axis = wrap_axis(call, call.attribute("axis", 0), x.dim())
    if not call.attribute("select_last_index", 0):
        return function(x, axis, keepdim=keep)
    return x.shape[axis] - 1 - function(torch.flip(x, [axis]), axis, keepdim=keep)


def _running(call: Call, function: Callable[..., Tensor], start: int) -> Tensor:
    """Results up to each element, or just before it if exclusive, from the end if reverse."""
    x = call.tensor(0)
    axis = wrap_axis(call, call.known_ints(1, "the axis")[0], x.dim())
    if call.attribute("reverse", 0):
        x = torch.flip(x, [axis])
    if call.attribute("exclusive", 0):
        behind = [0, 0] * (x.dim() - 1 - axis)
        x = functional.pad(x.narrow(axis, 0, x.shape[axis] - 1), [*behind, 1, 0], value=start)
    found = function(x, axis, dtype=x.dtype)
    return torch.flip(found, [axis]) if call.attribute("reverse", 0) else found
