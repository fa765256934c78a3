"""Layers of language models that carry a state from one call to the next."""

from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional

from ..call import Call
from ..registry import onnx_op
from .attention import split_heads

_MOST_STEPS = 1000


@onnx_op("CausalConvWithState")
def causal_conv_with_state(call: Call) -> tuple[Tensor, Tensor]:
    x, weight, bias = call.tensor(0), call.tensor(1), call.optional(2)
    kept, name = weight.shape[-1] - 1, call.attribute("activation", "none")
    if name not in ("none", "silu", "swish"):
        raise call.refused(f"attribute activation is {name!r}")
    longer = torch.cat([call.tensor(3), x], -1) if call.has(3) else functional.pad(x, [kept, 0])
    result = functional.conv1d(longer, weight, bias, groups=x.shape[1])
    result = result if name == "none" else functional.silu(result)
    return result, longer[..., longer.shape[-1] - kept :]


@onnx_op("LinearAttention")
def linear_attention(call: Call) -> tuple[Tensor, Tensor]:
    """The state S of each head becomes decay S + k (v - what S gives for k); results are q S."""
    rule = call.attribute("update_rule", "gated_delta")
    if rule not in ("linear", "gated", "delta", "gated_delta"):
        raise call.refused(f"attribute update_rule is {rule!r}")
    inner = call.needed("kv_num_heads")
    repeats = call.needed("q_num_heads") // inner
    q = split_heads(call.tensor(0), repeats * inner)
    k, v = (split_heads(call.tensor(index), inner) for index in (1, 2))
    steps = q.shape[2]
    if steps > _MOST_STEPS:
        raise call.refused(f"{steps} steps")
    decay = split_heads(call.tensor(4), inner).exp() if "gated" in rule else None
    rate = split_heads(call.tensor(5), call.tensor(5).shape[-1]) if "delta" in rule else None
    state = call.optional(3)
    if state is None:
        state = torch.zeros(*k.shape[:2], k.shape[-1], v.shape[-1], dtype=v.dtype)
    results = []
    for step in range(steps):
        key, value = k[:, :, step, :, None], v[:, :, step, None]
        state = state if decay is None else state * decay[:, :, step, :, None]
        if rate is not None:
            value = rate[:, :, step, :, None] * (value - torch.matmul(key.transpose(2, 3), state))
        state = state + key * value
        seen = state.repeat_interleave(repeats, 1) if repeats > 1 else state
        results.append(torch.matmul(q[:, :, step, None], seen))
    scale = call.attribute("scale", 0.0) or 1 / sqrt(q.shape[-1])
    joined = torch.cat(results, 2) * scale
    return joined.transpose(1, 2).flatten(2), state
