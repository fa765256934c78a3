"""What can look on while a program is trained, and have its say."""

from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from .state import Training


class Callback:
    """Base of callbacks: override what you need. `training` holds all there is to see.

    `training.stop()` ends training after the current update.
    """

    def on_start(self, training: "Training") -> None:
        """Before the first update, of a resumed run too."""

    def on_step(self, training: "Training") -> None:
        """After each update: `training.step`, `.loss` and `.lr` are those of the update."""

    def on_validation(self, training: "Training") -> None:
        """After each validation: `training.validations` ends with it."""

    def on_epoch(self, training: "Training") -> None:
        """After each epoch."""

    def on_end(self, training: "Training") -> None:
        """After the last update, before the best weights are restored."""

    def state(self) -> dict[str, Any]:
        """Tensors and plain data to keep in checkpoints."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` gave."""


class Regularizer(Callback):
    """A callback that adds a term to the loss of every update."""

    def penalty(self, training: "Training") -> Tensor:
        """The term: a tensor of one element through which gradients flow to the weights."""
        raise NotImplementedError


class ProgressBar(Callback):
    """Shows updates, loss and validation as a bar of rich on stderr."""

    def on_start(self, training: "Training") -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("train"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[notes]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._bar.start()
        self._task = self._bar.add_task("train", total=training.steps, notes="")
        self.on_step(training)

    def on_step(self, training: "Training") -> None:
        notes = f"epoch {training.epoch + 1}  loss {training.loss:.4g}" if training.step else ""
        if training.validations:
            notes += f"  validation {training.validations[-1].value:.4g}"
        self._bar.update(self._task, completed=training.step, notes=notes)

    def on_end(self, training: "Training") -> None:
        self._bar.stop()
