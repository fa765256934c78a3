"""Computes at compile time whatever does not depend on the inputs."""

from dataclasses import dataclass

from ..compiler.frontend.fold import MAX_BYTES, fold_constants
from ..compiler.ir.program import Program
from ..compiler.pass_base import Pass


@dataclass(frozen=True)
class FoldConstants(Pass):
    """Replace results that depend on weights alone by new weights.

    Needs: nothing.
    Keeps: values exact.
    Skips: results larger than `max_bytes` and than the weight they replace (a large mask is
        cheaper to compute than to ship), expansions (their readers broadcast), random numbers
        and dequantized weights.
    """

    name = "fold-constants"
    contract = "exact"

    max_bytes: int = MAX_BYTES

    def run(self, program: Program) -> int:
        return fold_constants(program, self.max_bytes, self.report.skip)
