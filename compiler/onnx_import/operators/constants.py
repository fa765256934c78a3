"""Tensors that are known from attributes and shapes alone."""

import math

import numpy as np
import torch
from torch import Tensor

from ..call import Call
from ..registry import onnx_op
from .casts import element_type

_NUMBERS = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}


@onnx_op("Constant")
def constant(call: Call) -> np.ndarray:
    for name in ("value", "sparse_value"):
        if name in call.attributes:
            return np.asarray(call.needed(name))
    for name, dtype in _NUMBERS.items():
        if name in call.attributes:
            return np.array(call.needed(name), dtype)
    for name in ("value_string", "value_strings"):
        if name in call.attributes:
            return np.array(call.needed(name), object)
    raise call.refused("it has no value")


@onnx_op("ConstantOfShape")
def constant_of_shape(call: Call) -> np.ndarray:
    value = np.asarray(call.attributes.get("value", np.zeros(1, np.float32)))
    shape = call.known_ints(0, "the shape")
    if value.size != 1 or min(shape, default=0) < 0:
        raise call.refused(f"shape {shape} filled with {value.size} values")
    call.bounded(math.prod(shape))
    return np.full(shape, value.reshape(()), value.dtype)


@onnx_op("Shape")
def shape(call: Call) -> np.ndarray:
    """The sizes of the axes from `start` to `end`, which count from the end if negative."""
    sizes = call.tensor(0).shape
    return np.array(sizes[call.attribute("start", 0) : call.attributes.get("end")], np.int64)


@onnx_op("Size")
def size(call: Call) -> np.ndarray:
    return np.array(call.tensor(0).numel(), np.int64)


@onnx_op("Range")
def arange(call: Call) -> np.ndarray:
    """start + i * step while that is on this side of the limit."""
    start, limit, step = (
        call.known(index, what).reshape(())
        for index, what in enumerate(("the start", "the limit", "the step"))
    )
    if step == 0:
        raise call.refused("the step is 0")
    wide = np.float64 if start.dtype.kind not in "iu" else start.dtype
    steps = (float(limit) - float(start)) / float(step)
    if not np.isfinite(steps):
        raise call.refused(f"from {start} to {limit} by {step}")
    count = call.bounded(max(int(np.ceil(steps)), 0))
    numbers: np.ndarray = start.astype(wide) + np.arange(count).astype(wide) * step.astype(wide)
    return numbers.astype(start.dtype)


@onnx_op("EyeLike")
def eye_like(call: Call) -> Tensor:
    """Ones on a diagonal of a matrix."""
    x = call.tensor(0)
    if x.dim() != 2:
        raise call.refused(f"a tensor of {x.dim()} axes")
    dtype = element_type(call, call.needed("dtype")) if "dtype" in call.attributes else x.dtype
    offset = call.attribute("k", 0)
    places = torch.arange(x.shape[0])[:, None] + offset == torch.arange(x.shape[1])
    return places.to(dtype)
