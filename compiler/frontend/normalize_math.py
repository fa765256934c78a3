"""Normal forms of arithmetic: one matmul, one convolution per rank, one norm of each kind."""

from typing import Any

import torch
from torch.fx import Node

from .emitter import Emitter
from .normalize import RULES as RULES
from .normalize import normalizes, reshaped, shape_of

_ATEN = torch.ops.aten


@normalizes(_ATEN.mm.default, _ATEN.bmm.default, _ATEN.mv.default, _ATEN.dot.default)
def matmul(emit: Emitter, x: Node, y: Node) -> Node:
    """One operator for products of any rank."""
    return emit(_ATEN.matmul.default, x, y)


@normalizes(_ATEN.addmm.default, _ATEN.baddbmm.default, _ATEN.addmv.default)
def add_matmul(
    emit: Emitter, bias: Node, x: Node, y: Node, *, beta: float = 1, alpha: float = 1
) -> Node:
    """Add in the open: beta * bias + alpha * matmul(x, y)."""
    product: Node = emit(_ATEN.matmul.default, x, y)
    if alpha != 1:
        product = emit(_ATEN.mul.Tensor, product, alpha)
    if beta != 1:
        bias = emit(_ATEN.mul.Tensor, bias, beta)
    return emit(_ATEN.add.Tensor, product, bias)


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


@normalizes(_ATEN.roll.default)
def roll(emit: Emitter, x: Node, shifts: Any, dims: Any = ()) -> Node:
    """Join the two ends, for each dimension in turn."""
    shifts, dims = ([v] if isinstance(v, int) else list(v) for v in (shifts, dims))
    if not dims:
        flat = roll(emit, reshaped(emit, x, (torch.Size(shape_of(x)).numel(),)), shifts, [0])
        return reshaped(emit, flat, shape_of(x))
    for shift, dim in zip(shifts, dims, strict=True):
        dim %= len(shape_of(x))
        size = shape_of(x)[dim]
        cut = size - shift % size if size else 0
        if cut < size:
            ends = [
                emit(_ATEN.slice.Tensor, x, dim, cut, size),
                emit(_ATEN.slice.Tensor, x, dim, 0, cut),
            ]
            x = emit(_ATEN.cat.default, ends, dim)
    return x
