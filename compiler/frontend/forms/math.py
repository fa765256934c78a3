"""Normal forms of arithmetic: one matrix product, counting and grouping by comparison."""

import torch
from torch.fx import Node

from ...ir.program import node_spec
from .emitter import Emitter
from .registry import normalizes, normalizes_named
from .views import reshaped, shape_of

_ATEN = torch.ops.aten


@normalizes(_ATEN.mm.default, _ATEN.bmm.default, _ATEN.mv.default, _ATEN.dot.default)
def matmul(emit: Emitter, x: Node, y: Node) -> Node:
    """One operator for products of any rank; linear where `y` is a transposed weight."""
    weight = _transposed_weight(y)
    if weight is not None:
        return emit(_ATEN.linear.default, x, weight)
    return emit(_ATEN.matmul.default, x, y)


@normalizes(_ATEN.addmm.default, _ATEN.baddbmm.default, _ATEN.addmv.default)
def add_matmul(
    emit: Emitter, bias: Node, x: Node, y: Node, *, beta: float = 1, alpha: float = 1
) -> Node:
    """Add in the open: beta * bias + alpha * matmul(x, y); linear where `y` is its weight."""
    weight = _transposed_weight(y)
    if weight is not None and alpha == beta == 1 and shape_of(bias) == shape_of(weight)[:1]:
        return emit(_ATEN.linear.default, x, weight, bias)
    product = matmul(emit, x, y)
    if alpha != 1:
        product = emit(_ATEN.mul.Tensor, product, alpha)
    if beta != 1:
        bias = emit(_ATEN.mul.Tensor, bias, beta)
    return emit(_ATEN.add.Tensor, product, bias)


def _transposed_weight(y: Node) -> Node | None:
    if y.target is not _ATEN.permute.default or len(shape_of(y)) != 2:
        return None
    source = y.args[0]
    return source if isinstance(source, Node) and source.op == "get_attr" else None


@normalizes(_ATEN.histc.default)
def histogram(emit: Emitter, x: Node, bins: int = 100, low: float = 0, high: float = 0) -> Node:
    """Count by comparison with the numbers of the bins; bounds taken from the data stay whole."""
    if low == high:
        return emit(_ATEN.histc.default, x, bins, low, high)
    flat = reshaped(emit, x, (1, torch.Size(shape_of(x)).numel()))
    scaled = emit(_ATEN.mul.Tensor, emit(_ATEN.sub.Tensor, flat, low), bins / (high - low))
    number = emit(_ATEN.clamp.default, emit(_ATEN.floor.default, scaled), None, bins - 1)
    bin_numbers = emit(_ATEN.arange.default, bins, dtype=node_spec(x).torch_dtype)
    is_member = emit(_ATEN.eq.Tensor, number, reshaped(emit, bin_numbers, (bins, 1)))
    is_inside = emit(_ATEN.le.Scalar, flat, high)  # below `low`, bin numbers are negative
    counted = emit(_ATEN.bitwise_and.Tensor, is_member, is_inside)
    as_numbers = emit(_ATEN._to_copy.default, counted, dtype=node_spec(x).torch_dtype)
    return emit(_ATEN.sum.dim_IntList, as_numbers, [1])


@normalizes(_ATEN._grouped_mm.default)
@normalizes_named("transformers::grouped_mm_fallback")
def grouped_matmul(
    emit: Emitter,
    x: Node,
    weights: Node,
    ends: Node | None = None,
    bias: Node | None = None,
    dtype: torch.dtype | None = None,
) -> Node:
    """Rows of `x` [S,K] times the one of `weights` [G,K,N] whose group they are in.

    Group g holds the rows from ends[g - 1] to ends[g]. Every group multiplies all rows, and its
    own rows are kept: static, G times the work.
    """
    if ends is None or bias is not None or len(shape_of(x)) != 2 or len(shape_of(weights)) != 3:
        return emit(_ATEN._grouped_mm.default, x, weights, ends, bias, dtype)
    (rows, _), groups = shape_of(x), shape_of(weights)[0]
    row = emit(_ATEN.arange.default, rows, dtype=node_spec(ends).torch_dtype)
    column = reshaped(emit, ends, (groups, 1))
    is_before_end = emit(_ATEN.lt.Tensor, reshaped(emit, row, (1, rows)), column)
    earlier = emit(_ATEN.slice.Tensor, is_before_end, 0, 0, groups - 1)
    none = emit(_ATEN.full.default, [1, rows], False, dtype=torch.bool)
    is_earlier = emit(_ATEN.cat.default, [none, earlier]) if groups > 1 else none
    is_member = emit(_ATEN.gt.Tensor, is_before_end, is_earlier)
    products = emit(_ATEN.matmul.default, reshaped(emit, x, (1, *shape_of(x))), weights)
    kept = reshaped(emit, is_member, (groups, rows, 1))
    zero = emit(_ATEN.full.default, [], 0.0, dtype=node_spec(products).torch_dtype)
    return emit(_ATEN.sum.dim_IntList, emit(_ATEN.where.self, kept, products, zero), [0])
