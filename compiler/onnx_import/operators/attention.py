"""Attention over keys, its masks and caches."""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional

from ..call import Call
from ..element_types import TORCH_DTYPES
from ..registry import onnx_op

_RAW, _CAPPED, _BIASED, _PROBABILITIES = range(4)  # of attribute qk_matmul_output_mode


@dataclass(frozen=True)
class Heads:
    """Queries [N, H, L, E], keys [N, G, S, E] and values [N, G, S, V]; G divides H."""

    queries: Tensor
    keys: Tensor
    values: Tensor

    def repeated(self) -> "Heads":
        """With as many heads of keys and values as of queries."""
        repeats = self.queries.shape[1] // self.keys.shape[1]
        if repeats == 1:
            return self
        keys, values = (value.repeat_interleave(repeats, 1) for value in (self.keys, self.values))
        return Heads(self.queries, keys, values)


@dataclass(frozen=True)
class Masks:
    """What is added to scores [N, H, L, S]; both broadcast, either may be None.

    Args:
        seen: bool, which keys are seen.
        bias: Real numbers.
    """

    seen: Tensor | None = None
    bias: Tensor | None = None

    def also(self, seen: Tensor | None) -> "Masks":
        """With keys that are seen only where `seen` says so as well."""
        if seen is None:
            return self
        return Masks(seen if self.seen is None else self.seen & seen, self.bias)

    def joined(self, like: Tensor) -> Tensor | None:
        """As one tensor: bool, or real numbers with -inf where keys are not seen."""
        if self.bias is None or self.seen is None:
            return self.seen if self.bias is None else self.bias.to(like.dtype)
        least = torch.full((), -float("inf"), dtype=like.dtype)
        return torch.where(self.seen, self.bias.to(like.dtype), least)


@onnx_op("Attention")
def attention(call: Call) -> tuple[Tensor | None, ...]:
    is_flat = call.tensor(0).dim() == 3
    heads = _heads(call, is_flat)
    past = 0
    if call.has(4) or call.has(5):
        past = call.tensor(4).shape[2]
        keys = torch.cat([call.tensor(4), heads.keys], 2)
        heads = Heads(heads.queries, keys, torch.cat([call.tensor(5), heads.values], 2))
    if heads.queries.shape[1] % heads.keys.shape[1]:
        raise call.refused(
            f"{heads.queries.shape[1]} heads of queries and {heads.keys.shape[1]} of keys"
        )
    masks = _masks(call, heads, past)
    result, scores = _attend(call, heads, masks)
    result = result.transpose(1, 2).flatten(2) if is_flat else result
    return (result, heads.keys, heads.values, scores)[: call.output_count]


def _heads(call: Call, is_flat: bool) -> Heads:
    q, k, v = (call.tensor(index) for index in range(3))
    if not is_flat:
        return Heads(q, k, v)
    counts = call.needed("q_num_heads"), call.needed("kv_num_heads")
    return Heads(split_heads(q, counts[0]), split_heads(k, counts[1]), split_heads(v, counts[1]))


def split_heads(x: Tensor, count: int) -> Tensor:
    """[N, L, H * E] as [N, H, L, E]."""
    return x.reshape(*x.shape[:2], count, -1).transpose(1, 2)


def _masks(call: Call, heads: Heads, past: int) -> Masks:
    """All masks but a causal one that PyTorch's attention knows."""
    steps, keys = heads.queries.shape[2], heads.keys.shape[2]
    given, masks = call.optional(3), Masks()
    if given is not None:
        is_bool, missing = given.dtype is torch.bool, keys - given.shape[-1]
        if missing > 0:
            given = functional.pad(given, [0, missing], value=False if is_bool else -float("inf"))
        masks = Masks(seen=given) if is_bool else Masks(bias=given)
    lengths = call.optional(6)
    places = torch.arange(steps).reshape(-1, 1) + past
    if lengths is not None:
        lengths = lengths.reshape(-1, 1, 1, 1)
        masks = masks.also(torch.arange(keys) < lengths)
        places = places + (lengths - steps)
    distance = places - torch.arange(keys)
    left, right = (call.attribute(f"{side}_window_size", -1) for side in ("left", "right"))
    masks = masks.also(distance <= left if left >= 0 else None)
    masks = masks.also(-distance <= right if right >= 0 else None)
    return masks.also(distance >= 0 if call.attribute("is_causal", 0) else None)


def _attend(call: Call, heads: Heads, masks: Masks) -> tuple[Tensor, Tensor | None]:
    """The result [N, H, L, V], and the scores that are wanted."""
    scale, cap = scale_of(call, heads.queries), call.attribute("softcap", 0.0)
    dtype = heads.queries.dtype
    precision = TORCH_DTYPES[call.attribute("softmax_precision", 1)]
    wants_scores = len(call.outputs_wanted) > 3 and call.outputs_wanted[3]
    is_usual = "softmax_precision" not in call.attributes or precision is dtype
    if not cap and not wants_scores and is_usual:
        return attended(heads, masks, scale), None
    heads = heads.repeated()
    raw = torch.matmul(heads.queries * sqrt(scale), heads.keys.transpose(2, 3) * sqrt(scale))
    capped = torch.tanh(raw / cap) * cap if cap else raw
    biased, is_blind = _biased(capped, masks)
    exact = biased if is_usual else biased.to(precision)
    probabilities = torch.softmax(exact, -1).to(dtype)
    if is_blind is not None:
        probabilities = torch.where(is_blind, torch.zeros_like(probabilities), probabilities)
    stages = {_RAW: raw, _CAPPED: capped, _BIASED: biased, _PROBABILITIES: probabilities}
    mode = call.attribute("qk_matmul_output_mode", _RAW)
    if mode not in stages:
        raise call.refused(f"attribute qk_matmul_output_mode is {mode}")
    return torch.matmul(probabilities, heads.values), stages[mode] if wants_scores else None


def scale_of(call: Call, queries: Tensor) -> float:
    """What scores are multiplied by, 1 / sqrt(features) unless the node says otherwise."""
    usual = 1 / sqrt(queries.shape[-1])
    return call.attribute("scale", usual) or usual


def _biased(scores: Tensor, masks: Masks) -> tuple[Tensor, Tensor | None]:
    """Scores with what masks add, and which rows see no key; None if all do."""
    added = masks.joined(scores)
    if added is None:
        return scores, None
    if added.dtype is torch.bool:
        zero = torch.zeros((), dtype=scores.dtype)
        added = torch.where(added, zero, torch.full_like(zero, -float("inf")))
    return scores + added, added.amax(-1, keepdim=True) == -float("inf")


def attended(heads: Heads, masks: Masks, scale: float) -> Tensor:
    """PyTorch's attention; rows that see no key give 0."""
    return functional.scaled_dot_product_attention(
        heads.queries,
        heads.keys,
        heads.values,
        masks.joined(heads.queries),
        scale=scale,
        enable_gqa=heads.queries.shape[1] != heads.keys.shape[1],
    )


@onnx_op("RotaryEmbedding")
def rotary_embedding(call: Call) -> Tensor:
    x, cosines, sines = (call.tensor(index) for index in range(3))
    is_flat, places = x.dim() == 3, call.optional(3)
    x = split_heads(x, call.needed("num_heads")) if is_flat else x
    if places is not None:
        cosines, sines = cosines[places], sines[places]
    width = call.attribute("rotary_embedding_dim", 0) or x.shape[-1]
    result = rotated(x, cosines, sines, width, bool(call.attribute("interleaved", 0)))
    return result.transpose(1, 2).flatten(2) if is_flat else result


def rotated(x: Tensor, cosines: Tensor, sines: Tensor, width: int, is_mixed: bool) -> Tensor:
    """Pairs of the first `width` features of [N, H, L, E] turned by angles [N, L, width / 2].

    Pairs are neighbors if `is_mixed`, else `width` / 2 apart (Su et al. 2021).
    """
    turned, rest = x[..., :width], x[..., width:]
    cosines, sines = cosines.unsqueeze(1), sines.unsqueeze(1)
    if is_mixed:
        first, second = turned[..., 0::2], turned[..., 1::2]
    else:
        first, second = turned.chunk(2, -1)
    pair = [cosines * first - sines * second, sines * first + cosines * second]
    turned = torch.stack(pair, -1).flatten(-2) if is_mixed else torch.cat(pair, -1)
    return torch.cat([turned, rest], -1) if rest.shape[-1] else turned
