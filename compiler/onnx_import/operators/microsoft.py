"""Operators of onnxruntime's own domain, which its optimizer makes of several standard ones."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from ...quantization import packed_weights as packed_weights  # registers dequantize_groups
from ..call import Call
from ..registry import MICROSOFT, Translation, onnx_op
from .attention import rotated, split_heads
from .convolution import convolved
from .normalization import normalized, root_mean_square
from .pooling import max_pool
from .products import gemm

_MOST_BITS = 8


def microsoft(*names: str) -> Callable[[Translation], Translation]:
    """Register a translation in the domain "com.microsoft"."""
    return onnx_op(*names, domain=MICROSOFT)


@microsoft("Gelu")
def gelu(call: Call) -> Tensor:
    return functional.gelu(call.tensor(0))


@microsoft("BiasGelu")
def bias_gelu(call: Call) -> Tensor:
    return functional.gelu(call.tensor(0) + call.tensor(1))


@microsoft("FastGelu")
def fast_gelu(call: Call) -> Tensor:
    x = call.tensor(0) + call.tensor(1) if call.has(1) else call.tensor(0)
    return functional.gelu(x, approximate="tanh")


@microsoft("QuickGelu")
def quick_gelu(call: Call) -> Tensor:
    x = call.tensor(0)
    return x * torch.sigmoid(x * call.attribute("alpha", 1.702))


@microsoft("BiasSplitGelu")
def bias_split_gelu(call: Call) -> Tensor:
    left, right = (call.tensor(0) + call.tensor(1)).chunk(2, -1)
    return left * functional.gelu(right)


@microsoft("BiasAdd")
def bias_add(call: Call) -> Tensor:
    return call.tensor(0) + call.tensor(1) + call.tensor(2)


@microsoft("BiasSoftmax")
def bias_softmax(call: Call) -> Tensor:
    x, axis = call.tensor(0), call.attribute("axis", 1)
    total = x + call.tensor(1)
    if total.shape != x.shape or not -x.dim() <= axis < x.dim():
        raise call.refused(f"a bias of {list(call.tensor(1).shape)} for {list(x.shape)}")
    return torch.softmax(total.flatten(axis), -1).reshape(x.shape)


@microsoft("ExpandDims")
def expand_dims(call: Call) -> Tensor:
    return call.tensor(0).unsqueeze(call.known_ints(1, "its axis")[0])


@microsoft("FusedMatMul", "TransposeMatMul")
def fused_matmul(call: Call) -> Tensor:
    left, right = (_operand(call, index) for index in range(2))
    alpha = call.attribute("alpha", 1.0)
    product = torch.matmul(left, right)
    return product if alpha == 1 else product * alpha


def _operand(call: Call, index: int) -> Tensor:
    x, side = call.tensor(index), "AB"[index]
    if x.dim() < 2:
        return x
    x = x.movedim(0, -2) if call.attribute(f"transBatch{side}", 0) else x
    return x.transpose(-1, -2) if call.attribute(f"trans{side}", 0) else x


@microsoft("FusedMatMulActivation")
def fused_matmul_activation(call: Call) -> Tensor:
    parameters = [call.attribute(f"activation_{name}", 0.0) for name in ("alpha", "beta")]
    return _activated(call, fused_matmul(call), parameters)


@microsoft("FusedGemm")
def fused_gemm(call: Call) -> Tensor:
    parameters = [call.attribute(f"activation_{name}", 0.0) for name in ("alpha", "beta")]
    return _activated(call, gemm(call), parameters)


@microsoft("GemmFastGelu")
def gemm_fast_gelu(call: Call) -> Tensor:
    product = torch.matmul(call.tensor(0), call.tensor(1))
    product = product + call.tensor(2) if call.has(2) else product
    return functional.gelu(product, approximate="tanh")


@microsoft("FusedConv")
def fused_conv(call: Call) -> Tensor:
    result = convolved(call, call.tensor(0), call.tensor(1), call.optional(2))
    result = result + call.tensor(3) if call.has(3) else result
    return _activated(call, result, call.attribute("activation_params", [0.0] * 0))


def _activated(call: Call, x: Tensor, parameters: list[float]) -> Tensor:
    """What the attribute `activation` makes of a result."""
    name = call.attribute("activation", "")
    first, second = [*parameters, 0.0, 0.0][:2]
    known: dict[str, Callable[[Tensor], Tensor]] = {
        "": lambda x: x,
        "Relu": torch.relu,
        "Tanh": torch.tanh,
        "Sigmoid": torch.sigmoid,
        "LeakyRelu": lambda x: functional.leaky_relu(x, first),
        "Clip": lambda x: x.clamp(first, second),
        "HardSigmoid": lambda x: (first * x + second).clamp(0, 1),
    }
    if name not in known:
        raise call.refused(f"the activation {name}")
    return known[name](x)


@microsoft("SkipLayerNormalization")
def skip_layer_normalization(call: Call) -> tuple[Tensor | None, ...]:
    total = _summed(call, call.optional(4))
    result = normalized(call, total, -1, call.tensor(2), call.optional(3))
    return _norm_results(call, result, total)


@microsoft("SkipSimplifiedLayerNormalization")
def skip_simplified_layer_normalization(call: Call) -> tuple[Tensor | None, ...]:
    total = _summed(call, call.optional(3))
    return _norm_results(call, root_mean_square(call, total, call.tensor(2), -1), total)


def _summed(call: Call, bias: Tensor | None) -> Tensor:
    """The bias first: it belongs to the layer before."""
    x = call.tensor(0) if bias is None else call.tensor(0) + bias
    return x + call.tensor(1)


def _norm_results(call: Call, result: Tensor, total: Tensor) -> tuple[Tensor | None, ...]:
    if any(call.outputs_wanted[1:3]):
        raise call.refused("statistics of the norm are wanted, which training alone needs")
    return (result, None, None, total)[: call.output_count]


@onnx_op("SimplifiedLayerNormalization")  # onnxruntime writes it into the standard domain
@microsoft("SimplifiedLayerNormalization")
def simplified_layer_normalization(call: Call) -> Tensor | tuple[Tensor, ...]:
    x, axis = call.tensor(0), call.attribute("axis", -1)
    result = root_mean_square(call, x, call.tensor(1), axis)
    if sum(call.outputs_wanted) == 1:
        return result
    axes = list(range(axis % x.dim(), x.dim()))
    mean = (x * x).mean(axes, keepdim=True)
    return result, (mean + call.attribute("epsilon", 1e-5)).rsqrt()


@microsoft("EmbedLayerNormalization")
def embed_layer_normalization(call: Call) -> tuple[Tensor | None, ...]:
    words, places = call.tensor(0), call.optional(8)
    table = call.tensor(3)
    position = table[: words.shape[1]] if places is None else functional.embedding(places, table)
    total = functional.embedding(words, call.tensor(2)) + position
    if call.has(1) and call.has(4):
        total = total + functional.embedding(call.tensor(1), call.tensor(4))
    epsilon = call.attribute("epsilon", 1e-12)
    result = functional.layer_norm(total, total.shape[-1:], call.tensor(5), call.tensor(6), epsilon)
    mask = call.optional(7)
    if mask is None:
        lengths = torch.zeros(words.shape[0], dtype=torch.int32)
    else:
        lengths = mask.sum(1, dtype=torch.int32)
    return (result, lengths, total)[: call.output_count]


@microsoft("GroupNorm")
def group_norm(call: Call) -> Tensor:
    return _group_norm(call, call.tensor(0))


@microsoft("SkipGroupNorm")
def skip_group_norm(call: Call) -> tuple[Tensor, ...]:
    x, skip = call.tensor(0), call.tensor(3)
    is_last = bool(call.attribute("channels_last", 1))
    if skip.dim() == 2:
        skip = skip[:, None, None] if is_last else skip[:, :, None, None]
    total = x + skip
    if call.has(4):
        total = total + (call.tensor(4) if is_last else call.tensor(4).reshape(-1, 1, 1))
    return (_group_norm(call, total), total)[: call.output_count]


def _group_norm(call: Call, x: Tensor) -> Tensor:
    is_last = bool(call.attribute("channels_last", 1))
    images = x.movedim(-1, 1) if is_last else x
    given = call.tensor(1), call.tensor(2), call.attribute("epsilon", 1e-5)
    result = functional.group_norm(images, call.needed("groups"), *given)
    result = functional.silu(result) if call.attribute("activation", 0) else result
    return result.movedim(1, -1) if is_last else result


@microsoft("NhwcMaxPool")
def nhwc_max_pool(call: Call) -> Tensor:
    given = call.value(0)
    images = replace(given, tensor=call.tensor(0).movedim(-1, 1), known=None)
    result = max_pool(replace(call, inputs=[images], output_count=1, outputs_wanted=(True,)))
    assert isinstance(result, Tensor)
    return result.movedim(1, -1)


@microsoft("RotaryEmbedding")
def rotary_embedding(call: Call) -> Tensor:
    x, places, cosines, sines = (call.tensor(index) for index in range(4))
    is_flat = x.dim() == 3
    width = call.attribute("rotary_embedding_dim", 0) or 2 * cosines.shape[-1]
    if is_flat:
        x = split_heads(x, call.attribute("num_heads", 0) or x.shape[-1] // width)
    if places.dim() == 1:  # that of the first token
        places = (places + torch.arange(x.shape[2])).unsqueeze(0)
    result = rotated(
        x, cosines[places], sines[places], width, bool(call.attribute("interleaved", 0))
    )
    return result.transpose(1, 2).flatten(2) if is_flat else result


@microsoft("MatMulNBits")
def matmul_n_bits(call: Call) -> Tensor:
    """A weight [N, K] of a few bits, the first ones in the low bits of a byte, in blocks of K."""
    bits, size = call.attribute("bits", 4), call.needed("block_size")
    outputs, inputs = call.needed("N"), call.needed("K")
    if _MOST_BITS % bits or call.attribute("weight_prepacked", 0) or call.has(4):
        raise call.refused(f"{bits} bits, packed weights or group_idx")
    blocks = -(-inputs // size)
    if bits == 4 and not call.has(3) and blocks * size == inputs:  # as penjing packs them
        packed, steps = call.tensor(1).reshape(outputs, -1), call.tensor(2).reshape(outputs, -1)
        weight = torch.ops.penjing.dequantize_groups(packed, steps)
        return functional.linear(call.tensor(0), weight, call.optional(5))
    integers = _unpacked(call.tensor(1).reshape(outputs, blocks, -1), bits).to(torch.float32)
    scales = call.tensor(2).reshape(outputs, blocks, 1)
    if not call.has(3):
        zeros: Tensor | int = 1 << (bits - 1)
    elif call.tensor(3).dtype is torch.uint8:
        zeros = _unpacked(call.tensor(3).reshape(outputs, -1), bits)[:, :blocks, None].float()
    else:
        zeros = call.tensor(3).reshape(outputs, blocks, 1)
    weight = ((integers - zeros) * scales).flatten(1)[:, :inputs]
    return functional.linear(call.tensor(0), weight, call.optional(5))


def _unpacked(packed: Tensor, bits: int) -> Tensor:
    """Numbers of a few bits out of the last axis of bytes."""
    parts = [(packed >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)]
    return torch.stack(parts, -1).flatten(-2)
