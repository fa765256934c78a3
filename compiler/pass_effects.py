"""What a lossy pass did to a program: its size, its work, its outputs, its quality."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from .batched_run import run_batched
from .batches import Batch
from .ir.program import Program, origin_of
from .macs import macs
from .pass_context import PassContext
from .pass_report import Layer, State

_MOST_BATCHES = 16  # enough for a figure to read, few enough to compute after every pass


@dataclass
class EffectMeter:
    """Describes programs that come from one original, whose outputs it computes once.

    All see the same batches, which are kept: data that is shuffled is never the same again.
    """

    context: PassContext
    _batches: list[Batch] = field(default_factory=list)
    _outputs: list[list[Tensor]] = field(default_factory=list)
    _last: State | None = None

    def before(self, program: Program) -> State:
        """The program before a pass: as the last lossy pass left it, but for exact rewrites."""
        return self._last or self.state(program)

    def after(self, program: Program) -> State:
        """The program that a pass has changed."""
        self._last = self.state(program)
        return self._last

    def state(self, program: Program) -> State:
        """The program in numbers, with error and quality where the context allows."""
        weights = list(program.weights.values())
        evaluate = self.context.evaluate
        return State(
            parameters=sum(weight.numel() for weight in weights),
            weight_bytes=sum(weight.nbytes for weight in weights),
            macs=sum(map(macs, program.graph.nodes)),
            layers=layers_of(program),
            error=self._error(program),
            quality=None if evaluate is None else float(evaluate(program)),
        )

    def _error(self, program: Program) -> float | None:
        calibration, original = self.context.calibration, self.context.original
        if calibration is None or original is None:
            return None
        if not self._batches:
            self._batches = list(islice(calibration, _MOST_BATCHES))
            self._outputs = _outputs(original, self._batches)
        return relative_error(_outputs(program, self._batches), self._outputs)


def layers_of(program: Program) -> dict[str, Layer]:
    """Work and weights by module path, in graph order; a weight counts where it is read first."""
    work: dict[str, int] = {}
    sizes: dict[str, int] = {}
    counted: set[Any] = set()
    for node in program.graph.nodes:
        if node.op != "call_function":
            continue
        path = origin_of(node).module_path
        work[path] = work.get(path, 0) + macs(node)
        for source in node.all_input_nodes:
            if source.op == "get_attr" and source.target not in counted:
                counted.add(source.target)
                sizes[path] = sizes.get(path, 0) + program.weight(source).numel()
    paths = [path for path in work if work[path] or sizes.get(path)]
    return {path: Layer(macs=work[path], parameters=sizes.get(path, 0)) for path in paths}


def relative_error(got: Iterable[list[Tensor]], wanted: Iterable[list[Tensor]]) -> float:
    """||got - wanted|| / ||wanted|| over all floating-point outputs of all batches."""
    difference = norm = 0.0
    for mine, theirs in zip(got, wanted, strict=True):
        for left, right in zip(mine, theirs, strict=True):
            if right.is_floating_point() and left.shape == right.shape:
                difference += float((left.double() - right.double()).square().sum())
                norm += float(right.double().square().sum())
    return (difference / norm) ** 0.5 if norm else 0.0


def _outputs(program: Program, batches: Iterable[Batch]) -> list[list[Tensor]]:
    with torch.no_grad():
        return [run_batched(program, batch.inputs).outputs for batch in batches]
