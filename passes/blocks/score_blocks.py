"""Scores of blocks: the lower, the less is lost without the block."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ...compiler.batched_run import run_batched
from .block import Block
from .distances import Distance
from .evidence import Evidence
from .slopes import slopes
from .student import Student
from .trials import Trials

Score = Literal["trial", "output", "influence", "taylor"]


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What scores are computed from.

    Args:
        kind: "influence": 1 - cosine of a block's input and output (block influence: Men et al.
            2024, "ShortGPT"), at all positions that the outputs depend on. "taylor": the squared
            change of the outputs to first order. "output": the distance of the outputs when the
            block is skipped. "trial": the same with the layer before the gap fitted to bridge it,
            on data that it was not fitted to.
        distance: Between outputs.
        evidence: Calibration data.
        seed: Of what is drawn.
        progress: Called with the fraction that is done.
    """

    kind: Score
    distance: Distance
    evidence: Evidence
    seed: int
    progress: Callable[[float], None]

    def scores(self, student: Student, blocks: Sequence[Block]) -> list[float]:
        """The score of each block of the student's program."""
        if self.kind in ("influence", "taylor"):
            return self._local(student, blocks)
        heal = self.kind == "trial"
        trials = Trials(student, blocks, self.evidence, self.distance, heal=heal, seed=self.seed)
        found = {}
        for number, block in enumerate(sorted(blocks, key=trials.place)):
            self.progress(number / len(blocks))
            found[block] = trials.run(block)
        return [found[block] for block in blocks]

    def _local(self, student: Student, blocks: Sequence[Block]) -> list[float]:
        """Scores from the values at a block's ends and the derivative at its exit."""
        rate = _influence if self.kind == "influence" else _first_order_change
        totals = [0.0] * len(blocks)
        exits = {block.exit for block in blocks}
        ends = exits | {block.entry for block in blocks}
        for number, batch in enumerate(self.evidence.batches):
            self.progress(number / len(self.evidence.batches))
            found = slopes(student.program, batch, exits, self.seed + number)
            with torch.no_grad():
                run = run_batched(student.program, batch.inputs, keep=ends, outputs=False)
            for index, block in enumerate(blocks):
                totals[index] += rate(
                    run.kept[block.entry], run.kept[block.exit], found[block.exit]
                )
        return [total / len(self.evidence.batches) for total in totals]


def _influence(entry: Tensor, end: Tensor, slope: Tensor) -> float:
    """1 - cosine over channels, mean over the positions that count."""
    channels = 1 if entry.dim() == 4 else -1
    counts = (slope != 0).any(channels)
    cosine = functional.cosine_similarity(entry, end, dim=channels)
    return float((1 - cosine)[counts].double().mean()) if counts.any() else 0.0


def _first_order_change(entry: Tensor, end: Tensor, slope: Tensor) -> float:
    return float(((entry - end).double() * slope.double()).sum().square())
