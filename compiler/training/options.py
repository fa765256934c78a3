"""How a program is trained: the knobs that every training pass has as options."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import CompileError

Precision = Literal["float32", "bfloat16", "float16"]
Optimizer = Literal["adamw", "muon"]
Schedule = Literal["constant", "linear", "cosine"]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Options of `train`, and of the passes that call it.

    Args:
        epochs: Times to go through the data.
        steps: Updates of the weights to make instead, however many epochs that takes; 0 = `epochs`.
        batch_size: Samples per forward pass (of the batch that the program was traced for): they
            are kept in memory and drawn anew for every epoch. 0 takes the batches of the data as
            they come.
        accumulate: Forward passes whose gradients are averaged into one update.
        optimizer: "adamw" (Loshchilov and Hutter 2019), or "muon" (Jordan et al. 2024), which takes
            larger batches and fewer updates: it makes the updates of matrices orthogonal, and
            leaves the other weights to AdamW.
        lr: Learning rate at the top of the schedule.
        schedule: How it falls to zero after the warm-up.
        warmup: Part of the updates in which it rises from zero.
        weight_decay: Of either (decoupled); vectors and embeddings have none.
        clip: Longest gradient over all weights; 0 = any.
        precision: Of the activations in forward and backward passes; weights stay float32.
        device: "cpu", "cuda", "cuda:1", ...
        batch_norm: Whether batch norms use the statistics of the batch and update the running ones.
        embeddings: Whether tables of embeddings are trained. Few samples use a row, so that it
            would follow their noise, and rows that none uses would fall behind the others.
        freeze: Weights that stay, by their names or the modules that hold them.
        seed: Of the order of samples and all that is drawn at random.
        patience: Validations without improvement before training stops; 0 = never.
        validate_every: Updates between validations; 0 = one after every epoch.
        checkpoint: File to keep the state of training in, and to resume from; "" = none.
        checkpoint_every: Updates between checkpoints; 0 = one after every epoch.
        distributed: Train in all processes that `accelerate launch` started.
    """

    epochs: int = 10
    steps: int = 0
    batch_size: int = 16
    accumulate: int = 1
    optimizer: Optimizer = "adamw"
    lr: float = 1e-4
    schedule: Schedule = "cosine"
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    precision: Precision = "float32"
    device: str = "cpu"
    batch_norm: Literal["batch", "frozen"] = "batch"
    embeddings: Literal["train", "frozen"] = "frozen"
    freeze: tuple[str, ...] = ()
    seed: int = 0
    patience: int = 0
    validate_every: int = 0
    checkpoint: str = ""
    checkpoint_every: int = 0
    distributed: bool = False

    def __post_init__(self) -> None:
        _check(self, ("epochs", "accumulate"), "at least 1", lambda value: value >= 1)
        _check(self, ("lr",), "positive", lambda value: 0 < value < math.inf)
        _check(self, ("warmup",), "between 0 and 1", lambda value: 0 <= value <= 1)
        counts = ("steps", "batch_size", "patience", "validate_every", "checkpoint_every")
        _check(self, (*counts, "weight_decay", "clip"), "0 or more", lambda value: value >= 0)
        _check_choice("optimizer", self.optimizer, ("adamw", "muon"))
        _check_choice("schedule", self.schedule, ("constant", "linear", "cosine"))
        _check_choice("precision", self.precision, ("float32", "bfloat16", "float16"))
        _check_choice("batch_norm", self.batch_norm, ("batch", "frozen"))
        _check_choice("embeddings", self.embeddings, ("train", "frozen"))

    def lr_at(self, step: int, steps: int) -> float:
        """Learning rate of update number `step`, from 0, of `steps`."""
        warmup = round(self.warmup * steps)
        if step < warmup:
            return self.lr * (step + 1) / warmup
        done = (step - warmup) / max(1, steps - warmup)
        if self.schedule == "linear":
            return self.lr * (1 - done)
        if self.schedule == "cosine":
            return self.lr * (1 + math.cos(math.pi * done)) / 2
        return self.lr


def _check(
    options: TrainingOptions, names: Sequence[str], what: str, good: Callable[[Any], bool]
) -> None:
    for name in names:
        value = getattr(options, name)
        if not good(value):
            raise CompileError(f"{name} must be {what}", got=f"{name}={value!r}")


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise CompileError(f"{name} must be one of {', '.join(choices)}", got=f"{name}={value!r}")
