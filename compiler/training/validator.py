"""Measures a program on data that it is not trained on, and keeps its best weights."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..batches import Batch
from .forward import Forward, Objective, moved
from .processes import Processes
from .state import Training, Validation


class Validator:
    """Validation of one run of training.

    Args:
        batches: Nothing is ever measured where there are none.
        measure: What is measured; lower is better.
        keep_best: Whether to keep the weights of the best validation.
    """

    def __init__(self, batches: Sequence[Batch], measure: Objective, keep_best: bool) -> None:
        self.batches, self.measure, self.keep_best = batches, measure, keep_best
        self.best_weights: dict[str, Tensor] = {}

    def validate(self, training: Training, forward: Forward, processes: Processes) -> bool:
        """Append a validation to `training` and stop it if it is out of patience; False for none.

        Nothing happens where the current weights were measured already.
        """
        done = training.validations
        if not self.batches or (done and done[-1].step == training.step):
            return False
        best = training.best
        total = sum(batch.times for batch in self.batches)
        with processes.autocast():
            value = sum(
                forward.measure(self.measure, moved(batch, processes.device)) * batch.times / total
                for batch in self.batches
            )
        done.append(Validation(training.step, value))
        if best is None or value < best.value:
            self._keep(forward)
        elif training.options.patience:
            waited = len(done) - 1 - done.index(best)
            training.stopped |= waited >= training.options.patience
        return True

    def restore_best(self, forward: Forward) -> None:
        """Give `forward` the weights of the best validation, if they are kept."""
        if self.best_weights:
            forward.load_state_dict(self.best_weights)

    def state(self) -> dict[str, Any]:
        """What to keep in checkpoints."""
        return self.best_weights

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` gave."""
        self.best_weights = state

    def _keep(self, forward: Forward) -> None:
        if self.keep_best:
            weights = forward.state_dict()
            self.best_weights = {name: weight.clone() for name, weight in weights.items()}
