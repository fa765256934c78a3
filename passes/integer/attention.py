"""Attention of quantized queries, keys and values as one integer operator."""

import math

import torch
from torch.fx import Node

from ...compiler.ir.program import Program, node_spec
from ...compiler.ir.rewrite import arguments_of, insert_call, shape_of
from ...compiler.quantization import ops as ops
from ...compiler.quantization.attention import (
    LEAST_BIAS,
    MOST_FEATURES,
    MOST_KEYS,
    AttentionPlan,
)
from .values import NOT_QUANTIZED, Target, add_constant, quantized

_ATEN = torch.ops.aten
_PENJING = torch.ops.penjing
_GREATEST_BIAS = 2**28


def attention(program: Program, target: Target) -> Node | str:
    """Attention of quantized queries, keys and values, as attention_int8; masks may be real."""
    arguments = arguments_of(target.root)
    names = ("query", "key", "value")
    found = [x for name in names if (x := quantized(arguments[name])) is not None]
    if len(found) < len(names):
        return NOT_QUANTIZED
    *batches, _, features = shape_of(found[0].node)
    if target.factor <= 0:
        return "an attention times a negative number"
    keys = shape_of(found[1].node)[-2]
    if keys > MOST_KEYS or features > MOST_FEATURES:
        return f"more than {MOST_KEYS} keys or {MOST_FEATURES} features may not fit 32 bits"
    ranges = found[0].range, found[1].range, found[2].range
    scale = arguments["scale"] or 1 / math.sqrt(features)
    if scale < 0:
        return "scores times a negative number"
    nodes = [found[0].node, *(_for_all_heads(target, x.node, batches) for x in found[1:])]
    plan = AttentionPlan.of(ranges, scale, target.range, keys, target.factor)
    mask = arguments["attn_mask"]
    bias = None if mask is None else _bias(target, mask, plan.bias_step)
    return insert_call(
        target.quantize,
        _PENJING.attention_int8.default,
        *nodes,
        bias,
        add_constant(program, target.root, "exponentials", plan.table),
        arguments["is_causal"],
        *(part.zero_point for part in ranges),
        *plan.constants,
        *target.bounds,
    )


def _for_all_heads(target: Target, x: Node, batches: list[int]) -> Node:
    """Keys or values with the batch axes of the queries; groups of heads share theirs."""
    shape = shape_of(x)
    if list(shape[:-2]) == batches:
        return x
    *others, heads = batches
    own = shape[-3]
    grouped = insert_call(target.quantize, _ATEN.reshape.default, x, [*shape[:-2], 1, *shape[-2:]])
    whole = [*others, own, heads // own, *shape[-2:]]
    repeated = insert_call(target.quantize, _ATEN.expand.default, grouped, whole)
    return insert_call(target.quantize, _ATEN.reshape.default, repeated, [*batches, *shape[-2:]])


def _bias(target: Target, mask: Node, step: float) -> Node:
    """A mask in steps of the scores, int32: what is masked is further down than any score."""
    before, cast = target.quantize, _ATEN._to_copy.default
    if node_spec(mask).dtype == "bool":
        seen = insert_call(before, cast, mask, dtype=torch.int32)
        below = insert_call(before, _ATEN.sub.Tensor, seen, 1)
        return insert_call(before, _ATEN.mul.Tensor, below, -LEAST_BIAS)
    steps = insert_call(before, _ATEN.mul.Tensor, mask, 1 / step)
    inside = insert_call(before, _ATEN.clamp.default, steps, LEAST_BIAS, _GREATEST_BIAS)
    return insert_call(
        before, cast, insert_call(before, _ATEN.round.default, inside), dtype=torch.int32
    )


ATTENTIONS = {_ATEN.scaled_dot_product_attention.default: attention}
