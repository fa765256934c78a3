"""Attention written out as products, a softmax and what is between them, as one operator."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch.fx import Node

from ..compiler.ir.program import Program, node_spec
from ..compiler.ir.rewrite import insert_call, replace_by, shape_of, weight_of
from ..compiler.pass_base import Pass

_ATEN = torch.ops.aten
_ATTENTION = _ATEN.scaled_dot_product_attention.default
_MATMUL = _ATEN.matmul.default
_SOFTMAX = _ATEN.softmax.int
_MUL = _ATEN.mul.Tensor
_ADD = _ATEN.add.Tensor
_WHERE = _ATEN.where.self
_ISNAN = _ATEN.isnan.default
_LOWEST = -1e9  # a finite mask from here on leaves nothing of a score it is added to


class FuseAttention(Pass):
    """softmax(scale * q k^T + mask) v -> scaled_dot_product_attention(q, k, v, mask).

    The scale is a number that multiplies the scores, the queries or the keys; the mask is added, or
    chosen by `where` with -inf or a number below -1e9. The weights may be guarded against NaN.

    Needs: canonical operators.
    Keeps: values within 1e-5 of the largest (the order of summation is the kernel's); a row whose
    mask is -inf everywhere becomes 0, which is NaN in PyTorch.
    Skips: scores or weights that something else also reads, and operands whose batches broadcast.
    """

    name = "fuse-attention"
    contract = "tolerance"

    def run(self, program: Program) -> int:
        return sum(_fuse(program, node) for node in list(program.graph.nodes))


@dataclass
class _Scores:
    """What is found on the way from the softmax up to the product of queries and keys."""

    scale: float = 1.0
    masked: Node | None = None  # the node that applies the mask


def _fuse(program: Program, node: Node) -> int:
    softmax = _softmax(program, node.args[0]) if node.target is _MATMUL else None
    if softmax is None:
        return 0
    value = node.args[1]
    assert isinstance(value, Node)
    scores, axis = softmax.args[:2]
    rank = len(shape_of(softmax))
    if len(softmax.args) > 2 or softmax.kwargs or axis % rank != rank - 1:  # type: ignore[operator]
        return 0
    found = _Scores()
    product = _product(program, scores, found)
    if product is None:
        return 0
    query, transposed = product.args
    assert isinstance(query, Node) and isinstance(transposed, Node)
    if not _are_alike(query, transposed, value) or node_spec(node).dtype[:5] != "float":
        return 0
    if (scaled := _scaled(query)) is not None and len(query.users) == 1:
        query, factor = scaled
        found.scale *= factor
    if (scaled := _scaled(transposed)) is not None and len(transposed.users) == 1:
        transposed, factor = scaled
        found.scale *= factor
    axes = [*range(rank - 2), rank - 1, rank - 2]
    key = insert_call(node, _ATEN.permute.default, transposed, axes)
    mask = None if found.masked is None else _mask(program, node, found.masked)
    result = insert_call(node, _ATTENTION, query, key, value, mask, scale=found.scale)
    replace_by(node, result)
    return 1


def _softmax(program: Program, weights: Any) -> Node | None:
    """The softmax that gives the weights, also from behind `where` that makes 0 of NaN."""
    if _is_inner(weights, _SOFTMAX):
        return weights
    if not _is_inner(weights, _WHERE):
        return None
    is_nan, zero, softmax = weights.args
    number = weight_of(program, zero)
    if not _is_inner(is_nan, _ISNAN) or number is None or bool(number.any()):
        return None
    readers = {is_nan, weights}
    if not isinstance(softmax, Node) or softmax.target is not _SOFTMAX:
        return None
    is_whole = is_nan.args[0] is softmax and set(softmax.users) == readers
    return softmax if is_whole else None


def _product(program: Program, scores: Any, found: _Scores) -> Node | None:
    """The product of queries and keys that the scores are made of; fills `found`."""
    if _is_inner(scores, _ADD) and not scores.kwargs:
        left, right = scores.args
        if _is_mask(right, scores):
            found.masked, scores = scores, left
        elif _is_mask(left, scores):
            found.masked, scores = scores, right
    elif _is_inner(scores, _WHERE) and (chosen := _masked_by_choice(program, scores)) is not None:
        found.masked, scores = scores, chosen
    if _is_inner(scores, _MUL) and (scaled := _scaled(scores)) is not None:
        scores, factor = scaled
        found.scale *= factor
    return scores if _is_inner(scores, _MATMUL) else None


def _mask(program: Program, node: Node, masked: Node) -> Node:
    """The mask as an operand of the attention, rows and columns its last axes."""
    if masked.target is _ADD:
        left, right = masked.args
        mask = right if _is_mask(right, masked) else left
        assert isinstance(mask, Node)
        return mask
    condition, yes, no = masked.args
    is_out = _lowest(program, yes) is not None  # the condition holds where a score is masked
    number = yes if is_out else no
    assert isinstance(condition, Node) and isinstance(number, Node)
    if _lowest(program, number) == -math.inf:
        return insert_call(node, _ATEN.logical_not.default, condition) if is_out else condition
    dtype = node_spec(node).torch_dtype
    zero = program.add_weight(torch.zeros((), dtype=dtype), name="zero", like=number)
    choice = (number, zero) if is_out else (zero, number)
    return insert_call(node, _WHERE, condition, *choice)


def _masked_by_choice(program: Program, node: Node) -> Node | None:
    """The scores among the operands of a `where` whose other one is a number to mask with."""
    condition, yes, no = node.args
    if not isinstance(condition, Node) or len(shape_of(condition)) < 2:
        return None
    if _lowest(program, yes) is not None and isinstance(no, Node):
        return no
    if _lowest(program, no) is not None and isinstance(yes, Node):
        return yes
    return None


def _lowest(program: Program, value: Any) -> float | None:
    """The number that a constant has everywhere, if it is one to mask with."""
    tensor = weight_of(program, value)
    if tensor is None or not tensor.is_floating_point() or tensor.numel() != 1:
        return None
    number = float(tensor)
    return number if number <= _LOWEST else None


def _scaled(node: Node) -> tuple[Node, float] | None:
    """The tensor and the number that a product multiplies."""
    if node.target is not _MUL or not isinstance(node.args[0], Node):
        return None
    factor = node.args[1]
    return (node.args[0], float(factor)) if isinstance(factor, int | float) else None


def _is_mask(value: Any, total: Node) -> bool:
    """Whether a value can be a mask that is added: it broadcasts, and is no score itself."""
    if not isinstance(value, Node) or len(shape_of(value)) < 2:
        return False
    is_score = any(node.target is _MATMUL for node in _upwards(value))
    return not is_score and node_spec(value).dtype == node_spec(total).dtype


def _upwards(node: Node) -> Iterator[Node]:
    """The node and, through products with numbers, what it is computed from."""
    yield node
    if (scaled := _scaled(node)) is not None:
        yield from _upwards(scaled[0])


def _are_alike(query: Node, transposed: Node, value: Node) -> bool:
    """Whether the operands have the same batches, and at least one batch axis."""
    q, k, v = shape_of(query), shape_of(transposed), shape_of(value)
    return len(q) > 2 and len(k) > 2 and q[:-2] == k[:-2] == v[:-2]


def _is_inner(value: Any, target: Any) -> TypeGuard[Node]:
    """Whether a value is a call of an operator that one node reads."""
    return isinstance(value, Node) and value.target is target and len(value.users) == 1
