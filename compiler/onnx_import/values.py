"""Values of an ONNX graph: what its nodes calculate with while the graph is resolved."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from .arrays import torch_dtype
from .call import Value

# Types in which weights are kept as such: trained in floating point, or quantized to 8 bits.
_WEIGHT_DTYPES = (
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.int8,
    torch.uint8,
)


class ValueMaker:
    """Makes values with fake tensors, which have a shape and a dtype and no numbers."""

    def __init__(self) -> None:
        self.fake_mode = FakeTensorMode()
        self._made: dict[int, tuple[np.ndarray, Value]] = {}

    def number(self, name: str, array: np.ndarray) -> Value:
        """A value that is known: shapes, axes, scalars, text."""
        dtype = torch_dtype(array)
        tensor = None if dtype is None else self.fake(tuple(array.shape), dtype)
        return Value(name, tensor, array)

    def weight_or_number(self, name: str, array: np.ndarray) -> Value:
        """A tensor of the model; one of floats or 8-bit integers, and no scalar, is a weight.

        The same array, which a node in a loop gives again and again, is the same value.
        """
        if id(array) not in self._made:
            value = self.number(name, array)
            is_weight = array.ndim > 0 and array.size > 1 and torch_dtype(array) in _WEIGHT_DTYPES
            self._made[id(array)] = array, replace(value, is_weight=is_weight)
        return self._made[id(array)][1]

    def input(self, name: str, example: Any) -> Value:
        """An input of the model: a tensor, a list of them, or None for an empty optional."""
        if isinstance(example, list):
            items = [self.input(f"{name}_{i}", item) for i, item in enumerate(example)]
            return Value(name, items=items)
        if example is None:
            return Value(name)
        return Value(name, self.fake(tuple(example.shape), example.dtype))

    def result(
        self, name: str, result: Any, known: Callable[[], np.ndarray] | None = None
    ) -> Value | None:
        """What a translation returned, as a value.

        Args:
            name: In the ONNX graph.
            result: A fake tensor, an array, a list of these, or None.
            known: Calculates the numbers of a tensor that depends on weights alone.
        """
        if result is None:
            return None
        if isinstance(result, np.ndarray):
            return self.number(name, result)
        if isinstance(result, list):
            items = [self.result(f"{name}_{i}", item) for i, item in enumerate(result)]
            return Value(name, items=[item for item in items if item is not None])
        assert isinstance(result, Tensor), f"{name}: {type(result).__name__}"
        return Value(name, result, is_weight=known is not None, compute=known)

    def fake(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor without numbers."""
        with self.fake_mode:
            return torch.empty(shape, dtype=dtype)
