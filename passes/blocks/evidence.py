"""The data that blocks are judged and healed by."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.batched_run import run_batched
from ...compiler.batches import Batch, Batches
from ...compiler.ir.program import Program
from ...compiler.training.samples import Samples
from .distances import Distance, distance
from .slopes import slopes

_AT_ONCE = 16  # samples: keeps memory small, and gives the halves that ridges are chosen by


@dataclass(frozen=True)
class Evidence:
    """Calibration data and what an error of a layer's result counts on it.

    Args:
        batches: Of at most 16 samples.
        weights: For each layer of the teacher, 1 at the positions of its result that outputs depend
            on, 0 at the others (padding): [samples, positions...] per batch. Weighing by how much
            they depend made no difference that could be measured.
        outputs: The teacher's, per batch.
    """

    batches: list[Batch]
    weights: Mapping[Node, list[Tensor]]
    outputs: list[list[Tensor]]

    @classmethod
    def of(
        cls, teacher: Program, data: Batches, layers: Mapping[Node, int], seed: int
    ) -> "Evidence":
        """Computes weights and outputs batch by batch.

        Args:
            teacher: As it was before the first removal.
            data: Any calibration data.
            layers: Those to weigh, each with the dimension of its result that counts channels.
            seed: Of random signs.
        """
        samples = Samples(teacher, data)
        size = min(_AT_ONCE, max(1, len(samples) // 2))
        batches = samples.in_order(size)
        weights: dict[Node, list[Tensor]] = {layer: [] for layer in layers}
        outputs = []
        for number, batch in enumerate(batches):
            found = slopes(teacher, batch, list(weights), seed + number) if layers else {}
            for layer, channels in layers.items():
                weights[layer].append((found[layer] != 0).any(channels).float())
            with torch.no_grad():
                outputs.append(run_batched(teacher, batch.inputs).outputs)
        return cls(batches, weights, outputs)

    def distance_of(self, program: Program, kind: Distance) -> float:
        """The mean distance of a program's outputs from the teacher's."""
        total = 0.0
        for batch, wanted in zip(self.batches, self.outputs, strict=True):
            with torch.no_grad():
                total += distance(kind, run_batched(program, batch.inputs).outputs, wanted)
        return total / len(self.batches)
