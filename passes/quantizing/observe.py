"""What values occur in a program: their limits, and how often which of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.batched_run import run_batched
from ...compiler.batches import Batches
from ...compiler.errors import CompileError
from ...compiler.ir.program import Program, origin_of

BINS = 2048
_MEMORY = 0.9  # of a moving average: what a batch leaves of it


@dataclass
class Observation:
    """The values of one node.

    Args:
        low: The least.
        high: The greatest.
        usual_low: A moving average of the least of each batch.
        usual_high: Of the greatest.
        counts: [BINS] how many values lie in each of as many equal parts of [low, high].
    """

    low: float
    high: float
    usual_low: float
    usual_high: float
    counts: Tensor

    @classmethod
    def of(cls, low: float, high: float) -> "Observation":
        """The observation of a first batch."""
        return cls(low, high, low, high, torch.zeros(BINS, dtype=torch.float64))

    def add(self, low: float, high: float) -> None:
        """One more batch."""
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.usual_low += (1 - _MEMORY) * (low - self.usual_low)
        self.usual_high += (1 - _MEMORY) * (high - self.usual_high)

    def centers(self) -> Tensor:
        """The middle of each bin, [BINS] float64."""
        places = torch.arange(BINS, dtype=torch.float64) + 0.5
        return self.low + (self.high - self.low) / BINS * places


def observe(
    program: Program,
    batches: Batches,
    nodes: Sequence[Node],
    progress: Callable[[float], None],
    *,
    histograms: bool,
) -> dict[Node, Observation]:
    """Run `program` on all batches and note the values of `nodes`; twice where histograms count.

    Raises:
        CompileError: A value is not finite.
    """
    found: dict[Node, Observation] = {}

    def note_limits(node: Node, value: Tensor) -> None:
        low, high = map(float, torch.aminmax(value))
        if not (low > -torch.inf and high < torch.inf):  # also where they are NaN
            raise CompileError(
                "a value is infinite or not a number on the calibration data",
                at=str(origin_of(node)),
                got=str(node.target),
                fix="check the weights and the data",
            )
        if node in found:
            found[node].add(low, high)
        else:
            found[node] = Observation.of(low, high)

    def count(node: Node, value: Tensor) -> None:
        seen = found[node]
        if seen.high > seen.low:
            seen.counts += torch.histc(value.float(), BINS, seen.low, seen.high).double()

    share = 0.5 if histograms else 1.0
    watch(program, batches, nodes, note_limits, lambda done: progress(share * done))
    if histograms:
        watch(program, batches, nodes, count, lambda done: progress(0.5 + 0.5 * done))
    return found


def watch(
    program: Program,
    batches: Batches,
    nodes: Sequence[Node],
    look: Callable[[Node, Tensor], None],
    progress: Callable[[float], None],
) -> None:
    """Run `program` on all batches and show `look` each value of each of `nodes`."""

    def edit(node: Node) -> Callable[[Tensor], Tensor]:
        def seen(value: Tensor) -> Tensor:
            look(node, value)
            return value

        return seen

    edits = {node: edit(node) for node in nodes}
    count = len(batches)
    for number, batch in enumerate(batches, 1):
        with torch.no_grad():
            run_batched(program, batch.inputs, edit=edits)
        progress(number / count)
