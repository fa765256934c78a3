"""What `x[indices]` with index tensors reads: its shape, and the place of each element in x."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te

from ...errors import CompileError
from .indices import Index, Shape, broadcast_place, shape_of, wrap_index

Reader = Callable[[list[Index]], Any]  # index -> element of an index tensor


@dataclass(frozen=True, kw_only=True)
class AdvancedIndex:
    """The shape of `x[indices]` and where its elements lie in x."""

    source: tuple[int, ...]  # shape of x
    axes: tuple[int, ...]  # axes of x that have an index tensor
    shapes: tuple[tuple[int, ...], ...]  # of the index tensors
    broadcast: tuple[int, ...]  # common shape of the index tensors
    first: int  # axis of the result where the broadcast axes begin

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of x[indices]."""
        rest = [size for axis, size in enumerate(self.source) if axis not in self.axes]
        return (*rest[: self.first], *self.broadcast, *rest[self.first :])

    def place(self, index: Sequence[Index], readers: Sequence[Reader]) -> list[Index]:
        """Where in x the element at `index` of the result lies."""
        end = self.first + len(self.broadcast)
        common = index[self.first : end]
        rest = iter([*index[: self.first], *index[end:]])
        found = dict(
            zip(self.axes, map(_read, readers, self.shapes, [common] * len(readers)), strict=True)
        )
        return [
            wrap_index(found[axis], size) if axis in found else next(rest)
            for axis, size in enumerate(self.source)
        ]


def advanced_index(shape: Shape, indices: Sequence[te.Tensor | None]) -> AdvancedIndex:
    """The meaning of index tensors, at the axes of x where they stand; None keeps an axis.

    As in torch, the broadcast axes take the place of adjacent indexed axes, else they go first.

    Raises:
        CompileError: An index is a mask, so the shape depends on the data.
    """
    axes = tuple(axis for axis, index in enumerate(indices) if index is not None)
    tensors = [index for index in indices if index is not None]
    for tensor in tensors:
        if str(tensor.dtype) in ("bool", "uint8"):
            raise CompileError(
                "a mask picks as many elements as the data says; shapes must be static",
                got=f"mask of shape {list(shape_of(tensor))}",
                fix="use torch.where, or multiply by the mask",
            )
    shapes = tuple(shape_of(tensor) for tensor in tensors)
    adjacent = axes == tuple(range(axes[0], axes[-1] + 1))
    return AdvancedIndex(
        source=tuple(shape),
        axes=axes,
        shapes=shapes,
        broadcast=np.broadcast_shapes(*shapes),
        first=axes[0] if adjacent else 0,
    )


def _read(reader: Reader, shape: Shape, index: Sequence[Index]) -> Any:
    return reader(broadcast_place(index, shape))
