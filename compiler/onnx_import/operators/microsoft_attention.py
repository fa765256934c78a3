"""Attention as onnxruntime's optimizer writes it, projections and masks included."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..call import Call
from ..registry import MICROSOFT, onnx_op
from .attention import Heads, Masks, attended, scale_of, split_heads
from .quantized import Steps, from_integers

_MASKED = -10000.0  # what is added to scores of keys that are not seen, unless the node says


@dataclass(frozen=True)
class _Inputs:
    """Numbers of the inputs that both kinds of attention have; -1 for none."""

    mask: int
    bias: int = -1
    past: int = -1
    past_length: int = -1


@onnx_op("Attention", domain=MICROSOFT)
def attention(call: Call) -> tuple[Tensor, ...]:
    projected = torch.matmul(call.tensor(0), call.tensor(1))
    projected = projected + call.tensor(2) if call.has(2) else projected
    return _self_attention(call, projected, _Inputs(3, 5, 4, 6))


@onnx_op("QAttention", domain=MICROSOFT)
def quantized_attention(call: Call) -> tuple[Tensor, ...]:
    x = from_integers(call.tensor(0), Steps(call, 3, 6))
    weight = from_integers(call.tensor(1), Steps(call, 4, 7, axis=1), is_weight=call.is_known(1))
    return _self_attention(call, torch.matmul(x, weight) + call.tensor(2), _Inputs(5, -1, 8))


def _self_attention(call: Call, projected: Tensor, inputs: _Inputs) -> tuple[Tensor, ...]:
    """Attention of queries, keys and values that lie side by side in [N, L, features]."""
    if call.attribute("do_rotary", 0) or call.attribute("past_present_share_buffer", 0):
        raise call.refused("attributes do_rotary or past_present_share_buffer")
    if _given(call, inputs.past_length):
        raise call.refused("a past with room for what follows")
    third = projected.shape[-1] // 3
    sizes = list(call.attribute("qkv_hidden_sizes", [third] * 3))
    count = call.needed("num_heads")
    heads = Heads(*(split_heads(part, count) for part in projected.split(sizes, -1)))
    present = None
    if _given(call, inputs.past):
        past = call.tensor(inputs.past)
        heads = _longer(heads, past[0], past[1])
    if call.output_count > 1:
        present = torch.stack([heads.keys, heads.values])
    result = _attend(call, heads, inputs)
    return (result,) if present is None else (result, present)


@onnx_op("MultiHeadAttention", domain=MICROSOFT)
def multi_head_attention(call: Call) -> tuple[Tensor | None, ...]:
    if call.has(8) or call.has(9) or any(call.outputs_wanted[3:]):
        raise call.refused("a past with room for what follows, beams or scores")
    heads = _multiple_heads(call, call.needed("num_heads"))
    if call.has(6):
        heads = _longer(heads, call.tensor(6), call.tensor(7))
    result = _attend(call, heads, _Inputs(4, 5))
    return (result, heads.keys, heads.values)[: call.output_count]


def _multiple_heads(call: Call, count: int) -> Heads:
    """Queries, keys and values, which may come in one tensor."""
    query, biases = call.tensor(0), call.optional(3)
    if query.dim() == 5:
        parts = [part.flatten(2) for part in query.unbind(3)]
    elif call.has(1) and call.tensor(1).dim() == 5:
        parts = [query, *(part.flatten(2) for part in call.tensor(1).unbind(3))]
    else:
        parts = [query, call.tensor(1), call.tensor(2)]
    if biases is not None:
        sizes = [_features(part) for part in parts]
        given = biases.split(sizes)
        parts = [
            part + bias if part.dim() == 3 else part + bias.reshape(1, count, 1, -1)
            for part, bias in zip(parts, given, strict=True)
        ]
    return Heads(*(part if part.dim() == 4 else split_heads(part, count) for part in parts))


def _features(part: Tensor) -> int:
    return part.shape[-1] if part.dim() == 3 else part.shape[1] * part.shape[3]


def _longer(heads: Heads, keys: Tensor, values: Tensor) -> Heads:
    """With what was seen before in front."""
    joined = torch.cat([keys, heads.keys], 2), torch.cat([values, heads.values], 2)
    return Heads(heads.queries, *joined)


def _given(call: Call, index: int) -> bool:
    return index >= 0 and call.has(index)


def _attend(call: Call, heads: Heads, inputs: _Inputs) -> Tensor:
    """The result [N, L, features]."""
    steps, keys = heads.queries.shape[2], heads.keys.shape[2]
    bias = call.tensor(inputs.bias) if _given(call, inputs.bias) else None
    if _given(call, inputs.mask):
        added = _mask(call, call.tensor(inputs.mask), heads)
        bias = added if bias is None else bias + added
    seen = None
    if call.attribute("unidirectional", 0):
        places = torch.arange(steps).reshape(-1, 1) + (keys - steps)
        seen = torch.arange(keys) <= places
    result = attended(heads, Masks(seen, bias), scale_of(call, heads.queries))
    return result.transpose(1, 2).flatten(2)


def _mask(call: Call, mask: Tensor, heads: Heads) -> Tensor:
    """What a mask in one of its forms adds to scores [N, H, L, S]."""
    batch, keys = heads.queries.shape[0], heads.keys.shape[2]
    if mask.dim() == 1 and mask.numel() == batch:  # lengths
        seen = torch.arange(keys) < mask.reshape(-1, 1)
    elif mask.dim() == 1 and mask.numel() == 2 * batch:  # ends and starts
        end, start = mask.reshape(2, batch, 1)
        places = torch.arange(keys)
        seen = (places < end) & (places >= start)
    elif mask.dim() in (2, 3) and mask.shape[-1] == keys:
        seen = mask > 0
    else:
        raise call.refused(f"a mask of {list(mask.shape)} for {keys} keys")
    seen = seen[:, None, None] if seen.dim() == 2 else seen[:, None]
    zero = torch.zeros((), dtype=heads.queries.dtype)
    value = call.attribute("mask_filter_value", _MASKED)
    return torch.where(seen, zero, torch.full_like(zero, value))
