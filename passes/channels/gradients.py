"""Gradients on calibration data: of a loss, or of the outputs themselves where there is none."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.fx import Node
from torch.nn import functional

from ...compiler.batched_run import run_batched
from ...compiler.batches import Batch
from ...compiler.errors import CompileError
from ...compiler.ir.program import Program

Loss: TypeAlias = Callable[[list[Tensor], Any], Tensor]


@dataclass
class Gradients:
    """What one pass over the data says about weights and activations.

    Args:
        fisher: Mean over batches of the squared gradient, by the weight's name.
        moments: For (weight, dim), the sum of weight * gradient at each position of the dimension:
            one row per batch.
        rows: For the activations asked for, the squared norm of the gradient over the channels at
            every position: one tensor [samples, ...] per batch.
    """

    fisher: dict[str, Tensor] = field(default_factory=dict)
    moments: dict[tuple[str, int], list[Tensor]] = field(default_factory=dict)
    rows: dict[Node, list[Tensor]] = field(default_factory=dict)


def gradients(
    program: Program,
    batches: Collection[Batch],
    loss: Loss | None,
    *,
    weights: Iterable[tuple[str, int]] = (),
    activations: Iterable[tuple[Node, int]] = (),
    seed: int = 0,
) -> Gradients:
    """Differentiate a loss by weights and activations, batch by batch.

    Without `loss`, labels that are class numbers of a [N, classes] output give the cross entropy.
    Otherwise the outputs are summed with random signs: the mean squared gradient is then the
    diagonal of the Gauss-Newton matrix of the squared error to the program's own outputs.

    Args:
        program: Left as it is.
        batches: Calibration data.
        loss: Outputs and labels of a batch to a number.
        weights: Name and dimension of the weights to look at.
        activations: Nodes, and the dimension of their channels.
        seed: Of the random signs.

    Raises:
        CompileError: The loss is not a finite number, or depends on none of these.
    """
    wanted, taps = list(dict.fromkeys(weights)), dict(activations)
    result = Gradients(moments={key: [] for key in wanted}, rows={node: [] for node in taps})
    leaves = _leaves(program, {name for name, _ in wanted})
    generator = torch.Generator().manual_seed(seed)
    try:
        for number, batch in enumerate(batches):
            found = _differentiate(program, batch, loss, leaves, list(taps), generator, number)
            _note_weights(result, leaves, found, wanted, len(batches))
            for node, gradient in zip(taps, found[len(leaves) :], strict=True):
                result.rows[node].append(gradient.square().sum(taps[node]))
    finally:
        for leaf, was_trainable in leaves.values():
            leaf.requires_grad_(was_trainable)
    return result


_Leaves: TypeAlias = dict[str, tuple[Tensor, bool]]  # and whether it was trainable


def _leaves(program: Program, names: Collection[str]) -> _Leaves:
    leaves = {}
    for name, tensor in program.weights.items():
        if name in names and tensor.is_floating_point():
            leaves[name] = (tensor, tensor.requires_grad)
            tensor.requires_grad_(True)
    return leaves


def _differentiate(
    program: Program,
    batch: Batch,
    loss: Loss | None,
    leaves: _Leaves,
    taps: list[Node],
    generator: torch.Generator,
    number: int,
) -> list[Tensor]:
    """The gradients by the leaves and the taps, zeros where there is none."""
    seen: dict[Node, Tensor] = {}

    def tap(node: Node) -> Callable[[Tensor], Tensor]:
        def keep(value: Tensor) -> Tensor:
            seen[node] = value if value.requires_grad else value.detach().requires_grad_()
            return seen[node]

        return keep

    with torch.enable_grad():
        run = run_batched(program, batch.inputs, edit={node: tap(node) for node in taps})
        value = _loss(run.outputs, batch.labels, loss, generator)
        if not value.requires_grad or not bool(value.isfinite()):
            raise CompileError(
                "the loss must be a finite number that depends on the weights",
                at=f"batch {number}",
                got=f"{float(value.detach())}",
                fix="check loss=, or the labels in calibration",
            )
        sources = [leaf for leaf, _ in leaves.values()] + [seen[node] for node in taps]
        found = torch.autograd.grad(value, sources, allow_unused=True)
    return [
        torch.zeros_like(source) if gradient is None else gradient.detach()
        for source, gradient in zip(sources, found, strict=True)
    ]


def _loss(
    outputs: list[Tensor], labels: Any, loss: Loss | None, generator: torch.Generator
) -> Tensor:
    if loss is not None:
        return loss(outputs, labels)
    if _are_classes(outputs, labels):
        return functional.cross_entropy(outputs[0], labels)
    total = torch.zeros(())
    for output in outputs:
        if output.is_floating_point():
            signs = torch.randint(0, 2, output.shape, generator=generator) * 2 - 1
            total = total + (output * signs).sum()
    return total


def _are_classes(outputs: list[Tensor], labels: Any) -> bool:
    return (
        len(outputs) == 1
        and isinstance(labels, Tensor)
        and labels.dtype is torch.int64
        and outputs[0].dim() == 2
        and labels.shape == outputs[0].shape[:1]
    )


def _note_weights(
    result: Gradients,
    leaves: _Leaves,
    found: list[Tensor],
    wanted: list[tuple[str, int]],
    batches: int,
) -> None:
    by_name = dict(zip(leaves, found, strict=False))
    for name, gradient in by_name.items():
        square = gradient.double().square() / batches
        result.fisher[name] = result.fisher.get(name, 0) + square
    for name, dim in wanted:
        weight = leaves[name][0].detach()
        product = (weight * by_name[name]).movedim(dim, 0)
        result.moments[name, dim].append(product.reshape(product.shape[0], -1).sum(1))
