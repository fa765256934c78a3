"""How far the outputs of a program are from those of another one, on data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional

from ...compiler.accuracy.difference import Difference
from ...compiler.batched_run import run_batched
from ...compiler.batches import Batch, Batches
from ...compiler.ir.program import Program


@dataclass(frozen=True)
class Loss:
    """What a change does to the outputs.

    Args:
        noise: Squares of the differences of all real outputs, relative to those of the outputs.
        divergence: Kullback-Leibler divergence from the softmax of an output to that of the
            changed one, nats; the mean over rows.
    """

    noise: float
    divergence: float

    @property
    def sqnr(self) -> float:
        """Signal to noise in decibels."""
        return -10 * math.log10(self.noise) if self.noise > 0 else math.inf


class Judge:
    """Compares programs with one whose outputs it computes once.

    Args:
        program: What is wanted.
        data: Batches of its inputs.
        samples: How many of them are looked at, at least; whole batches.
    """

    def __init__(self, program: Program, data: Batches, samples: int) -> None:
        self._batches: list[Batch] = []
        for batch in islice(data, samples):
            self._batches.append(batch)
            if sum(each.times for each in self._batches) >= samples:
                break
        self._wanted = [self._outputs(program, batch) for batch in self._batches]
        names = program.input_names
        inputs = [dict(zip(names, batch.inputs, strict=True)) for batch in self._batches]
        self.data = Batches(program, inputs)

    def loss(self, program: Program) -> Loss:
        """What a changed program loses."""
        total, divergence, rows = Difference(), 0.0, 0
        for wanted, batch in zip(self._wanted, self._batches, strict=True):
            for left, right in zip(wanted, self._outputs(program, batch), strict=True):
                total.add(left, right)
                divergence += _divergence(left, right)
                rows += left[..., 0].numel() if left.dim() else 1
        noise = total.noise / total.signal if total.signal else total.noise
        return Loss(noise if math.isfinite(noise) else math.inf, divergence / max(rows, 1))

    def _outputs(self, program: Program, batch: Batch) -> Sequence[Tensor]:
        with torch.no_grad():
            outputs = run_batched(program, batch.inputs).outputs
        return [output for output in outputs if output.is_floating_point()]


def _divergence(wanted: Tensor, got: Tensor) -> float:
    """The sum over rows."""
    wanted, got = (functional.log_softmax(each.double(), -1) for each in (wanted, got))
    return float((wanted.exp() * (wanted - got)).sum())
