"""Products of matrices, linear layers and attention."""

import math
from collections.abc import Sequence

import torch

from ..emitter import Emitter, Number, Value
from ..registry import emits

_ATEN = torch.ops.aten


@emits(_ATEN.linear)
def linear(emit: Emitter, x: Value, weight: Value, bias: Value | None) -> Value:
    """Gemm for rows of features, else a product with the turned weight, which runtimes fold."""
    if len(x.shape) == 2 and len(weight.shape) == 2 and emit.dtype.is_floating_point:
        return emit("Gemm", x, weight, bias, transB=1)
    turned = emit.transpose(weight, list(range(len(weight.shape)))[::-1])
    product = emit("MatMul", x, turned)
    return product if bias is None else emit("Add", product, bias)


@emits(_ATEN.matmul, _ATEN.mm, _ATEN.bmm, _ATEN.dot, _ATEN.mv)
def matmul(emit: Emitter, x: Value, y: Value) -> Value:
    return emit("MatMul", x, y)


@emits(_ATEN.addmm, _ATEN.baddbmm, _ATEN.addmv)
def addmm(emit: Emitter, added: Value, x: Value, y: Value, beta: Number, alpha: Number) -> Value:
    product, scaled = emit("MatMul", x, y), added
    if alpha != 1:
        product = emit("Mul", product, emit.scalar(alpha, emit.dtype))
    if beta != 1:
        scaled = emit("Mul", added, emit.scalar(beta, emit.dtype))
    return emit("Add", product, scaled)


@emits(_ATEN._trilinear)
def trilinear(
    emit: Emitter,
    x: Value,
    weight: Value,
    y: Value,
    new_in_x: Sequence[int],
    new_in_weight: Sequence[int],
    new_in_y: Sequence[int],
    summed: Sequence[int],
    unroll_dim: int,
) -> Value:
    """The sum of the products of three tensors that get new axes of size 1 first."""
    factors = []
    for value, places in ((x, new_in_x), (weight, new_in_weight), (y, new_in_y)):
        sizes = iter(value.shape)
        rank = len(value.shape) + len(places)
        shape = [1 if axis in places else next(sizes) for axis in range(rank)]
        factors.append(emit.reshape(value, shape))
    product = emit("Mul", emit("Mul", factors[0], factors[1]), factors[2])
    return emit.reduce("ReduceSum", product, summed)


@emits(_ATEN.scaled_dot_product_attention)
def attention(
    emit: Emitter,
    query: Value,
    key: Value,
    value: Value,
    mask: Value | None,
    dropout: float,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> Value:
    """softmax(scale * query key^T + mask) value; query [..., L, E], key [..., S, E]."""
    heads = query.shape[-3] if len(query.shape) > 2 else 1
    if enable_gqa:
        key, value = (_repeated_heads(emit, each, heads) for each in (key, value))
    rank = len(key.shape)
    turned = emit.transpose(key, [*range(rank - 2), rank - 1, rank - 2])
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = emit("MatMul", emit("Mul", query, emit.scalar(factor, emit.dtype)), turned)
    if is_causal:
        sizes = query.shape[-2], key.shape[-2]
        earlier = torch.ones(sizes, dtype=torch.bool).tril()
        scores = _masked(emit, scores, emit.constant(earlier))
    if mask is not None:
        is_choice = mask.dtype == torch.bool
        scores = _masked(emit, scores, mask) if is_choice else emit("Add", scores, mask)
    result = emit("MatMul", emit("Softmax", scores, axis=-1), value)
    if mask is None or mask.dtype != torch.bool:
        return result
    # PyTorch: rows that see nothing are 0, not the NaN of an empty softmax.
    seen = emit.reduce("ReduceMax", emit.to(mask, torch.uint8), [len(mask.shape) - 1], True)
    return emit("Where", emit.to(seen, torch.bool), result, emit.scalar(0, emit.dtype))


def _masked(emit: Emitter, scores: Value, seen: Value) -> Value:
    return emit("Where", seen, scores, emit.scalar(-math.inf, emit.dtype))


def _repeated_heads(emit: Emitter, x: Value, heads: int) -> Value:
    """Each head of [..., H, S, E] as often as there are queries for it."""
    *batch, own, rows, features = x.shape
    if own == heads:
        return x
    apart = emit.reshape(x, (*batch, own, 1, rows, features))
    wide = emit("Expand", apart, emit.ints((*batch, own, heads // own, rows, features)))
    shape = (*batch, heads, rows, features)
    assert x.spec is not None
    return Value(emit.reshape(wide, shape).name, type(x.spec)(shape, x.spec.dtype))
