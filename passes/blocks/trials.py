"""Tries what the outputs would be without a block, in one walk over the program."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.batched_run import run_batched
from ..channels.frontier import Frontier
from ..channels.readers import Reader
from .block import Block
from .closing import Place
from .distances import Distance, distance
from .evidence import Evidence
from .refit import Fit
from .student import Student

_RIDGE = 1.0  # choosing it by cross-validation for every candidate costs more than it tells
_TEST_EVERY = 2  # every other batch tells the error, the ones between are fitted to


class Trials:
    """Removes blocks on paper: their readers are given the value that would stand in for them.

    Args:
        student: Left as it is.
        blocks: Those to try.
        evidence: Calibration data.
        distance: Between outputs.
        heal: Fit the layer before the gap to what the block gives, before the outputs are compared.
        seed: Of the rows that are drawn for a fit.
    """

    def __init__(
        self,
        student: Student,
        blocks: Sequence[Block],
        evidence: Evidence,
        distance: Distance,
        *,
        heal: bool,
        seed: int,
    ) -> None:
        self.student, self.evidence, self.distance = student, evidence, distance
        self.fit = Fit(ridge=_RIDGE, seed=seed)
        self.mine = Frontier(student.program, evidence.batches)
        self.original = Frontier(student.teacher, evidence.batches)
        self.order = {node: number for number, node in enumerate(student.program.graph.nodes)}
        self.junctions = {block: student.junction(block) for block in blocks if heal}
        places = [found[0] for found in self.junctions.values() if found]
        self.layers = {place.node: (reader, place) for reader, place in student.layers(places)}

    def place(self, block: Block) -> int:
        """Where in the graph the walk must be for this block; later blocks come later."""
        layer = self._layer_before(block)
        return self.order[block.entry if layer is None else layer[0].start]

    def run(self, block: Block) -> float:
        """The distance of the outputs without the block; blocks come in the order of `place`."""
        layer = self._layer_before(block)
        if layer is None:
            return self._distance(block)
        reader, place = layer
        program = self.student.program
        self.mine.advance(reader.start.prev)
        self.original.advance(self.student.twins[reader.call])
        old = reader.values(program)
        reader.store(program, *self._fitted(reader, place, self.student.goal(block.exit)))
        try:
            return self._distance(block)
        finally:
            for node, values in old.items():
                program.replace_weight(node, values)

    def _layer_before(self, block: Block) -> tuple[Reader, Place] | None:
        """What may be fitted to bridge the gap: the last layer that makes what the block reads."""
        found = self.junctions.get(block)
        if found is None or found[0] not in self.layers:
            return None
        reader, place = self.layers[found[0]]
        return reader, replace(place, tail=found[1].tail)

    def _fitted(self, reader: Reader, place: Place, goal: Node) -> tuple[Tensor, Tensor | None]:
        batches = self.evidence.batches
        counts = self.evidence.weights[self.student.twins[reader.call]]
        weights = [w * (n % _TEST_EVERY != 0) for n, w in enumerate(counts)]
        goals = (values[goal] for values in self.original.values([goal]))
        program = self.student.program
        return self.fit.layer(program, self.mine, reader, place, goals, weights, batches)

    def _distance(self, block: Block) -> float:
        """The mean distance of the outputs where the block's entry stands for its exit."""
        found = list(self._distances(block))
        return sum(found) / len(found)

    def _distances(self, block: Block) -> Iterator[float]:
        values = self.mine.values([block.entry])
        wanted = self.evidence.outputs
        rows = zip(self.evidence.batches, values, wanted, strict=True)
        for number, (batch, known, outputs) in enumerate(rows):
            if number % _TEST_EVERY == 0:
                given = {block.exit: known[block.entry]}
                with torch.no_grad():
                    run = run_batched(self.student.program, batch.inputs, given=given)
                yield distance(self.distance, run.outputs, outputs)
