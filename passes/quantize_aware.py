"""Trains a program with the rounding that it will be computed with."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor
from torch.fx import Node

from ..compiler.ir.program import Program, origin_of
from .distillation.options import DistillationOptions
from .distillation.session import distill
from .integer.values import DEQUANTIZE
from .quantize import Quantize
from .quantizing.annotate import Annotation
from .quantizing.learn_steps import learn_steps, settle_steps


@dataclass(frozen=True, kw_only=True)
class QuantizeAware(DistillationOptions, Quantize):
    """Round activations and weights as `Quantize` does, and train weights and steps so.

    A program without quantize nodes is quantized first; one that an earlier pass quantized is taken
    with its steps. Then it learns what `Distill` teaches, computing what its integers stand for:
    rounding has the gradient of the identity (Bengio et al. 2013, Jacob et al. 2018), steps learn
    with it (LSQ, Esser et al. 2020). The program has quantize and dequantize nodes again at the end
    and gives exactly what it gave in training. Options are those of `Quantize`,
    `DistillationOptions` and `TrainingOptions`; hidden states do not count and batch norms are
    frozen by default.

    Args:
        learn_steps: Whether steps are trained; else they stay as calibrated.
        learn_zero_points: Whether zero points are trained.

    Needs: calibration data.
    Keeps: the best weights on the validation data, those before training among them; zeros that an
        earlier pass marked stay zero. Batch norms after layers are folded before training: weights
        train as they will be rounded, under the statistics of inference.
    Skips: what `Quantize` and `Distill` skip; values whose integers are read otherwise than by
        dequantize nodes.
    """

    name = "quantize-aware"
    contract = "lossy"

    hidden_weight: float = 0.0
    batch_norm: Literal["batch", "frozen"] = "frozen"
    learn_steps: bool = True
    learn_zero_points: bool = False

    def run(self, program: Program) -> int:
        """Quantize, train, and leave quantize and dequantize nodes; the number of roundings."""
        if not program.graph.find_nodes(op="call_function", target=DEQUANTIZE):
            super().run(program)
        count = learn_steps(
            program,
            self._originals,
            self.report,
            steps=self.learn_steps,
            zero_points=self.learn_zero_points,
        )
        self._originals.clear()
        distill(program, self, self.context, self.report)
        ranges = settle_steps(program)
        self.report.details["ranges"] = {
            f"{origin_of(node).module_path} {node.name}": (steps.scale, steps.zero_point)
            for node, steps in ranges.items()
        }
        return count

    @cached_property
    def _originals(self) -> dict[Node, Tensor]:
        """The weights of layers before they were rounded."""
        return {}

    def _round_weights(self, program: Program, annotation: Annotation) -> dict[Node, Tensor]:
        originals = super()._round_weights(program, annotation)
        self._originals.update(originals)
        return originals
