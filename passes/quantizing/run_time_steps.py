"""Nodes of PyTorch's vocabulary that choose steps when a program runs, and round in them."""

import operator

import torch
from torch.fx import Node

from ...compiler.ir.program import origin_of
from ...compiler.ir.rewrite import insert_call
from ..integer.values import DECOMPOSED

CHOOSE_BY_TOKEN = DECOMPOSED.choose_qparams_per_token.default
CHOOSE_LIMITS_BY_TOKEN = DECOMPOSED.choose_qparams_per_token_asymmetric.default
CHOOSE = DECOMPOSED.choose_qparams_symmetric.tensor
CHOOSE_LIMITS = DECOMPOSED.choose_qparams.tensor
QUANTIZE_TOKENS = DECOMPOSED.quantize_per_token.default
DEQUANTIZE_TOKENS = DECOMPOSED.dequantize_per_token.default
QUANTIZE_WHOLE = DECOMPOSED.quantize_per_tensor.tensor
DEQUANTIZE_WHOLE = DECOMPOSED.dequantize_per_tensor.tensor
LEAST_STEP = float(torch.finfo(torch.float32).eps)  # PyTorch's for tokens
_DTYPE = torch.int8


def round_by_token(before: Node, value: Node, *, symmetric: bool) -> Node:
    """New nodes in front of `before`: each row of a value, rounded in steps of its own."""
    choose = CHOOSE_BY_TOKEN if symmetric else CHOOSE_LIMITS_BY_TOKEN
    limits = (-127 if symmetric else -128, 127)
    step, zero_point = _parts(before, insert_call(before, choose, value, _DTYPE), value)
    integers = insert_call(before, QUANTIZE_TOKENS, value, step, zero_point, *limits, _DTYPE)
    real = insert_call(
        before, DEQUANTIZE_TOKENS, integers, step, zero_point, *limits, _DTYPE, torch.float32
    )
    integers.meta["origin"] = real.meta["origin"] = origin_of(value)
    return real


def round_whole(before: Node, value: Node, *, symmetric: bool) -> Node:
    """New nodes in front of `before`: a value rounded in steps of all of its elements."""
    choose = CHOOSE if symmetric else CHOOSE_LIMITS
    limits = (-127 if symmetric else -128, 127)
    chosen = insert_call(before, choose, value, *limits, LEAST_STEP, _DTYPE)
    step, zero_point = _parts(before, chosen, value)
    integers = insert_call(before, QUANTIZE_WHOLE, value, step, zero_point, *limits, _DTYPE)
    real = insert_call(before, DEQUANTIZE_WHOLE, integers, step, zero_point, *limits, _DTYPE)
    integers.meta["origin"] = real.meta["origin"] = origin_of(value)
    return real


def _parts(before: Node, pair: Node, value: Node) -> tuple[Node, Node]:
    """The two results of a node."""
    step, zero_point = (insert_call(before, operator.getitem, pair, index) for index in (0, 1))
    for node in (pair, step, zero_point):
        node.meta["origin"] = origin_of(value)
    return step, zero_point
