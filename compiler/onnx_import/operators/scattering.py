"""Elements written, or combined with what is there, at places known when the model runs."""

from math import prod

import torch
from torch import Tensor

from ..call import Call
from ..registry import onnx_op
from .axes import wrap_axis
from .gathering import from_start, places_of

_REDUCTIONS = {"none": "", "add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@onnx_op("Scatter", "ScatterElements")
def scatter_elements(call: Call) -> Tensor:
    x, updates = call.tensor(0), call.tensor(2)
    axis = wrap_axis(call, call.attribute("axis", 0), x.dim())
    return _scatter(call, x, axis, places_of(call, 1, x.shape[axis]).long(), updates)


@onnx_op("ScatterND")
def scatter_nd(call: Call) -> Tensor:
    """x with x[index[..., 0], index[..., 1], ...] = updates."""
    x, index, updates = call.tensor(0), call.tensor(1), call.tensor(2)
    depth = index.shape[-1]
    if depth > x.dim():
        raise call.refused(f"places of {depth} axes in a tensor of {x.dim()}")
    if not depth:
        raise call.refused("places of no axis")
    reduction = _reduction(call)
    if reduction in {"", "sum"}:
        return x.index_put(torch.unbind(index, -1), updates, accumulate=reduction == "sum")
    rows, inner = prod(x.shape[:depth]), x.shape[depth:]
    row = torch.zeros_like(index[..., 0])
    for axis in range(depth):
        row = row * x.shape[axis] + from_start(index[..., axis], x.shape[axis])
    places = row.reshape(-1, *(1,) * len(inner)).expand(-1, *inner)
    flat = x.reshape(rows, *inner)
    return _scatter(call, flat, 0, places, updates.reshape(places.shape)).reshape(x.shape)


@onnx_op("TensorScatter")
def tensor_scatter(call: Call) -> Tensor:
    """A cache with `updates` written from a place of its own for each sample on."""
    x, updates = call.tensor(0), call.tensor(1)
    axis = wrap_axis(call, call.attribute("axis", -2), x.dim())
    if axis == 0 or call.attribute("mode", "linear") not in {"linear", "circular"}:
        raise call.refused(f"axis {axis}, mode {call.attribute('mode', 'linear')!r}")
    places = torch.arange(updates.shape[axis])[None]
    if call.has(2):
        places = call.tensor(2)[:, None] + places
    if call.attribute("mode", "linear") == "circular":
        places = torch.remainder(places, x.shape[axis])
    inner = (1,) * (x.dim() - 1 - axis)
    places = places.reshape(places.shape[0], *(1,) * (axis - 1), -1, *inner)
    return torch.scatter(x, axis, places.expand(updates.shape), updates)


def _scatter(call: Call, x: Tensor, axis: int, places: Tensor, updates: Tensor) -> Tensor:
    reduction = _reduction(call)
    if not reduction:
        return torch.scatter(x, axis, places, updates)
    return torch.scatter_reduce(x, axis, places, updates, reduction, include_self=True)


def _reduction(call: Call) -> str:
    name = call.attribute("reduction", "none")
    if name not in _REDUCTIONS:
        raise call.refused(f"reduction {name!r}")
    return _REDUCTIONS[name]
