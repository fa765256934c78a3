"""Whole blocks of a network are taken out, and what is left is healed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..compiler.ir.program import Program
from ..compiler.pass_base import Pass
from .blocks.block import Block, Level
from .blocks.choice import Goal, check_options, check_protected, removable
from .blocks.distances import Distance
from .blocks.evidence import Evidence
from .blocks.find_blocks import find_blocks
from .blocks.heal import Healing
from .blocks.refit import Fit
from .blocks.score_blocks import Score, Scoring
from .blocks.student import Student
from .quantizing.real_weights import on_real_weights


@dataclass(frozen=True)
class RemoveLayers(Pass):
    """Remove the residual blocks that the outputs depend on least, one by one.

    A block is whatever a shortcut leads around: a layer of a transformer, its attention or its
    feed-forward part alone, a residual block of a convolutional network. Without it, what reads its
    result reads its input. After each removal the blocks that are left are scored again. Healing
    fits the layers behind the first gap, and the one before each gap, to the values that the
    program had: `docs/pruning.md` has the formulas.

    Needs: calibration data.
    Keeps: nothing exactly; the report has the distance of the outputs before and after healing.
    Skips: blocks whose input something else reads too are removed, but nothing is fitted to bridge
    the gap.

    Args:
        count: How many blocks to remove.
        ratio: Instead, the fraction of the blocks to remove.
        macs: Instead, the fraction of the multiply-accumulates that may stay.
        level: What is removed: whole layers, only their attention, only their feed-forward part, or
            any of these.
        score: How to choose; see `Scoring`.
        distance: Between outputs, for scores and the report: "kl" suits logits, "cosine"
            embeddings.
        heal: Whether to heal.
        ridge: Of least squares, relative to the mean energy of what a layer reads; None: for each
            layer the one that best predicts data like the calibration data. Large ridges hold
            better on data that is unlike it.
        protect: Modules that stay.
        seed: Of random signs, and of rows that are drawn where there are more than enough.
    """

    name = "remove-layers"
    contract = "lossy"

    count: int | None = None
    ratio: float | None = None
    macs: float | None = None
    level: Level = "layer"
    score: Score = "trial"
    distance: Distance = "relative"
    heal: bool = True
    ridge: float | None = 1.0
    protect: tuple[str, ...] = ()
    seed: int = 0

    @on_real_weights
    def run(self, program: Program) -> int:
        """Remove and heal; the number of blocks removed."""
        check_options(self.options)
        check_protected(program, self.protect)
        data = self.context.needs_calibration(self.name)
        candidates = removable(find_blocks(program), self.level, self.protect)
        goal = Goal.of(program, candidates, self.options)
        student = Student.of(program)
        fits = self.heal or self.score == "trial"
        layers = [reader for reader, _ in student.layers()] if fits else []
        channels = {student.twins[layer.call]: layer.channel_dim for layer in layers}
        evidence = Evidence.of(student.teacher, data, channels, self.seed)
        rounds: list[dict[str, Any]] = []
        while not goal.is_reached(program, len(rounds)):
            rounds.append(self._remove_one(student, evidence, len(rounds) + 1))
        self.report.details["removable"] = [block.name for block in candidates]
        self.report.details["rounds"] = rounds
        return len(rounds)

    def _remove_one(self, student: Student, evidence: Evidence, number: int) -> dict[str, Any]:
        """Remove the block that matters least; what was done."""
        program = student.program
        blocks = removable(find_blocks(program), self.level, self.protect)
        scoring = Scoring(
            kind=self.score,
            distance=self.distance,
            evidence=evidence,
            seed=self.seed,
            progress=lambda done: self._tell(f"scoring, round {number}", done),
        )
        scores = scoring.scores(student, blocks)
        block = blocks[self._least(blocks, scores)]
        note = {
            "removed": block.name,
            "parts": list(block.parts),
            "scores": {b.name: score for b, score in zip(blocks, scores, strict=True)},
            "macs_removed": block.macs,
        }
        entry = block.entry
        if not student.remove(block) and self.heal:
            reason = "something else reads it too, or its norm cannot be inverted"
            self.report.skip(entry, f"nothing bridges the gap of {block.name}: {reason}")
        note["distance"] = self._distance(program, evidence)
        if self.heal:
            note |= self._heal(student, evidence, number)
        return note

    def _least(self, blocks: Sequence[Block], scores: Sequence[float]) -> int:
        """The block that costs least: for each multiply-accumulate where blocks of all sizes go."""
        by_work = self.macs is not None or self.level == "any"
        costs = [
            score / max(1, block.macs) if by_work else score
            for block, score in zip(blocks, scores, strict=True)
        ]
        return costs.index(min(costs))

    def _heal(self, student: Student, evidence: Evidence, number: int) -> dict[str, Any]:
        healing = Healing(
            evidence=evidence,
            fit=Fit(ridge=self.ridge, seed=self.seed),
            progress=lambda done: self._tell(f"healing, round {number}", done),
        )
        fitted = healing.run(student)
        return {"fitted": fitted, "healed_distance": self._distance(student.program, evidence)}

    def _distance(self, program: Program, evidence: Evidence) -> float:
        """The mean distance of the outputs from the original ones, on calibration data."""
        return evidence.distance_of(program, self.distance)

    def _tell(self, stage: str, done: float) -> None:
        self.context.progress(f"{self.name}: {stage}", done)
