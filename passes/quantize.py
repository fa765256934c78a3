"""Rounds values and weights to integers: static quantization after training."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor
from torch.fx import Node

from ..compiler.batches import Batches
from ..compiler.errors import CompileError
from ..compiler.ir.program import Program, origin_of
from ..compiler.pass_base import Pass
from ..compiler.quantization.scales import QuantizedRange
from ..targets.microcontrollers import Microcontroller
from .fuse_attention import FuseAttention
from .quantizing.annotate import Annotation, Rounding, Scope, annotate
from .quantizing.correct_bias import correct_bias
from .quantizing.insert import range_of_limits, round_value
from .quantizing.limits import HISTOGRAMS, Observer, limits
from .quantizing.migrate import Balance, migrate, rounded_by_channel
from .quantizing.observe import observe
from .quantizing.prepare import prepare
from .quantizing.round_layers import Method, round_layers
from .quantizing.selection import named
from .quantizing.sensitivity import sensitivities

_BITS = range(2, 9)
Outputs = Literal["auto", "real", "integers"]


@dataclass(frozen=True)
class Quantize(Pass):
    """Round activations and weights to int8, with steps chosen on calibration data.

    The program gets quantize and dequantize nodes (`quantized_decomposed`), which
    `fold-quantization` turns into integer operators; docs/quantization.md describes both. Weights
    have steps for each output channel and no zero points, activations one step and zero point.
    Values that are only moved, and parts that are only joined, have the steps of the whole.

    Args:
        scope: What becomes integers: "all" operators that can, or "products" (convolutions, linear
            layers and attention, real values between them). "auto": products in networks with layer
            norms.
        observer: How ranges of activations follow from what occurs; see `limits`.
        weight_bits: 2 to 8.
        activation_bits: 2 to 8.
        rounding: Of weights. "nearest"; "gptq": those that are not yet rounded make up for what
            rounding others did; "adaround": up or down, learned layer by layer.
        equalize: Move the size of channels from layers to the layers that read them, where that is
            more precise: cross-layer equalization.
        smooth: Move it from norms, and from values that are functions, to the layers that read
            them, where that is more precise: SmoothQuant.
        correct_bias: Take the mean error of layers out of their biases.
        outputs: Whether the results become "integers" too, or stay "real". "auto": integers on
            microcontrollers.
        keep: Modules (patterns of names) and operators (such as "aten.softmax") that stay real.
        keep_sensitive: So many layers stay real: those whose rounding alone changes the outputs
            most.

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
    rounding: Method = "nearest"
    equalize: bool = True
    smooth: bool = True
    correct_bias: bool = True
    outputs: Outputs = "auto"
    keep: tuple[str, ...] = ()
    keep_sensitive: int = 0

    def run(self, program: Program) -> int:
        """Insert quantize and dequantize nodes; the number of values and weights rounded."""
        self._check()
        batches = self.context.needs_calibration(self.name)
        prepared = prepare(program, FuseAttention())
        annotation = self._balanced(program, batches)
        ranges = self._ranges(program, annotation, batches)
        if self.keep_sensitive:
            kept = self._sensitive(program, annotation, ranges, batches)
            annotation = self._annotate(program, kept | self._kept(program))
            ranges = self._ranges(program, annotation, batches)
        for rounding in annotation.roundings:
            round_value(rounding, ranges[rounding.value])
        originals = self._round_weights(program, annotation)
        if self.correct_bias and originals:
            change = correct_bias(program, originals, batches, self._stage("correct biases"))
            self.report.details["largest change of a bias"] = change
        self.report.details["values"] = len(annotation.roundings)
        self.report.details["weights"] = len(originals)
        return len(annotation.roundings) + len(originals) or prepared

    def _balanced(self, program: Program, batches: Batches) -> Annotation:
        """What to round, after the sizes of channels were moved."""
        annotation = self._annotate(program, self._kept(program))
        if not (self.equalize or self.smooth):
            return annotation
        balance = Balance(
            activation_bits=self.activation_bits,
            rounded=partial(rounded_by_channel, bits=self.weight_bits),
            layers=self.equalize,
            norms_and_values=self.smooth,
        )
        strengths = migrate(program, annotation, batches, balance, self._stage("equalize"))
        self.report.details["equalized"] = strengths
        return self._annotate(program, self._kept(program))

    def _annotate(self, program: Program, kept: set[Node]) -> Annotation:
        on_microcontroller = isinstance(self.context.target, Microcontroller)
        outputs = self.outputs == "integers" or (self.outputs == "auto" and on_microcontroller)
        return annotate(program, self.scope, kept, outputs=outputs)

    def _kept(self, program: Program) -> set[Node]:
        return named(program, "keep", self.keep)

    def _sensitive(
        self,
        program: Program,
        annotation: Annotation,
        ranges: dict[Node, QuantizedRange],
        batches: Batches,
    ) -> set[Node]:
        """The layers whose rounding alone changes the outputs most."""
        stage, bits = self._stage("sensitivities"), self.weight_bits
        errors = sensitivities(program, annotation, ranges, bits, batches, stage)
        order = sorted(errors, key=errors.__getitem__, reverse=True)
        self.report.details["sensitivities"] = {
            origin_of(layer).module_path: errors[layer] for layer in order
        }
        return set(order[: self.keep_sensitive])

    def _check(self) -> None:
        for option in ("weight_bits", "activation_bits"):
            if getattr(self, option) not in _BITS:
                raise CompileError(
                    f"{option} must be 2 to 8", got=f"{option}={getattr(self, option)}"
                )
        if self.keep_sensitive < 0:
            raise CompileError(
                "keep_sensitive must be 0 or more", got=f"keep_sensitive={self.keep_sensitive}"
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
        batches, stage = self.context.needs_calibration(self.name), self._stage("round weights")
        layers, bits = annotation.layers, self.weight_bits
        return round_layers(program, layers, bits, self.rounding, batches, stage)


def _groups(roundings: list[Rounding]) -> list[list[Node]]:
    """Values that must have the same steps, in graph order."""
    group = {rounding.value: [rounding.value] for rounding in roundings}
    for rounding in roundings:
        if rounding.same_as is not None and group[rounding.same_as] is not group[rounding.value]:
            joined = group[rounding.same_as] + group[rounding.value]
            group.update(dict.fromkeys(joined, joined))
    return list({id(members): members for members in group.values()}.values())
