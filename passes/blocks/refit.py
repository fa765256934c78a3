"""Fits one layer of a program to give what another program computes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...compiler.batches import Batch
from ...compiler.ir.program import Program
from ..channels.frontier import Frontier
from ..channels.least_squares import NormalEquations, best_ridge
from ..channels.readers import Reader
from ..channels.rows import add_rows
from .closing import Place, wanted_results


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Least squares for one layer; the program's other weights stay.

    Solves min over M and b of sum_r w_r |x_r M + b - t_r|^2 + ridge |M - M0|^2, with all sums in
    float64; t_r is the result under which the value at the layer's place would be the goal.

    Args:
        ridge: Relative to the mean energy of the features; None: what predicts best.
        seed: Of the rows that are drawn where there are more than enough.
    """

    ridge: float | None
    seed: int

    def layer(
        self,
        program: Program,
        mine: Frontier,
        reader: Reader,
        place: Place,
        goals: Iterable[Tensor],
        weights: Sequence[Tensor],
        batches: Sequence[Batch],
    ) -> tuple[Tensor, Tensor | None]:
        """The matrix [features, outputs] and offset under which the layer comes nearest to goals.

        Args:
            program: Holds the layer.
            mine: Values of the program; has not passed the layer yet.
            reader: The layer.
            place: Where its result is to be right.
            goals: What the value there should be, for each batch.
            weights: What positions of the layer's result count, for each batch.
            batches: What `mine` and `goals` are computed from.
        """
        old, with_offset = reader.matrix(program), reader.has_offset
        halves = [NormalEquations.of_size(*old.shape) for _ in range(2)]
        generator = torch.Generator().manual_seed(self.seed)
        nodes = {reader.source, reader.call, place.addend or reader.call}
        rows = zip(batches, mine.values(nodes), goals, weights, strict=True)
        for batch, known, goal, counts in rows:
            wanted = reader.rows(wanted_results(program, batch, reader.call, place, known, goal))
            source = known[reader.source]
            add_rows(halves, reader, source, wanted, counts, len(batches), generator)
        if halves[0].weight + halves[1].weight <= 0:  # no output depends on it: nothing to fit
            return old, reader.offset(program)
        ridge = self.ridge
        if ridge is None:
            ridge = best_ridge(halves, old, with_offset=with_offset)
        return (halves[0] + halves[1]).solve(ridge, old, with_offset=with_offset)
