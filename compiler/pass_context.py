"""What a pass may know beside the program: data, a measure of quality, the original, the target."""

from collections.abc import Callable
from dataclasses import dataclass

from ..targets.target import Target
from .batches import Batches
from .errors import CompileError
from .ir.program import Program

Evaluate = Callable[[Program], float]
Progress = Callable[[str, float], None]


def _silent(stage: str, done: float) -> None:
    """Report nothing."""


@dataclass(frozen=True, kw_only=True)
class PassContext:
    """What `optimize` was told; a pass that runs alone has an empty one.

    Args:
        calibration: Representative inputs.
        evaluate: The quality of a program, such as its accuracy; higher is better.
        original: The program before the first pass; read only.
        target: What the program will be compiled for.
        progress: Called by long passes with a stage and the fraction of it that is done.
    """

    calibration: Batches | None = None
    evaluate: Evaluate | None = None
    original: Program | None = None
    target: Target | None = None
    progress: Progress = _silent

    def needs_calibration(self, pass_name: str) -> Batches:
        """The calibration data.

        Raises:
            CompileError: There is none.
        """
        if self.calibration is None:
            raise CompileError(
                f"{pass_name} needs calibration data",
                fix="give optimize or compile calibration=[...]: some of the model's inputs",
            )
        return self.calibration

    def needs_original(self, pass_name: str) -> Program:
        """The program before the first pass.

        Raises:
            CompileError: The pass runs alone.
        """
        if self.original is None:
            raise CompileError(
                f"{pass_name} needs the original program", fix="run it through optimize or compile"
            )
        return self.original
