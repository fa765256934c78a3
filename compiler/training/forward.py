"""The loss of a batch as a module: what an optimizer and `accelerate` work on."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_map

from ..batched_run import BatchedRun, run_batched
from ..batches import Batch
from ..ir.program import Program
from ..ir.rewrite import shape_of

_LARGEST_MAP = 256 * 256  # elements of a map of attention that is kept for the backward pass

Run = Callable[..., BatchedRun]
Objective = Callable[[Run, Batch], Tensor]


class Forward(nn.Module):
    """Gives the objective on a batch; its weights are those of the program and of the objective.

    Args:
        program: Is run by the objective.
        objective: What is minimized.
        normalize_by_batch: Whether batch norms use the statistics of the batch in training.
    """

    def __init__(self, program: Program, objective: Objective, normalize_by_batch: bool) -> None:
        super().__init__()
        self.weights = program.module
        self.objective = objective  # an nn.Module registers itself
        self.program, self.normalize_by_batch = program, normalize_by_batch

    def forward(self, batch: Batch) -> Tensor:
        with _attention(self.program, batch):
            return self.objective(self._run(batch, self.normalize_by_batch), batch)

    def measure(self, objective: Objective, batch: Batch) -> float:
        """Any objective on a batch, with the batch norms as they will be used."""
        with torch.no_grad():
            return float(objective(self._run(batch, False), batch))

    def _run(self, batch: Batch, normalize_by_batch: bool) -> Run:
        return partial(
            run_batched, self.program, batch.inputs, normalize_by_batch=normalize_by_batch
        )


def _attention(program: Program, batch: Batch) -> AbstractContextManager[None]:
    """Lets attention be computed as two products where that is the faster way.

    On CPUs the fused kernel of PyTorch has a slow backward pass; for long sequences it is worth it,
    since it keeps no maps.
    """
    sdpa = torch.ops.aten.scaled_dot_product_attention.default
    nodes = [node for node in program.graph.nodes if node.target is sdpa]
    maps = (shape_of(node.args[0])[-2] * shape_of(node.args[1])[-2] for node in nodes)
    on_cpu = all(tensor.device.type == "cpu" for tensor in batch.inputs)
    is_short = on_cpu and nodes and max(maps) <= _LARGEST_MAP
    return sdpa_kernel(SDPBackend.MATH) if is_short else nullcontext()


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch with all its tensors on `device`."""

    def move(value: object) -> object:
        return value.to(device) if isinstance(value, Tensor) else value

    inputs = tuple(tensor.to(device) for tensor in batch.inputs)
    return Batch(inputs, tree_map(move, batch.labels), batch.times)
