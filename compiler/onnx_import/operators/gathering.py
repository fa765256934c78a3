"""Elements read at places that are known, or found when the model runs."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..arrays import as_tensor
from ..call import Call
from ..registry import onnx_op
from .axes import wrap_axis


@onnx_op("Gather")
def gather(call: Call) -> Tensor:
    """Slices of an axis; one or evenly spaced known places are a view, rows a table lookup."""
    x, index = call.tensor(0), call.tensor(1)
    axis = wrap_axis(call, call.attribute("axis", 0), x.dim())
    if call.is_known(1):
        return _gather_known(call, x, axis, call.known(1))
    if axis == 0 and x.dim() == 2 and x.is_floating_point() and call.is_known(0):
        return functional.embedding(from_start(index, x.shape[0]), x)
    return torch.ops.aten.index.Tensor(x, [*[None] * axis, index])  # type: ignore[no-any-return]


@onnx_op("GatherElements")
def gather_elements(call: Call) -> Tensor:
    x = call.tensor(0)
    axis = wrap_axis(call, call.attribute("axis", 0), x.dim())
    return torch.gather(x, axis, places_of(call, 1, x.shape[axis]).long())


@onnx_op("GatherND")
def gather_nd(call: Call) -> Tensor:
    """x[index[..., 0], index[..., 1], ...], for each element of the first `batch_dims` axes."""
    x, index = call.tensor(0), call.tensor(1)
    batch = call.attribute("batch_dims", 0)
    if not 0 <= batch < min(x.dim(), index.dim()) or index.shape[-1] > x.dim() - batch:
        raise call.refused(f"batch_dims {batch}, {tuple(index.shape)} places in {tuple(x.shape)}")
    if call.is_known(1) and batch == 0 and index.shape[-1] == 1:
        return _gather_known(call, x, 0, call.known(1)[..., 0])
    return x[(*batch_places(index, batch), *torch.unbind(index, -1))]


@onnx_op("OneHot")
def one_hot(call: Call) -> Tensor:
    """The second of two values at the index, the first elsewhere and for indices out of range."""
    index, values = call.tensor(0), call.tensor(2)
    depth = int(call.known(1, "the depth").reshape(()).item())
    axis = wrap_axis(call, call.attribute("axis", -1), index.dim() + 1)
    places = torch.arange(depth).reshape(depth, *(1,) * (index.dim() - axis))
    is_there = from_start(index, depth).unsqueeze(axis) == places
    if call.is_known(2) and call.known(2).tolist() == [0, 1]:
        return is_there.to(values.dtype)
    return torch.where(is_there, values[1], values[0])


@onnx_op("NonZero")
def non_zero(call: Call) -> np.ndarray:
    x = call.known(0, "the tensor whose values say how many results there are")
    return np.array(np.nonzero(x), np.int64).reshape(x.ndim, -1)


@onnx_op("Compress")
def compress(call: Call) -> Tensor:
    """The slices of an axis, or the elements, where the condition is true."""
    x = call.tensor(0)
    condition = call.known(1, "the condition that says how many results there are")
    if "axis" not in call.attributes:
        x = x.reshape(-1)
    axis = wrap_axis(call, call.attribute("axis", 0), x.dim())
    return _gather_known(call, x, axis, np.flatnonzero(condition))


def from_start(index: Tensor, size: int) -> Tensor:
    """Indices that count from the end if negative, counted from the start."""
    return torch.where(index < 0, index + size, index)


def places_of(call: Call, position: int, size: int) -> Tensor:
    """As `from_start` of an input, done now if it is known."""
    if not call.is_known(position):
        return from_start(call.tensor(position), size)
    return as_tensor(_checked(call, call.known(position), size))


def batch_places(index: Tensor, batch: int) -> list[Tensor]:
    """For each of the first `batch` axes, its own places, as `index[..., 0]` broadcasts them."""
    rank = index.dim() - 1
    return [
        torch.arange(index.shape[axis]).reshape(-1, *(1,) * (rank - 1 - axis))
        for axis in range(batch)
    ]


def _checked(call: Call, places: np.ndarray, size: int) -> np.ndarray:
    if places.size and not (-size <= places.min() and places.max() < size):
        raise call.refused(f"places {places.min()} to {places.max()} of {size}")
    return np.where(places < 0, places + size, places).astype(np.int64)


def _gather_known(call: Call, x: Tensor, axis: int, places: np.ndarray) -> Tensor:
    places = _checked(call, places, x.shape[axis])
    if places.ndim == 0:
        return x.select(axis, int(places))
    picked = _pick(x, axis, places.reshape(-1))
    return picked.reshape(_replaced(x.shape, axis, places.shape))


def _pick(x: Tensor, axis: int, places: np.ndarray) -> Tensor:
    """Places of an axis; evenly spaced ones as a slice."""
    steps = set(np.diff(places).tolist())
    if len(places) and len(steps) <= 1 and min(steps, default=1) > 0:
        step = steps.pop() if steps else 1
        first, end = int(places[0]), int(places[-1]) + 1
        return torch.ops.aten.slice.Tensor(x, axis, first, end, step)  # type: ignore[no-any-return]
    return torch.index_select(x, axis, as_tensor(places))


def _replaced(shape: Sequence[int], axis: int, sizes: Sequence[int]) -> list[int]:
    return [*shape[:axis], *sizes, *shape[axis + 1 :]]
