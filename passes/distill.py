"""Trains a program to give again what the original gave."""

from dataclasses import dataclass

from ..compiler.ir.program import Program
from ..compiler.pass_base import Pass
from .distillation.options import DistillationOptions
from .distillation.session import distill


@dataclass(frozen=True, kw_only=True)
class Distill(DistillationOptions, Pass):
    """Heal what pruning, removal or quantization of weights did, by training on the original.

    The program learns to give the outputs of the original (Hinton et al. 2015), its hidden states
    through learned projections where widths differ (Romero et al. 2015), its attention maps (Wang
    et al. 2020), and labels. Options are those of `DistillationOptions` and `TrainingOptions`.

    Needs: calibration data, or `data`.
    Keeps: the graph and all shapes; zeros that an earlier pass marked stay zero. The weights stay
        if none were better on the validation data.
    Skips: hidden states without a partner in the original.
    """

    name = "distill"
    contract = "lossy"

    def run(self, program: Program) -> int:
        return distill(program, self, self.context, self.report)
