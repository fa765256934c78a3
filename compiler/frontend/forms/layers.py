"""Normal forms of layers: one convolution per rank, one norm of each kind, no unused statistics."""

from typing import Any

import torch
from torch.fx import Node

from .emitter import Emitter
from .registry import normalizes
from .views import shape_of, slice_of

_ATEN = torch.ops.aten


_CONVOLUTIONS = {
    (1, False): _ATEN.conv1d.default,
    (2, False): _ATEN.conv2d.default,
    (3, False): _ATEN.conv3d.default,
    (1, True): _ATEN.conv_transpose1d.default,
    (2, True): _ATEN.conv_transpose2d.input,
    (3, True): _ATEN.conv_transpose3d.input,
}


@normalizes(_ATEN.convolution.default)
def convolution(
    emit: Emitter,
    x: Node,
    weight: Node,
    bias: Node | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
) -> Node:
    """conv1d/2d/3d or conv_transpose1d/2d/3d."""
    op = _CONVOLUTIONS[len(shape_of(weight)) - 2, transposed]
    rest = (output_padding, groups, dilation) if transposed else (dilation, groups)
    return emit(op, x, weight, bias, stride, padding, *rest)


@normalizes(_ATEN.conv1d.padding, _ATEN.conv2d.padding, _ATEN.conv3d.padding)
def conv_named_padding(
    emit: Emitter,
    x: Node,
    weight: Node,
    bias: Node | None = None,
    stride: Any = 1,
    padding: str = "valid",
    dilation: Any = 1,
    groups: int = 1,
) -> Node:
    """Padding in numbers; what is needed on one side only is padded apart."""
    kernel = shape_of(weight)[2:]
    stride, dilation = ([v] * len(kernel) if isinstance(v, int) else v for v in (stride, dilation))
    total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, kernel, strict=True)]
    extra = [side for t in reversed(total) for side in (0, t % 2)]
    if any(extra):
        x = emit(_ATEN.pad.default, x, extra)
    op = _CONVOLUTIONS[len(kernel), False]
    return emit(op, x, weight, bias, stride, [t // 2 for t in total], dilation, groups)


@normalizes(_ATEN._native_batch_norm_legit_no_training.default)
def batch_norm(
    emit: Emitter,
    x: Node,
    weight: Node | None,
    bias: Node | None,
    mean: Node,
    variance: Node,
    momentum: float,
    eps: float,
) -> list[Any]:
    """batch_norm with the running statistics."""
    args = (x, weight, bias, mean, variance, False, momentum, eps, False)
    return [emit(_ATEN.batch_norm.default, *args), None, None]


@normalizes(_ATEN.instance_norm.default)
def instance_norm(
    emit: Emitter,
    x: Node,
    weight: Node | None,
    bias: Node | None,
    mean: Node | None,
    variance: Node | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Node:
    """group_norm with a group per channel, or batch_norm where running statistics are used."""
    if use_input_stats:
        node: Node = emit(_ATEN.group_norm.default, x, shape_of(x)[1], weight, bias, eps)
    else:
        args = (x, weight, bias, mean, variance, False, momentum, eps, False)
        node = emit(_ATEN.batch_norm.default, *args)
    return node


@normalizes(_ATEN.native_layer_norm.default)
def layer_norm(
    emit: Emitter, x: Node, shape: list[int], weight: Node | None, bias: Node | None, eps: float
) -> list[Any]:
    """layer_norm; the statistics that the native form also gives are not kept."""
    return [emit(_ATEN.layer_norm.default, x, shape, weight, bias, eps), None, None]


@normalizes(_ATEN.native_group_norm.default)
def group_norm(
    emit: Emitter,
    x: Node,
    weight: Node | None,
    bias: Node | None,
    batch: int,
    channels: int,
    pixels: int,
    groups: int,
    eps: float,
) -> list[Any]:
    """group_norm; the statistics that the native form also gives are not kept."""
    return [emit(_ATEN.group_norm.default, x, groups, weight, bias, eps), None, None]


@normalizes(_ATEN._softmax.default)
def softmax(emit: Emitter, x: Node, dim: int, half_to_float: bool) -> Node:
    """The public softmax."""
    return emit(_ATEN.softmax.int, x, dim)


@normalizes(_ATEN._log_softmax.default)
def log_softmax(emit: Emitter, x: Node, dim: int, half_to_float: bool) -> Node:
    """The public log_softmax."""
    return emit(_ATEN.log_softmax.int, x, dim)


@normalizes(_ATEN._adaptive_avg_pool2d.default)
def adaptive_avg_pool2d(emit: Emitter, x: Node, size: list[int]) -> Node:
    """The public adaptive_avg_pool2d."""
    return emit(_ATEN.adaptive_avg_pool2d.default, x, size)


@normalizes(_ATEN.rrelu_with_noise_functional.default)
def rrelu(
    emit: Emitter,
    x: Node,
    noise: Node,
    lower: float = 0.125,
    upper: float = 1 / 3,
    training: bool = False,
    generator: None = None,
) -> Any:
    """leaky_relu with the mean slope, unless the slopes are drawn."""
    if training:
        op = _ATEN.rrelu_with_noise_functional.default
        return emit(op, x, noise, lower, upper, training, generator)
    return [emit(_ATEN.leaky_relu.default, x, (lower + upper) / 2), noise]


@normalizes(_ATEN.max_pool2d_with_indices.default)
def max_pool2d(emit: Emitter, x: Node, *window: Any) -> Any:
    """The pool that gives values alone, unless something reads the indices."""
    assert emit.traced is not None
    if all(user.args[1] == 0 for user in emit.traced.users):
        return [emit(_ATEN.max_pool2d.default, x, *window)]
    return emit(_ATEN.max_pool2d_with_indices.default, x, *window)


@normalizes(_ATEN._scaled_dot_product_flash_attention_for_cpu.default)
def attention(
    emit: Emitter,
    query: Node,
    key: Node,
    value: Node,
    dropout: float = 0.0,
    is_causal: bool = False,
    *,
    attn_mask: Node | None = None,
    scale: float | None = None,
) -> list[Node]:
    """The public attention; the statistics that the native form also gives are not kept."""
    operands = (query, key, value, attn_mask, dropout, is_causal)
    return [emit(_ATEN.scaled_dot_product_attention.default, *operands, scale=scale)]


@normalizes(_ATEN.constant_pad_nd.default)
def constant_pad(emit: Emitter, x: Node, pad: list[int], value: float = 0) -> Node:
    """The public pad."""
    return padded(emit, x, pad, "constant", value)


@normalizes(_ATEN.pad.default)
def padded(
    emit: Emitter, x: Node, pad: list[int], mode: str = "constant", value: float | None = None
) -> Node:
    """Pad by amounts >= 0; negative ones crop first, and nothing is left where all are 0."""
    if mode == "constant":
        rank = len(shape_of(x))
        for index, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
            dim, size = rank - 1 - index, shape_of(x)[rank - 1 - index]
            x = slice_of(emit, x, dim, max(0, -before), size - max(0, -after))
        pad = [max(0, amount) for amount in pad]
    if not any(pad):
        return x
    if mode != "circular":
        return emit(_ATEN.pad.default, x, pad, mode, value)
    return _circular(emit, x, pad)


def _circular(emit: Emitter, x: Node, pad: list[int]) -> Node:
    """Join the end of each dimension before it and its start after it."""
    rank = len(shape_of(x))
    for index, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        dim, size = rank - 1 - index, shape_of(x)[rank - 1 - index]
        ends = [
            slice_of(emit, x, dim, size - before, size) if before > 0 else None,
            slice_of(emit, x, dim, max(0, -before), size - max(0, -after)),
            slice_of(emit, x, dim, 0, after) if after > 0 else None,
        ]
        x = emit(_ATEN.cat.default, [part for part in ends if part is not None], dim)
    return x
