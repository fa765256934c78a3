"""Tensors of PyTorch as ONNX stores them."""

import onnx
import torch
from onnx import TensorProto
from torch import Tensor

_ELEMENT_TYPES = {
    torch.float32: TensorProto.FLOAT,
    torch.float64: TensorProto.DOUBLE,
    torch.float16: TensorProto.FLOAT16,
    torch.bfloat16: TensorProto.BFLOAT16,
    torch.int64: TensorProto.INT64,
    torch.int32: TensorProto.INT32,
    torch.int16: TensorProto.INT16,
    torch.int8: TensorProto.INT8,
    torch.uint8: TensorProto.UINT8,
    torch.bool: TensorProto.BOOL,
}


def element_type(dtype: torch.dtype) -> int:
    """ONNX's number for a dtype."""
    return _ELEMENT_TYPES[dtype]


def to_proto(tensor: Tensor, name: str) -> onnx.TensorProto:
    """A tensor under a name, its elements as bytes, row-major and little-endian."""
    dense = tensor.detach().cpu().contiguous()
    raw = dense.view(torch.uint8) if dense.dim() else dense.reshape(1).view(torch.uint8)
    return _proto(name, element_type(tensor.dtype), list(tensor.shape), raw.numpy().tobytes())


def int4_proto(integers: Tensor, name: str) -> onnx.TensorProto:
    """Integers in [-8, 7] with 4 bits each, two in a byte, the first in the low bits."""
    flat = integers.flatten() & 15
    if flat.numel() % 2:
        flat = torch.cat([flat, flat.new_zeros(1)])
    packed = (flat[::2] | flat[1::2] << 4).to(torch.uint8)
    return _proto(name, TensorProto.INT4, list(integers.shape), packed.numpy().tobytes())


def _proto(name: str, kind: int, shape: list[int], content: bytes) -> onnx.TensorProto:
    return TensorProto(name=name, data_type=kind, dims=shape, raw_data=content)
