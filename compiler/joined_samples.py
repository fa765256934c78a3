"""Which operators give for samples joined on dimension 0 what they give for each of them."""

from collections.abc import Collection

import torch
from torch.fx import Node

from .ir.op_kinds import Kind, kind_of
from .ir.rewrite import arguments_of, shape_of

_ATEN = torch.ops.aten
_DECOMPOSED = torch.ops.quantized_decomposed
# Layers of one image: rank of the images that dimension 0 is the batch of.
_IMAGE_LAYERS = {
    **dict.fromkeys((_ATEN.conv1d, _ATEN.conv_transpose1d), 3),
    **dict.fromkeys((_ATEN.conv2d, _ATEN.conv_transpose2d), 4),
    **dict.fromkeys((_ATEN.conv3d, _ATEN.conv_transpose3d), 5),
    **dict.fromkeys((_ATEN.avg_pool1d, _ATEN.max_pool1d, _ATEN.adaptive_avg_pool1d), 3),
    **dict.fromkeys((_ATEN.avg_pool2d, _ATEN.max_pool2d, _ATEN.adaptive_avg_pool2d), 4),
    **dict.fromkeys((_ATEN.upsample_nearest2d, _ATEN.upsample_bilinear2d), 4),
}
_ROWS = torch.ops.penjing.quantize_rows
# They read and write rows, the elements on the last axis, each on its own.
_BY_ROW = {
    _DECOMPOSED.choose_qparams_per_token,
    _DECOMPOSED.choose_qparams_per_token_asymmetric,
    _DECOMPOSED.quantize_per_token,
    _DECOMPOSED.dequantize_per_token,
    torch.ops.penjing.linear_int8_rows,
    torch.ops.penjing.linear_int4_rows,
}


def acts_on_each_sample(node: Node, batched: Collection[Node]) -> bool:
    """Whether `node` may read `batched` operands with their samples joined on dimension 0.

    The other tensor operands are the same for every sample. False where that is not known.
    """
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return False
    shapes = {source: shape_of(source) for source in node.all_input_nodes}
    shared = [shape for source, shape in shapes.items() if source not in batched]
    own = [shapes[source] for source in batched]
    packet, rank = target.overloadpacket, len(own[0])
    if packet in _BY_ROW or (packet is _ROWS and arguments_of(node)["axes"] < rank):
        return rank >= 2 and all(shape[:1] == own[0][:1] for shape in own)
    if not isinstance(node.meta["val"], torch.Tensor):
        return False
    if kind_of(node) is Kind.ELEMENTWISE:
        is_like_result = all(shape == shape_of(node) for shape in own) and rank > 0
        return is_like_result and all(_broadcasts(shape, rank) for shape in shared)
    if packet is _ATEN.scaled_dot_product_attention:
        same = all(len(shape) == 4 and shape[0] == own[0][0] for shape in own)
        return same and len(own) >= 3 and all(_broadcasts(shape, 4) for shape in shared)
    if packet is _ATEN.matmul and len(own) == 2:
        return rank >= 3 and len(own[1]) == rank and own[0][0] == own[1][0]
    if len(own) != 1:
        return False
    if packet is _ATEN.embedding:
        return batched == [arguments_of(node)["indices"]] and rank >= 1
    if not isinstance(node.args[0], Node) or node.args[0] not in batched:
        return False
    if packet is _ATEN.linear:
        return rank >= 2
    if packet in (_ATEN.layer_norm, _ATEN.rms_norm):
        return rank > len(arguments_of(node)["normalized_shape"])
    return _IMAGE_LAYERS.get(packet) == rank


def _broadcasts(shape: tuple[int, ...], rank: int) -> bool:
    """Whether an operand has no dimension 0 of its own beside operands of that rank."""
    return len(shape) < rank or (len(shape) == rank and shape[0] == 1)
