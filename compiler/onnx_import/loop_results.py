"""Results that loops collect, one row for each iteration."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from onnx import ValueInfoProto
from torch import Tensor

from .call import Call, Value
from .element_types import TORCH_DTYPES

if TYPE_CHECKING:
    from .resolve import Resolver


@dataclass
class Stack:
    """Rows of one result, joined at the end along a new axis.

    Args:
        call: The node.
        declared: The result in the graph of one iteration, which tells its shape where there was
            none.
        axis: The new one.
        is_backward: Whether the last row comes first.
        rows: As they come.
    """

    call: Call
    declared: ValueInfoProto | None
    axis: int = 0
    is_backward: bool = False
    rows: list[Value] = field(default_factory=list)

    def value(self, resolver: "Resolver") -> Value:
        """All rows as one tensor."""
        if not self.rows:
            return self._empty(resolver)
        rows = self.rows[::-1] if self.is_backward else self.rows
        axis = self.axis

        def stack(call: Call) -> Tensor:
            return torch.stack(call.tensors(), axis)

        return resolver.apply_one(stack, self.call, rows)

    def _empty(self, resolver: "Resolver") -> Value:
        declared = self.declared.type.tensor_type if self.declared is not None else None
        if declared is None or not declared.HasField("shape"):
            raise self.call.refused("it runs for no iteration, and what it would give is not said")
        shape = [dim.dim_value for dim in declared.shape.dim]
        if not all(dim.HasField("dim_value") for dim in declared.shape.dim):
            raise self.call.refused("it runs for no iteration, and what it would give is not said")
        shape.insert(self.axis if self.axis >= 0 else len(shape) + 1 + self.axis, 0)
        dtype = TORCH_DTYPES.get(declared.elem_type)
        if dtype is None:
            raise self.call.refused(f"its result has element type {declared.elem_type}")

        def nothing(call: Call) -> Tensor:
            return torch.zeros(shape, dtype=dtype)

        return resolver.apply_one(nothing, self.call, [])
