"""Shape and dtype of one tensor, without its values."""

import math
from dataclasses import dataclass

import torch

from ..errors import CompileError

_SHORT = {
    torch.float32: "f32",
    torch.float64: "f64",
    torch.float16: "f16",
    torch.bfloat16: "bf16",
    torch.int64: "i64",
    torch.int32: "i32",
    torch.int16: "i16",
    torch.int8: "i8",
    torch.uint8: "u8",
    torch.bool: "bool",
}
_TORCH = {str(dtype).removeprefix("torch."): dtype for dtype in _SHORT}


def short_dtype(dtype: torch.dtype) -> str:
    """The name of a dtype in program text: f32, i64, ..."""
    return _SHORT.get(dtype, str(dtype).removeprefix("torch."))


def holds(dtype: torch.dtype) -> bool:
    """Whether programs have tensors of this dtype."""
    return dtype in _SHORT


@dataclass(frozen=True)
class TensorSpec:
    """A static shape and a dtype by its numpy/tvm name ("float32", "int64", "bool", ...).

    Raises:
        CompileError: The dtype is not one that penjing handles.
    """

    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        if self.dtype not in _TORCH:
            raise CompileError(
                f"tensors of dtype {self.dtype} are not supported",
                got=f"{self.dtype}{list(self.shape)}",
                fix=f"cast to one of {', '.join(_TORCH)}",
            )

    @classmethod
    def of(cls, tensor: torch.Tensor) -> "TensorSpec":
        """The spec of a real or fake tensor; a symbolic size is a `CompileError`."""
        for size in tensor.shape:
            if not isinstance(size, int):
                raise CompileError(
                    "sizes must be known at compile time",
                    got=f"shape {tuple(tensor.shape)}",
                    fix="export without dynamic_shapes, with example inputs of the wanted sizes",
                )
        return cls(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))

    @property
    def torch_dtype(self) -> torch.dtype:
        """The torch dtype of the elements."""
        return _TORCH[self.dtype]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of a dense buffer holding the elements."""
        return self.size * self.torch_dtype.itemsize

    def __str__(self) -> str:
        return f"{_SHORT[self.torch_dtype]}[{','.join(map(str, self.shape))}]"
