"""Drops channels, neurons and attention heads: tensors shrink, and what is left is refitted."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..compiler.batches import Batch
from ..compiler.coupling import Coupling, Group, analyze, shrink
from ..compiler.coupling.flow import Attention
from ..compiler.ir.program import Program
from ..compiler.pass_base import Pass
from .channels.allocation import Limits, Scope
from .channels.criteria import CALIBRATED, UserCriterion, score
from .channels.goals import Goal, measured
from .channels.gradients import Loss
from .channels.options import MEASURES, check_options
from .channels.readers import ordered, readers_of
from .channels.repair import Repair, batch_norms
from .channels.scoring import RIDGE, Scoring
from .channels.selection import check_patterns, fewest_kept, select_groups, step_of
from .channels.summary import Summary
from .channels.teacher import Teacher
from .channels.units import Keep
from .quantizing.real_weights import on_real_weights


@dataclass(frozen=True)
class PruneChannels(Pass):
    """Drop the units of a program that matter least: channels, neurons, attention heads.

    Units that must go together (compiler/coupling) are scored together. With calibration data,
    layers that read pruned widths are refitted to the original's results (channels/repair.py).

    Exactly one of the first four says how much:
        ratio: The fraction of units to drop.
        macs, bytes, instructions: The fraction to keep of multiply-adds, of bytes of weights, of
            the instructions that our kernels are estimated to execute on the target.

    Args:
        scope: Whether the lowest scores of all groups go, or the same fraction of each group.
        criterion: A name from channels/criteria.py, or a function of program and group that gives
            one number per unit; low ones go first, and compare between groups.
        kinds: What may be pruned: channels, features, heads, head_dim (not with heads), hidden
            (what norms are taken over).
        only: Patterns of module names; if given, nothing else loses outputs.
        protect: Patterns of module names that keep their outputs.
        least_kept: The fraction of each group that stays; at least one unit does.
        max_ratio: The fraction of each group that may go.
        round_to: Widths become multiples of it; None: of the target's vectors.
        steps: Prune so often, each time a part, with new scores.
        refit: Refit layers where there is calibration data.
        renormalize: Estimate the statistics of batch norms anew; needs calibration data.
        ridge: Of least squares, relative to the mean energy of what a layer reads; None: for each
            layer what fits unseen samples best.
        loss: Function of outputs and labels, for gradients; None: the cross entropy where there are
            class labels, else what the outputs themselves depend on.
        seed: Of all that is drawn.

    Needs: nothing; batch norms may be folded before, which lets refits see what they add to.
    Keeps: the interface. Without a refit, groups that are `exact` compute what the program does
        with the dropped units' weights set to 0.
    Skips: groups that a criterion says nothing about, or that the options exclude.
    """

    name = "prune-channels"
    contract = "lossy"

    ratio: float | None = None
    macs: float | None = None
    bytes: float | None = None
    instructions: float | None = None
    scope: Scope = "global"
    criterion: str | UserCriterion = "l2"
    kinds: tuple[str, ...] = ("channels", "features", "heads")
    only: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    least_kept: float = 0.1
    max_ratio: float = 1.0
    round_to: int | None = None
    steps: int = 1
    refit: bool = True
    renormalize: bool = False
    ridge: float | None = None
    loss: Loss | None = None
    seed: int = 0

    @on_real_weights
    def run(self, program: Program) -> int:
        check_options(self.options, has_target=self.context.target is not None)
        check_patterns(program, "only", self.only)
        check_patterns(program, "protect", self.protect)
        batches = self._batches()
        teacher = Teacher.of(program) if batches and self.refit else None
        goal, summary = self._goal(program), Summary(program, self.context.target)
        changed = 0
        for number in range(1, self.steps + 1):
            coupling = self._analyze(program)
            if number == 1:
                summary.note(coupling, self._selected(coupling))
            changed += self._prune(program, coupling, goal, number, batches, teacher, summary)
        after = self._analyze(program) if changed else coupling
        reached = measured(program, goal.measure, goal.target) / goal.initial
        self.report.details.update(summary.details(program, after, goal, reached))
        return changed

    def _prune(
        self,
        program: Program,
        coupling: Coupling,
        goal: Goal,
        number: int,
        batches: list[Batch],
        teacher: Teacher | None,
        summary: Summary,
    ) -> int:
        """One step: score, choose, shrink, repair; the number of weights that changed."""
        groups = [group for group in self._selected(coupling) if group.name in summary.chosen]
        scoring = Scoring(
            program=program,
            groups=groups,
            batches=batches,
            loss=self.loss,
            ridge=RIDGE if self.ridge is None else self.ridge,
            seed=self.seed,
            progress=lambda done: self._progress("scores", number, done),
        )
        limits = self._limits(scoring, summary.sizes)
        counts = goal.counts(program, coupling, limits, number, self.steps)
        keep = {g: limits[g].keep(count) for g, count in counts.items() if count < g.size}
        summary.kept.update({group.name: counts[group] for group in keep})
        repair = self._repair(scoring, keep, teacher, number)
        if teacher is not None:
            teacher.note(keep)
        changed = shrink(program, coupling, keep)
        if changed and repair is not None:
            summary.refitted = repair.run(program)
        return changed

    def _limits(self, scoring: Scoring, sizes: Mapping[str, int]) -> dict[Group, Limits]:
        """For each group that the criterion knows scores for, these and what it may keep."""
        limits = {}
        for group in scoring.groups:
            scores = score(self.criterion, scoring, group)
            if scores is None:
                self.report.skip(group.members[0].call, f"{self.criterion} says nothing about it")
                continue
            fewest = fewest_kept(sizes[group.name], self.least_kept, self.max_ratio)
            step = step_of(group, self.round_to, self.context.target)
            limits[group] = Limits(scores, min(fewest, group.size), step)
        return limits

    def _repair(
        self, scoring: Scoring, keep: Mapping[Group, Keep], teacher: Teacher | None, number: int
    ) -> Repair | None:
        """What is to be fitted once the units are gone; None without data or anything to do."""
        if not scoring.batches or not (teacher or self.renormalize):
            return None
        readers = ordered(r for group in keep for _, r in readers_of(group)) if teacher else []
        norms = batch_norms(scoring.program) if self.renormalize else []
        return Repair(
            teacher=teacher,
            batches=scoring.batches,
            sensitivities={reader.call: scoring.sensitivity(reader) for reader in readers},
            norms=norms,
            ridge=self.ridge,
            seed=self.seed,
            progress=lambda done: self._progress("refit", number, done),
        )

    def _progress(self, stage: str, number: int, done: float) -> None:
        step = f" of step {number}/{self.steps}" if self.steps > 1 else ""
        self.context.progress(f"{self.name}: {stage}{step}", done)

    def _selected(self, coupling: Coupling) -> list[Group]:
        return select_groups(coupling.groups, self.kinds, self.only, self.protect)

    def _analyze(self, program: Program) -> Coupling:
        attention: Attention = "head_dim" if "head_dim" in self.kinds else "heads"
        return analyze(program, through_norms="hidden" in self.kinds, attention=attention)

    def _batches(self) -> list[Batch]:
        """The calibration data, if it is needed or can be used."""
        if self.criterion in CALIBRATED:
            return list(self.context.needs_calibration(f"criterion={self.criterion}"))
        if self.renormalize:
            return list(self.context.needs_calibration("renormalize"))
        calibration = self.context.calibration
        return list(calibration) if self.refit and calibration is not None else []

    def _goal(self, program: Program) -> Goal:
        target = self.context.target
        for measure in MEASURES:
            value = getattr(self, measure)
            if value is not None:
                kept = 1 - value if measure == "ratio" else value
                initial = measured(program, measure, target)
                return Goal(measure, kept, initial, target, self.scope)
        raise AssertionError("check_options found a measure")
