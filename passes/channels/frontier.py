"""Walks a program once over all calibration data: the values at one place of it, batch by batch."""

from collections.abc import Collection, Iterator

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.batched_run import run_batched
from ...compiler.batches import Batch
from ...compiler.ir.program import Program


class Frontier:
    """Computes a program in pieces: layers may change behind the place that was reached.

    Holds what is still to be read of the values before that place, for all batches.

    Args:
        program: Changes of weights count from the next piece on.
        batches: Calibration data.
    """

    def __init__(self, program: Program, batches: list[Batch]) -> None:
        self._program = program
        self._batches = batches
        self._place = {node: number for number, node in enumerate(program.graph.nodes)}
        self._reached = -1
        self._values: list[dict[Node, Tensor]] = [{} for _ in batches]

    def values(self, nodes: Collection[Node]) -> Iterator[dict[Node, Tensor]]:
        """The values of nodes, at the place or behind it, for one batch after the other."""
        for batch, known in zip(self._batches, self._values, strict=True):
            yield self._compute(batch, known, nodes)

    def advance(self, node: Node) -> None:
        """Compute everything up to `node`, and forget what nothing behind it reads."""
        self._reached = max(self._reached, self._place[node])
        live = [
            other
            for other, place in self._place.items()
            if place <= self._reached
            and other.op != "get_attr"
            and isinstance(other.meta.get("val"), Tensor)
            and any(self._is_ahead(user) for user in other.users)
        ]
        for number, batch in enumerate(self._batches):
            self._values[number] = self._compute(batch, self._values[number], live)

    def _is_ahead(self, node: Node) -> bool:
        """Whether a node is computed later; results that are tuples are computed again."""
        if self._place[node] > self._reached:
            return True
        is_tensor = isinstance(node.meta.get("val"), Tensor)
        return not is_tensor and any(self._is_ahead(user) for user in node.users)

    def _compute(
        self, batch: Batch, known: dict[Node, Tensor], nodes: Collection[Node]
    ) -> dict[Node, Tensor]:
        with torch.no_grad():
            run = run_batched(self._program, batch.inputs, keep=nodes, given=known, outputs=False)
        return run.kept
