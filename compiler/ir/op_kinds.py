"""What each operator does to its operands: the one table that fusion decides by."""

from enum import Enum

import torch
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
from torch._ops import OpOverload, OpOverloadPacket
from torch.fx import Node

from .. import exact as exact  # registers penjing
from ..quantization import dynamic as dynamic
from ..quantization import ops as ops
from ..quantization import packed_weights as packed_weights

_ATEN = torch.ops.aten
_PENJING = torch.ops.penjing
_DECOMPOSED = torch.ops.quantized_decomposed


class Kind(Enum):
    """How the elements of a result depend on the elements of the operands."""

    VIEW = "view"  # the same bytes under another shape; the planner makes it an alias
    ELEMENTWISE = "elementwise"  # one element from one of each operand, with broadcasting
    MOVE = "move"  # one element from one other place of the only tensor operand
    GATHER = "gather"  # one element from a place that an index operand names
    REDUCE = "reduce"  # rows are reduced, or normalized by what they are reduced to
    ANCHOR = "anchor"  # many operations per element: products, convolutions, pools, resampling
    OPAQUE = "opaque"  # everything else


_VIEWS = {
    _ATEN.reshape,
    _ATEN.view,
    _ATEN._unsafe_view,
    _ATEN.flatten,
    _ATEN.unflatten,
    _ATEN.squeeze,
    _ATEN.unsqueeze,
    _ATEN.alias,
    _ATEN.detach,
}
# Elementwise without PyTorch's tag for it.
_ELEMENTWISE = {
    _ATEN._to_copy,
    _ATEN.hardswish,
    _ATEN.masked_fill,
    _ATEN.where,
    _ATEN.prelu,
    _ATEN.log_sigmoid,
    _DECOMPOSED.quantize_per_tensor,
    _DECOMPOSED.dequantize_per_tensor,
    _DECOMPOSED.dequantize_per_channel,
}
_MOVES = {
    _ATEN.permute,
    _ATEN.transpose,
    _ATEN.t,
    _ATEN.slice,
    _ATEN.select,
    _ATEN.flip,
    _ATEN.channel_shuffle,
    _ATEN.native_channel_shuffle,
    _ATEN.pixel_shuffle,
    _ATEN.pixel_unshuffle,
}
_GATHERS = {_ATEN.embedding, _ATEN.index_select}
NORMALIZATIONS = {
    _ATEN.softmax,
    _ATEN.log_softmax,
    _ATEN.layer_norm,
    _ATEN.rms_norm,
    _ATEN.group_norm,
}
_REDUCTIONS = {
    *NORMALIZATIONS,
    _ATEN.sum,
    _ATEN.mean,
    _ATEN.amax,
    _ATEN.amin,
    _ATEN.argmax,
    _ATEN.argmin,
    _ATEN.any,
    _ATEN.prod,
    _ATEN.linalg_vector_norm,
    _ATEN.var,
    _PENJING.mean_int8,
    _PENJING.softmax_int8,
    _PENJING.normalize_int8,
    _PENJING.exact_layer_norm,
    _PENJING.exact_mean,
    _PENJING.exact_rms_norm,
    _PENJING.exact_softmax,
}
CONVOLUTIONS = {
    _ATEN.conv1d,
    _ATEN.conv2d,
    _ATEN.conv3d,
    _ATEN.conv_transpose1d,
    _ATEN.conv_transpose2d,
    _ATEN.conv_transpose3d,
}
POOLS = {
    _ATEN.avg_pool1d,
    _ATEN.avg_pool2d,
    _ATEN.avg_pool3d,
    _ATEN.max_pool1d,
    _ATEN.max_pool2d,
    _ATEN.max_pool3d,
    _ATEN.adaptive_avg_pool1d,
    _ATEN.adaptive_avg_pool2d,
    _ATEN.adaptive_avg_pool3d,
}
NEAREST = {_ATEN.upsample_nearest1d, _ATEN.upsample_nearest2d, _ATEN.upsample_nearest3d}
_ANCHORS = {
    *CONVOLUTIONS,
    *POOLS,
    *NEAREST,
    _ATEN.linear,
    _ATEN.matmul,
    _ATEN.scaled_dot_product_attention,
    _ATEN.upsample_linear1d,
    _ATEN.upsample_bilinear2d,
    _ATEN.upsample_trilinear3d,
    _ATEN.upsample_bicubic2d,
    _PENJING.conv_int8,
    _PENJING.conv_int8_to_float,
    _PENJING.linear_int8,
    _PENJING.linear_int8_to_float,
    _PENJING.conv_int8_images,
    _PENJING.linear_int8_rows,
    _PENJING.linear_int4_rows,
    _PENJING.matmul_int8,
    _PENJING.attention_int8,
    _PENJING.avg_pool_int8,
}
_PACKETS: dict[OpOverloadPacket, Kind] = {
    **dict.fromkeys(_VIEWS, Kind.VIEW),
    **dict.fromkeys(_ELEMENTWISE, Kind.ELEMENTWISE),
    **dict.fromkeys(_MOVES, Kind.MOVE),
    **dict.fromkeys(_GATHERS, Kind.GATHER),
    **dict.fromkeys(_REDUCTIONS, Kind.REDUCE),
    **dict.fromkeys(_ANCHORS, Kind.ANCHOR),
}
# A few instructions per vector: computing one again costs less than a pass through memory.
_CHEAP = {
    _ATEN.abs,
    _ATEN.add,
    _ATEN.bitwise_and,
    _ATEN.bitwise_not,
    _ATEN.bitwise_or,
    _ATEN.clamp,
    _ATEN.eq,
    _ATEN.ge,
    _ATEN.gt,
    _ATEN.hardsigmoid,
    _ATEN.hardswish,
    _ATEN.hardtanh,
    _ATEN.le,
    _ATEN.leaky_relu,
    _ATEN.logical_and,
    _ATEN.logical_not,
    _ATEN.logical_or,
    _ATEN.lt,
    _ATEN.masked_fill,
    _ATEN.maximum,
    _ATEN.minimum,
    _ATEN.mul,
    _ATEN.ne,
    _ATEN.neg,
    _ATEN.relu,
    _ATEN.sub,
    _ATEN.where,
    _ATEN._to_copy,
    _PENJING.add_int8,
    _PENJING.affine_int8,
    _PENJING.exact_product,
    _PENJING.rescale_int8,
    _PENJING.mul_int8,
    _PENJING.signed_int8,
    _PENJING.unsigned_int8,
    _DECOMPOSED.dequantize_per_tensor,
}


def kind_of(node: Node) -> Kind:
    """What the operator of a call does; OPAQUE for several results and for other nodes."""
    if not isinstance(node.target, OpOverload) or not isinstance(node.meta["val"], torch.Tensor):
        return Kind.OPAQUE
    known = _PACKETS.get(node.target.overloadpacket)
    if known is None and torch.Tag.pointwise in node.target.tags:
        return Kind.ELEMENTWISE
    return known or Kind.OPAQUE


def is_cheap(node: Node) -> bool:
    """Whether an elementwise operation is worth computing more than once."""
    return isinstance(node.target, OpOverload) and node.target.overloadpacket in _CHEAP
