"""Where the result of a layer ends up: through moves and fixed scales, in a residual sum."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.batched_run import run_batched
from ...compiler.batches import Batch
from ...compiler.ir.op_kinds import Kind, kind_of
from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of, shape_of
from .invert import inverted

_ATEN = torch.ops.aten
_AFFINE = (_ATEN.add.Tensor, _ATEN.sub.Tensor, _ATEN.mul.Tensor, _ATEN.div.Tensor)
_PERMUTE = _ATEN.permute.default


@dataclass(frozen=True, eq=False)
class Place:
    """A value that a layer's result goes into, element by element: `node = scale * result + rest`.

    Args:
        node: The residual sum, or the result itself.
        addend: What is added there, None at the result itself.
        tail: The norm or activation between there and where the goal is, if any.
    """

    node: Node
    addend: Node | None
    tail: tuple[Node, ...] = ()


def place_of(call: Node, sums: Collection[Node]) -> Place:
    """The first of `sums` that the result of `call` reaches, alone and unmixed; else the result."""
    node = call
    while len(node.users) == 1:
        reader = next(iter(node.users))
        if reader in sums:
            others = [source for source in reader.all_input_nodes if source is not node]
            return Place(reader, others[0]) if len(others) == 1 else Place(call, None)
        if not _is_affine(reader, node):
            break
        node = reader
    return Place(call, None)


def wanted_results(
    program: Program,
    batch: Batch,
    call: Node,
    place: Place,
    known: dict[Node, Tensor],
    goal: Tensor,
) -> Tensor:
    """The result of `call` under which the value at `place`, behind its tail, would be `goal`.

    The way from one to the other is affine in each element, so its derivative inverts it.

    Args:
        program: Whose values these are.
        batch: The inputs that they were computed from.
        call: The layer.
        place: Of the layer.
        known: The values of `call` and of the place's addend.
        goal: The wanted value.
    """
    if place.node is call and not place.tail:
        return goal
    read = (place.node, *place.tail[:-1])
    with torch.enable_grad():
        result = known[call].detach().requires_grad_()
        given = {**known, call: result}
        kept = run_batched(program, batch.inputs, keep=read, given=given, outputs=False).kept
        value = kept[place.node]
        reads = {s: kept[r].detach() for s, r in zip(place.tail, read, strict=False)}
        change = inverted(program, place.tail, reads, goal) - value.detach()
        if place.node is call:
            return known[call] + change
        ones = torch.ones_like(value)
        (scale,) = torch.autograd.grad(value, result, ones, retain_graph=True)
        (slope,) = torch.autograd.grad(value, result, change)
    square = scale.square()
    return known[call] + torch.where(square > 0, slope / square.clamp_min(1e-30), 0)


def _is_affine(reader: Node, node: Node) -> bool:
    """Whether each element of `reader` is a fixed multiple of one of `node` plus a number."""
    if any(source.op != "get_attr" for source in reader.all_input_nodes if source is not node):
        return False
    if reader.target is _ATEN.batch_norm.default:
        return not arguments_of(reader)["training"]
    if reader.target is _ATEN.div.Tensor and reader.args[0] is not node:
        return False
    is_elementwise = reader.target in _AFFINE and shape_of(reader) == shape_of(node)
    return is_elementwise or reader.target is _PERMUTE or kind_of(reader) is Kind.VIEW
