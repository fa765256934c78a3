"""What layers read, as far as least squares needs it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.batches import Batches
from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of
from .layers import rows_read
from .observe import watch

_LINEAR = torch.ops.aten.linear.default


@dataclass
class Moments:
    """Sums over all rows x that a layer multiplies its weight by: of 1, x [I] and x x^T [I, I]."""

    count: int
    total: Tensor
    squares: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> "Moments":
        """The sums over rows [N, I], in float64."""
        rows = rows.double()
        return cls(len(rows), rows.sum(0), rows.t() @ rows)

    def add(self, other: "Moments") -> None:
        """More rows."""
        self.count += other.count
        self.total = self.total + other.total
        self.squares = self.squares + other.squares

    @property
    def mean(self) -> Tensor:
        """The mean row [I]."""
        return self.total / self.count

    @property
    def scatter(self) -> Tensor:
        """The sum of (x - mean) (x - mean)^T: all that counts where a bias takes the mean."""
        return self.squares - torch.outer(self.total, self.mean)


def observe_moments(
    program: Program,
    layers: Sequence[Node],
    batches: Batches,
    progress: Callable[[float], None],
) -> dict[Node, Moments]:
    """The moments of what each layer reads; `rows_read` must know it."""
    readers: dict[Node, list[Node]] = {}
    for layer in layers:
        readers.setdefault(arguments_of(layer)["input"], []).append(layer)
    found: dict[Node, Moments] = {}

    def add(node: Node, value: Tensor) -> None:
        known: dict[Any, Moments] = {}
        for layer in readers[node]:
            key = () if layer.target is _LINEAR else layer
            if key not in known:
                known[key] = Moments.of(rows_read(layer, value.detach()))
            if layer in found:
                found[layer].add(known[key])
            else:
                one = known[key]
                found[layer] = Moments(one.count, one.total, one.squares)

    if readers:
        watch(program, batches, list(readers), add, progress)
    return found
