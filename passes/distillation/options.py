"""The options of passes that train a program towards the original."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from ...compiler.errors import CompileError
from ...compiler.ir.program import Program
from ...compiler.training import Callback, TrainingOptions
from .losses import LabelLoss, OutputLoss

_WEIGHTS = (
    "output_weight",
    "relation_weight",
    "hidden_weight",
    "attention_weight",
    "label_weight",
)


@dataclass(frozen=True, kw_only=True)
class DistillationOptions(TrainingOptions):
    """What a program learns, from whom, and from which data; how is in `TrainingOptions`.

    Args:
        mode: "end-to-end", or "blockwise": every block gets the teacher's hidden state and learns
            to give the next one, so that no error of one block reaches another.
        output: How outputs are compared: "mse" relative to their size, "cosine" of the last
            dimension, "kl" divergence of classes by `temperature`, or "none".
        temperature: Softens the classes of "kl" (Hinton et al. 2015).
        output_weight: Of the outputs.
        relation_weight: Of the similarities to other samples, for embeddings that are compared.
        hidden_weight: Of hidden states, paired by the module that they come from.
        attention_weight: Of attention maps, likewise.
        label_weight: Of the loss on labels, if the data has some.
        validation_part: Part of the samples held out where no `validation` is given.
        cache_bytes: How much of what the teacher says may be remembered.
        teacher: Another teacher than the program before the first pass.
        data: Other data than the calibration data.
        validation: Data to choose the best weights by.
        label_loss: Takes outputs and labels; None is the cross entropy of the first output.
        callbacks: Called while training goes on.
    """

    mode: Literal["end-to-end", "blockwise"] = "end-to-end"
    output: OutputLoss = "mse"
    temperature: float = 2.0
    output_weight: float = 1.0
    relation_weight: float = 0.0
    hidden_weight: float = 1.0
    attention_weight: float = 0.0
    label_weight: float = 0.0
    validation_part: float = 0.1
    cache_bytes: int = 2 << 30
    teacher: Program | None = None
    data: Iterable[Any] | None = None
    validation: Iterable[Any] | None = None
    label_loss: LabelLoss | None = None
    callbacks: tuple[Callback, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (
            ("mode", ("end-to-end", "blockwise")),
            ("output", ("mse", "cosine", "kl", "none")),
        ):
            if getattr(self, name) not in known:
                got = f"{name}={getattr(self, name)!r}"
                raise CompileError(f"{name} must be one of {', '.join(known)}", got=got)
        for name in (*_WEIGHTS, "cache_bytes"):
            if not getattr(self, name) >= 0:
                raise CompileError(
                    f"{name} must be 0 or more", got=f"{name}={getattr(self, name)!r}"
                )
        if not 0 <= self.validation_part < 1:
            raise CompileError(
                "validation_part must be at least 0 and less than 1",
                got=f"validation_part={self.validation_part!r}",
            )
        if not self.temperature > 0:
            got = f"temperature={self.temperature!r}"
            raise CompileError("temperature must be positive", got=got)
        if self.output == "none" and not any(getattr(self, name) for name in _WEIGHTS[1:]):
            raise CompileError("no loss is left", fix="give a weight, or an output loss")
