"""Rounds values and weights to integers: static quantization after training."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.fx import Node

from ..compiler.batches import Batches
from ..compiler.errors import CompileError
from ..compiler.ir.program import Program, origin_of
from ..compiler.ir.rewrite import arguments_of
from ..compiler.pass_base import Pass
from ..compiler.quantization.scales import QuantizedRange
from .canonicalize import Canonicalize
from .fold_batch_norm import FoldBatchNorm
from .fold_constants import FoldConstants
from .quantizing.annotate import Annotation, Rounding, Scope, annotate
from .quantizing.correct_bias import correct_bias
from .quantizing.insert import nearest, range_of_limits, round_value, round_weight, weight_scales
from .quantizing.limits import HISTOGRAMS, Observer, limits
from .quantizing.migrate import migrate
from .quantizing.observe import observe
from .quantizing.selection import named
from .remove_no_ops import RemoveNoOps

_BEFORE: tuple[Pass, ...] = (FoldConstants(), RemoveNoOps(), Canonicalize(), FoldBatchNorm())
_BITS = range(2, 9)


@dataclass(frozen=True)
class Quantize(Pass):
    """Round activations and weights to int8, with steps chosen on calibration data.

    The program gets quantize and dequantize nodes (`quantized_decomposed`), which
    `fold-quantization` turns into integer operators; docs/quantization.md describes both. Weights
    have steps for each output channel and no zero points, activations one step and zero point.
    Values that are only moved, and parts that are only joined, have the steps of the whole.

    Args:
        scope: What becomes integers: "all" operators that can, or "products" (convolutions and
            linear layers, real values between them). "auto": products in networks with layer norms.
        observer: How ranges of activations follow from what occurs; see `limits`.
        weight_bits: 2 to 8.
        activation_bits: 2 to 8.
        equalize: Move the size of channels into weights where that is more precise.
        correct_bias: Take the mean error of layers out of their biases.
        keep: Modules (patterns of names) and operators (such as "aten.softmax") that stay real.

    Needs: calibration data. Operators become canonical and batch norms are folded first.
    Keeps: nothing exactly; the report has the error on the calibration data.
    Skips: what has no integer form, or weights that are computed.
    """

    name = "quantize"
    contract = "lossy"

    scope: Scope = "auto"
    observer: Observer = "min-max"
    weight_bits: int = 8
    activation_bits: int = 8
    equalize: bool = True
    correct_bias: bool = True
    keep: tuple[str, ...] = ()

    def run(self, program: Program) -> int:
        """Insert quantize and dequantize nodes; the number of values and weights rounded."""
        self._check()
        batches = self.context.needs_calibration(self.name)
        for before in _BEFORE:
            before.run(program)
        program.drop_dead()
        annotation = annotate(program, self.scope, named(program, "keep", self.keep))
        if self.equalize:
            bits = self.activation_bits, self.weight_bits
            strengths = migrate(program, annotation, batches, bits, self._stage("equalize"))
            self.report.details["equalized"] = strengths
            annotation = annotate(program, self.scope, named(program, "keep", self.keep))
        ranges = self._ranges(program, annotation, batches)
        for rounding in annotation.roundings:
            round_value(rounding, ranges[rounding.value])
        originals = self._round_weights(program, annotation)
        if self.correct_bias and originals:
            change = correct_bias(program, originals, batches, self._stage("correct biases"))
            self.report.details["largest change of a bias"] = change
        self.report.details["values"] = len(annotation.roundings)
        self.report.details["weights"] = len(originals)
        return len(annotation.roundings) + len(originals)

    def _check(self) -> None:
        for option in ("weight_bits", "activation_bits"):
            if getattr(self, option) not in _BITS:
                raise CompileError(
                    f"{option} must be 2 to 8", got=f"{option}={getattr(self, option)}"
                )

    def _stage(self, name: str) -> Callable[[float], None]:
        return lambda done: self.context.progress(f"{self.name}: {name}", done)

    def _ranges(
        self, program: Program, annotation: Annotation, batches: Batches
    ) -> dict[Node, QuantizedRange]:
        """The steps of every value that is rounded."""
        groups = _groups(annotation.roundings)
        seen = observe(
            program,
            batches,
            [rounding.value for rounding in annotation.roundings],
            self._stage("observe"),
            histograms=self.observer in HISTOGRAMS,
        )
        found: dict[Node, QuantizedRange] = {}
        for members in groups:
            pairs = [limits(seen[m], self.observer, 2**self.activation_bits) for m in members]
            low, high = min(pair[0] for pair in pairs), max(pair[1] for pair in pairs)
            steps = range_of_limits(low, high, self.activation_bits, members[0])
            found.update(dict.fromkeys(members, steps))
        self.report.details["ranges"] = {
            f"{origin_of(node).module_path} {node.name}": (steps.scale, steps.zero_point)
            for node, steps in found.items()
        }
        return found

    def _round_weights(self, program: Program, annotation: Annotation) -> dict[Node, Tensor]:
        """Round the weights of layers; what they were."""
        originals = {}
        for layer in annotation.layers:
            weight = program.weight(arguments_of(layer)["weight"]).detach()
            _check_finite(layer, weight)
            scales = weight_scales(weight, self.weight_bits)
            integers = nearest(weight, scales, self.weight_bits)
            originals[layer] = weight.clone()
            round_weight(program, layer, integers, scales)
        return originals


def _groups(roundings: list[Rounding]) -> list[list[Node]]:
    """Values that must have the same steps, in graph order."""
    group = {rounding.value: [rounding.value] for rounding in roundings}
    for rounding in roundings:
        if rounding.same_as is not None and group[rounding.same_as] is not group[rounding.value]:
            joined = group[rounding.same_as] + group[rounding.value]
            group.update(dict.fromkeys(joined, joined))
    return list({id(members): members for members in group.values()}.values())


def _check_finite(layer: Node, weight: Tensor) -> None:
    if not weight.isfinite().all():
        raise CompileError(
            "a weight is infinite or not a number",
            at=str(origin_of(layer)),
            got=str(layer.target),
            fix="check the model's weights",
        )
