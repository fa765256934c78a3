"""Conversions between element types, and nodes that pass values on."""

import torch
from torch import Tensor

from ..call import Call
from ..element_types import TORCH_DTYPES
from ..registry import onnx_op

_SMALL_FLOATS = (
    torch.float8_e4m3fn,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2,
    torch.float8_e5m2fnuz,
    torch.float8_e8m0fnu,
)


@onnx_op("Cast")
def cast(call: Call) -> Tensor:
    return _convert(call, call.tensor(0), element_type(call, call.needed("to")))


@onnx_op("CastLike")
def cast_like(call: Call) -> Tensor:
    return _convert(call, call.tensor(0), call.tensor(1).dtype)


@onnx_op("BitCast")
def bit_cast(call: Call) -> Tensor:
    """The same bits, read as another type of the same size."""
    x, dtype = call.tensor(0), element_type(call, call.needed("to"))
    if x.element_size() != dtype.itemsize:
        raise call.refused(f"bits of {x.dtype} read as {dtype}, which has another size")
    return x.view(dtype)


@onnx_op("Identity")
def identity(call: Call) -> Tensor | list[Tensor]:
    return passed_on(call, 0)


@onnx_op("Dropout")
def dropout(call: Call) -> Tensor | tuple[Tensor, Tensor]:
    """In inference its input, and a mask that keeps everything."""
    x = call.tensor(0)
    if call.has(2) and bool(call.known(2, "whether this is training").item()):
        ratio = call.known(1, "the ratio").item() if call.has(1) else 0.5
        if ratio != 0:
            raise call.refused("it drops elements at random, as in training")
    if call.output_count < 2:
        return x
    return x, torch.ones_like(x, dtype=torch.bool if call.opset >= 10 else x.dtype)


def passed_on(call: Call, index: int) -> Tensor | list[Tensor]:
    """An input as a result: a tensor, or the tensors of a sequence."""
    value = call.value(index)
    if value.items is None:
        return call.tensor(index)
    return [item.tensor for item in value.items if item.tensor is not None]


def element_type(call: Call, number: int) -> torch.dtype:
    """The dtype that a number of TensorProto.DataType stands for.

    Raises:
        CompileError: PyTorch has no such dtype.
    """
    if number not in TORCH_DTYPES:
        raise call.refused(f"element type {number} of TensorProto.DataType")
    return TORCH_DTYPES[number]


def _convert(call: Call, x: Tensor, dtype: torch.dtype) -> Tensor:
    """Numbers too large for an 8 bit float become its largest one, or NaN or infinity."""
    if dtype not in _SMALL_FLOATS or x.dtype is dtype:
        return x.to(dtype)
    if dtype is torch.float8_e8m0fnu:
        raise call.refused("numbers rounded to powers of two")
    if call.attribute("saturate", 1):
        largest = torch.finfo(dtype).max
        return x.to(torch.float32).clamp(-largest, largest).to(dtype)
    if dtype is torch.float8_e4m3fn:
        raise call.refused(f"{dtype} without saturation, which PyTorch does not have")
    return x.to(dtype)
