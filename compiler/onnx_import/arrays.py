"""Numbers of ONNX files between numpy, where they are known, and PyTorch, which calculates."""

import numpy as np
import torch
from onnx.helper import np_dtype_to_tensor_dtype, tensor_dtype_to_np_dtype

from .element_types import TORCH_DTYPES

_NARROW = {"int2": torch.int8, "int4": torch.int8, "uint2": torch.uint8, "uint4": torch.uint8}
_NUMPY_BUILTIN = 1


def torch_dtype(array: np.ndarray) -> torch.dtype | None:
    """The dtype of `as_tensor(array)`; None for strings and others that no tensor holds.

    Integers of 2 and 4 bits, which PyTorch does not have, are held in 8 bits.
    """
    if array.dtype.name in _NARROW:
        return _NARROW[array.dtype.name]
    if array.dtype.kind in "OUS":
        return None
    return TORCH_DTYPES.get(np_dtype_to_tensor_dtype(array.dtype))


def as_tensor(array: np.ndarray) -> torch.Tensor:
    """A dense copy; its dtype is `torch_dtype(array)`."""
    dtype = torch_dtype(array)
    assert dtype is not None, array.dtype
    if array.dtype.name in _NARROW:
        return torch.tensor(array.astype(np.int64), dtype=dtype)
    if array.dtype.isbuiltin != _NUMPY_BUILTIN:  # bfloat16 and float8 of ml_dtypes
        return torch.tensor(array.view(f"int{8 * array.dtype.itemsize}")).view(dtype)
    return torch.tensor(array, dtype=dtype)


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """The numbers of a tensor on the CPU."""
    dense = tensor.detach().contiguous()
    number = next(number for number, dtype in TORCH_DTYPES.items() if dtype is dense.dtype)
    dtype = tensor_dtype_to_np_dtype(number)
    if dtype.isbuiltin != _NUMPY_BUILTIN:
        bits = torch.int16 if dense.itemsize == 2 else torch.int8
        return dense.view(bits).numpy().view(dtype)
    return dense.numpy()
