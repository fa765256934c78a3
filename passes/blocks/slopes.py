"""How much the outputs of a program depend on values inside it."""

from collections.abc import Callable, Collection

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.batched_run import run_batched
from ...compiler.batches import Batch
from ...compiler.ir.program import Program


def slopes(
    program: Program, batch: Batch, nodes: Collection[Node], seed: int
) -> dict[Node, Tensor]:
    """The derivative of the outputs, summed with random signs, by the value of each node.

    Its expected square is the diagonal of J^T J, where J is the derivative of all outputs: what a
    small error at one place adds to the squared error of the outputs. It is exactly 0 where no
    output depends on a value, such as at padding.
    """
    generator = torch.Generator().manual_seed(seed)
    values: dict[Node, Tensor] = {}

    def tap(node: Node) -> Callable[[Tensor], Tensor]:
        def keep(value: Tensor) -> Tensor:
            values[node] = value if value.requires_grad else value.detach().requires_grad_()
            return values[node]

        return keep

    with torch.enable_grad():
        run = run_batched(program, batch.inputs, edit={node: tap(node) for node in nodes})
        total = torch.zeros(())
        for output in run.outputs:
            if output.is_floating_point():
                signs = torch.randint(0, 2, output.shape, generator=generator) * 2 - 1
                total = total + (output * signs).sum()
        if not total.requires_grad:
            return {node: torch.zeros_like(value) for node, value in values.items()}
        found = torch.autograd.grad(total, list(values.values()), allow_unused=True)
    return {
        node: torch.zeros_like(value).detach() if slope is None else slope
        for (node, value), slope in zip(values.items(), found, strict=True)
    }
