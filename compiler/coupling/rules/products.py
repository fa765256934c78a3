"""Linear layers and matrix products: what is summed over is dropped on both sides."""

from collections.abc import Callable

import torch
from torch.fx import Node

from ...ir.op_kinds import Kind, kind_of
from ...ir.program import node_spec
from ..atoms import HEAD_DIM, HEADS
from ..flow import Flow
from ..join import join_batches
from ..labels import Block, Labels
from ..registry import couples
from .reductions import SOFTMAXES

_ATEN = torch.ops.aten
_BETWEEN = (Kind.ELEMENTWISE, Kind.VIEW, Kind.MOVE)


@couples(_ATEN.linear.default)
def linear(flow: Flow, node: Node, x: Node, weight: Node, bias: Node | None) -> Labels:
    """Weight [out, in] or [in]; bias [out]."""
    labels, matrix = flow.decided(flow.of(x), -1), flow.apart(weight)
    flow.sum_over(labels, -1, matrix, -1)
    flow.use(weight, -1, "in")
    rows = labels.part(range(len(labels.shape) - 1))
    if len(matrix.shape) == 1:
        return rows.vanishing(False)
    flow.use(weight, 0, "out")
    vanishes = matrix.vanishes(0)
    if bias is not None:
        flow.unite(matrix, 0, flow.apart(bias), 0)
        flow.use(bias, 0, "scale")
        vanishes = vanishes and flow.apart(bias).vanishes(0)
        rows = rows.vanishing(False)
    last = Block((len(rows.shape),), matrix.atoms(0), vanishes)
    return Labels(node_spec(node).shape, (*rows.blocks, last))


@couples(_ATEN.matmul.default, _ATEN.mm.default, _ATEN.bmm.default, _ATEN.mv.default)
def matmul(flow: Flow, node: Node, x: Node, y: Node) -> Labels:
    """[..., m, k] @ [..., k, n]; a vector has no m, or no n."""
    left, right = flow.of(x), flow.of(y)
    has_m, has_n = len(left.shape) > 1, len(right.shape) > 1
    for dim in (-1, -2)[: 1 + has_m]:
        left = flow.decided(left, dim)
    for dim in (-1, -2)[: 1 + has_n]:
        right = flow.decided(right, dim)
    inner = -2 if has_n else -1
    flow.sum_over(left, -1, right, inner)
    shape = node_spec(node).shape
    batch = join_batches(flow, (left, right), shape[: len(shape) - has_m - has_n])
    blocks = list(batch)
    if has_m:
        dim = len(shape) - 1 - has_n
        blocks.append(Block((dim,), left.atoms(-2), left.vanishes(-2)))
    if has_n:
        blocks.append(Block((len(shape) - 1,), right.atoms(-1), right.vanishes(-1)))
    _note(flow, x, y, has_m, has_n)
    result = Labels(shape, tuple(blocks))
    if _meets_softmax(node, _readers) or _meets_softmax(node, _operands):
        _mark(flow, (left, right), batch)
    return result


def _note(flow: Flow, x: Node, y: Node, has_m: bool, has_n: bool) -> None:
    """A weight on the right is [in, out], one on the left [out, in]."""
    flow.use(x, -1, "in")
    flow.use(y, -2 if has_n else -1, "in")
    if has_m:
        flow.use(x, -2, "out")
    if has_n:
        flow.use(y, -1, "out")


def _mark(flow: Flow, matrices: tuple[Labels, Labels], batch: list[Block]) -> None:
    for block in batch:
        flow.atoms.mark(block.atoms, HEADS)
    for matrix in matrices:
        for dim in (-1, -2)[: len(matrix.shape)]:
            flow.atoms.mark(matrix.atoms(dim), HEAD_DIM)


def _readers(node: Node) -> list[Node]:
    return list(node.users)


def _operands(node: Node) -> list[Node]:
    return node.all_input_nodes


def _meets_softmax(node: Node, neighbors: Callable[[Node], list[Node]]) -> bool:
    """Whether elementwise operators and moves alone are between a product and a softmax."""
    seen, open_ends = {node}, neighbors(node)
    while open_ends:
        other = open_ends.pop()
        if other.target in SOFTMAXES:
            return True
        if other not in seen and kind_of(other) in _BETWEEN:
            seen.add(other)
            open_ends += neighbors(other)
    return False
