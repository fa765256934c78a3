"""What there is to know about a run of training while it goes on and when it is done."""

from dataclasses import dataclass, field

from ..ir.program import Program
from .options import TrainingOptions


@dataclass(frozen=True)
class Validation:
    """What was measured on the validation data after some updates; lower is better."""

    step: int
    value: float


@dataclass
class Training:
    """The state of a run, for callbacks to read; `train` returns it at the end.

    Attributes:
        program: What is trained.
        options: How.
        steps: Updates that will be made at most.
        step: Updates made.
        epoch: Epochs completed.
        loss: Of the last update, without regularizers; `losses` has those of all updates.
        lr: Learning rate of the last update.
        validations: All so far, the first before any update.
        stopped: Whether training ends early.
    """

    program: Program
    options: TrainingOptions
    steps: int
    step: int = 0
    epoch: int = 0
    loss: float = 0.0
    lr: float = 0.0
    losses: list[float] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    stopped: bool = False

    def stop(self) -> None:
        """End training after the current update."""
        self.stopped = True

    @property
    def best(self) -> Validation | None:
        """The lowest validation, the first of equal ones; None without any."""
        return min(self.validations, key=lambda one: one.value, default=None)
