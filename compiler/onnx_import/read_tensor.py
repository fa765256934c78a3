"""Tensors of ONNX files as numpy arrays, whose sizes are checked before memory is taken."""

import math
from pathlib import Path

import numpy as np
from onnx import SparseTensorProto, TensorProto, helper, numpy_helper

from ..errors import CompileError
from .external_data import read_external

MAX_SPARSE_BYTES = 1 << 28  # a sparse tensor of a few bytes may have any shape
_BITS: dict[int, int] = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.FLOAT4E2M1: 4,
    TensorProto.INT2: 2,
    TensorProto.UINT2: 2,
    TensorProto.FLOAT6E2M3: 6,
    TensorProto.FLOAT6E3M2: 6,
}


def read_tensor(tensor: TensorProto, folder: Path | None) -> np.ndarray:
    """The numbers, or strings, of a tensor.

    Args:
        tensor: Of an initializer or an attribute.
        folder: Where its file lies, if it is in one.

    Raises:
        CompileError: The shape, the type and the data do not fit each other.
    """
    shape = tuple(tensor.dims)
    if tensor.data_type not in helper.get_all_tensor_dtypes() or tensor.HasField("segment"):
        raise _broken(tensor, f"element type {tensor.data_type}")
    if any(size < 0 for size in shape):
        raise _broken(tensor, f"shape {list(shape)}")
    if tensor.data_type == TensorProto.STRING:
        return _read_strings(tensor, shape)
    count = math.prod(shape)
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    size = -(-count * _BITS.get(tensor.data_type, 8 * dtype.itemsize) // 8)
    is_external = tensor.data_location == TensorProto.EXTERNAL
    if is_external or tensor.HasField("raw_data"):
        raw = read_external(tensor, folder, size) if is_external else tensor.raw_data
        if len(raw) != size:
            raise _broken(tensor, f"{len(raw)} bytes of data for {dtype}{list(shape)}")
        if tensor.data_type == TensorProto.BOOL:  # any byte but 0 is true
            return np.frombuffer(raw, np.uint8).reshape(shape).astype(np.bool_)
        if tensor.data_type not in _BITS:
            numbers = np.frombuffer(raw, dtype.newbyteorder("<")).reshape(shape)
            return numbers.astype(dtype, copy=False)
        tensor = TensorProto(data_type=tensor.data_type, dims=shape, raw_data=raw)
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OverflowError) as error:
        raise _broken(tensor, f"{error} for {dtype}{list(shape)}") from error


def read_sparse(tensor: SparseTensorProto, folder: Path | None) -> np.ndarray:
    """The numbers of a sparse tensor, zeros included.

    Raises:
        CompileError: Its parts do not fit each other, or it would be larger than 256 MiB.
    """
    values, indices = read_tensor(tensor.values, folder), read_tensor(tensor.indices, folder)
    shape = tuple(tensor.dims)
    if any(size < 0 for size in shape) or values.ndim != 1:
        raise _broken(tensor.values, f"sparse, shape {list(shape)}, values {values.shape}")
    if math.prod(shape) * max(values.itemsize, 1) > MAX_SPARSE_BYTES:
        raise _broken(tensor.values, f"sparse, shape {list(shape)} of {values.dtype}")
    dense = np.zeros(math.prod(shape), values.dtype)
    try:
        if indices.ndim == 2:
            indices = np.ravel_multi_index(tuple(indices.T), shape)
        if indices.shape != values.shape or (indices < 0).any():
            raise ValueError(f"indices {indices.shape}, values {values.shape}")
        dense[indices] = values
    except (ValueError, TypeError, IndexError) as error:
        raise _broken(tensor.values, f"sparse: {error}") from error
    return dense.reshape(shape)


def _read_strings(tensor: TensorProto, shape: tuple[int, ...]) -> np.ndarray:
    try:
        texts = [text.decode() for text in tensor.string_data]
        return np.array(texts, dtype=object).reshape(shape)
    except ValueError as error:
        raise _broken(tensor, f"strings: {error}") from error


def _broken(tensor: TensorProto, got: str) -> CompileError:
    return CompileError(
        "a tensor of the ONNX model is malformed",
        at=tensor.name or "a tensor without a name",
        got=got,
        fix="export the model again; onnx.checker.check_model says more",
    )
