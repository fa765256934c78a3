"""What a lowering rule may ask about the kernel it builds: lanes, weights, packed weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te

from ...targets.target import Target

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Packed:
    """A weight in the layout its kernel wants: `tensor` stands for `data` in the kernel."""

    tensor: te.Tensor
    data: Array
    name: str


class KernelBuilder:
    """The context of the rules that build one kernel.

    Args:
        target: The core the kernel is compiled for.
        constants: The values of those placeholders that are weights; bfloat16 as a uint16 view.
    """

    def __init__(self, target: Target, constants: Mapping[te.Tensor, Array]) -> None:
        self.target = target
        self.packed: list[Packed] = []
        self._constants = list(constants.items())

    def lanes(self, dtype: str) -> int:
        """Elements of `dtype` that fit one vector register (at least 1)."""
        bits = 8 if dtype == "bool" else int("".join(filter(str.isdigit, dtype)))
        return self.target.lanes(bits)

    def constant(self, tensor: te.Tensor) -> Array | None:
        """The value of a tensor that is a weight, None for any other."""
        # rank-0 te tensors refuse ==, so no dict lookup
        return next((v for t, v in self._constants if t.same_as(tensor)), None)

    def is_constant(self, tensor: te.Tensor) -> bool:
        """Whether the tensor is a weight."""
        return self.constant(tensor) is not None

    def pack(self, tensor: te.Tensor, transform: Callable[[Array], Array], name: str) -> te.Tensor:
        """A new placeholder for `transform(weight)`, computed now; equal results are shared.

        `tensor` must be a weight. `transform` sees bfloat16 as uint16 and may only move it.
        """
        value = self.constant(tensor)
        assert value is not None, f"pack of {tensor.op.name}, which is no weight"
        data = np.ascontiguousarray(transform(value))
        bfloat16 = str(tensor.dtype) == "bfloat16" and data.dtype == np.uint16
        dtype = "bfloat16" if bfloat16 else data.dtype.name
        for other in self.packed:
            if str(other.tensor.dtype) == dtype and np.array_equal(other.data, data):
                return other.tensor
        packed = Packed(te.placeholder(data.shape, dtype, name=name), data, name)
        self.packed.append(packed)
        return packed.tensor
