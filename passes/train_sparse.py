"""Trains a program so that little is lost when its units are pruned afterwards."""

from dataclasses import dataclass
from typing import Any, Literal

from ..compiler.coupling import Group, analyze
from ..compiler.errors import CompileError
from ..compiler.ir.program import Program
from ..compiler.pass_base import Pass
from ..compiler.training import Callback
from ..compiler.training.parameters import make_trainable
from ..compiler.training.sparsity import FadeUnits, ShrinkUnits, ShrinkWeights, unit_squares
from .distillation.options import DistillationOptions
from .distillation.session import distill

_USUAL = {"l1": 1e-5, "group-lasso": 1e-4, "growing": 10.0}
_SMALL = 1e-2  # of the root mean square of a group's units: nothing of a unit below it is left


@dataclass(frozen=True, kw_only=True)
class TrainSparse(DistillationOptions, Pass):
    """Move what a program knows into few of its weights or units, by training; then prune it.

    It learns from the original as in `Distill`, while a regularizer makes weights small: all of
    them ("l1"), whole units of coupled weights ("group-lasso"), or the units with the smallest
    weights, which fade to zero bit by bit ("growing", Wang et al. 2021). Put it in front of
    PruneChannels, or of PruneWeights after "l1".

    Args:
        method: The regularizer.
        strength: Of it; 0 is a usual one for the method.
        ratio: Part of the units of each group that fade, for "growing".

    Needs: calibration data, or `data`.
    Keeps: the graph and all shapes. The weights are those of the last update, which are not the
        ones that fit the validation data best.
    Skips: nothing.
    """

    name = "train-sparse"
    contract = "lossy"

    method: Literal["l1", "group-lasso", "growing"] = "group-lasso"
    strength: float = 0.0
    ratio: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, good in (
            ("method", self.method in _USUAL),
            ("strength", self.strength >= 0),
            ("ratio", 0 <= self.ratio <= 1),
        ):
            if not good:
                raise CompileError(
                    f"{name} is out of range",
                    got=f"{name}={getattr(self, name)!r}",
                    fix=f"a method of {', '.join(_USUAL)}; strength 0 or more; ratio from 0 to 1",
                )

    def run(self, program: Program) -> int:
        groups = analyze(program).groups
        if not groups and self.method != "l1":
            raise CompileError(
                "the program has no units that can be pruned",
                fix="`penjing inspect --groups` says why; method=l1 needs none",
            )
        changed = distill(
            program,
            self,
            self.context,
            self.report,
            callbacks=[self._regularizer(program, groups)],
            keep_best=False,
        )
        if groups:
            self.report.details["small_units"] = _small_units(program, groups)
        return changed

    def _regularizer(self, program: Program, groups: tuple[Group, ...]) -> Callback:
        strength = self.strength or _USUAL[self.method]
        if self.method == "group-lasso":
            return ShrinkUnits(strength, groups)
        if self.method == "growing":
            return FadeUnits(strength, groups, self.ratio)
        trained = make_trainable(program.copy(), self.freeze, embeddings=self.embeddings == "train")
        return ShrinkWeights(strength, [name for name in trained if trained[name].dim() > 1])


def _small_units(program: Program, groups: tuple[Group, ...]) -> dict[str, Any]:
    """For each group how many of its units have next to no weights, and how many it has."""
    found = {}
    for group in groups:
        squares, counts = unit_squares(group, program.weights)
        sizes = (squares / counts.clamp_min(1)).sqrt()
        limit = _SMALL * (squares.sum() / counts.sum().clamp_min(1)).sqrt()
        found[group.name] = {"small": int((sizes <= limit).sum()), "units": group.size}
    return found
