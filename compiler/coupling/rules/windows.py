"""Pooling, resampling and padding: channels go through, positions in space stay."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.fx import Node

from ...ir.program import node_specs
from ...ir.tensor_spec import TensorSpec
from ..flow import Flow, Value
from ..labels import Block, Labels
from ..registry import couples

_ATEN = torch.ops.aten
_SPATIAL = "it is a position in space"
_PADDED = "it is padded"

# How many of the last dimensions are positions.
_SPATIAL_RANKS = {
    **dict.fromkeys(
        (
            *(_ATEN.max_pool1d.default, _ATEN.avg_pool1d.default),
            *(_ATEN.adaptive_avg_pool1d.default, _ATEN.adaptive_max_pool1d.default),
            *(_ATEN.upsample_nearest1d.vec, _ATEN.upsample_linear1d.vec),
        ),
        1,
    ),
    **dict.fromkeys(
        (
            *(_ATEN.max_pool2d.default, _ATEN.max_pool2d_with_indices.default),
            *(_ATEN.avg_pool2d.default, _ATEN.grid_sampler_2d.default),
            *(_ATEN.adaptive_avg_pool2d.default, _ATEN._adaptive_avg_pool2d.default),
            _ATEN.adaptive_max_pool2d.default,
            *(_ATEN.upsample_nearest2d.vec, _ATEN.upsample_bilinear2d.vec),
            *(_ATEN.upsample_bicubic2d.vec, _ATEN.grid_sampler.default),
        ),
        2,
    ),
    **dict.fromkeys(
        (
            *(_ATEN.max_pool3d.default, _ATEN.max_pool3d_with_indices.default),
            *(_ATEN.avg_pool3d.default, _ATEN.grid_sampler_3d.default),
            *(_ATEN.adaptive_avg_pool3d.default, _ATEN._adaptive_avg_pool3d.default),
            *(_ATEN.adaptive_max_pool3d.default, _ATEN.upsample_nearest3d.vec),
            _ATEN.upsample_trilinear3d.vec,
        ),
        3,
    ),
}


@couples(*_SPATIAL_RANKS)
def window(flow: Flow, node: Node, x: Node, *others: object) -> Value:
    """Every position depends on several; zeros give 0."""
    specs = node_specs(node)
    first = specs if isinstance(specs, TensorSpec) else specs[0]
    assert first is not None, node
    for other in others:
        if isinstance(other, Node):
            flow.lock_all(flow.of(other), "it says where to look")
    assert isinstance(node.target, torch._ops.OpOverload), node
    rank = len(first.shape)
    spatial = range(rank - _SPATIAL_RANKS[node.target], rank)
    labels = flow.of(x)
    for dim in spatial:
        labels = flow.lock_dim(labels, dim, _SPATIAL)
    blocks = [block for block in labels.blocks if block.dims[0] not in spatial]
    blocks += [flow.fixed_block(dim, first.shape[dim], _SPATIAL) for dim in spatial]
    result = Labels(first.shape, tuple(blocks))
    return result if isinstance(specs, TensorSpec) else (result, result.vanishing(False))


@couples(_ATEN.pad.default, _ATEN.constant_pad_nd.default)
def pad(
    flow: Flow,
    node: Node,
    x: Node,
    amounts: Sequence[int],
    mode: str | float = "constant",
    value: float | None = None,
) -> Labels:
    """Constants around a dimension stay, what is inside may go; other paddings keep it whole."""
    labels, rank = flow.of(x), len(flow.of(x).shape)
    is_constant = not isinstance(mode, str) or mode == "constant"
    fill = mode if not isinstance(mode, str) else value
    for place, (before, after) in enumerate(zip(amounts[::2], amounts[1::2], strict=True)):
        if before or after:
            labels = _padded(flow, labels, rank - 1 - place, before, after, is_constant)
    return labels if is_constant and not fill else labels.vanishing(False)


def _padded(
    flow: Flow, labels: Labels, dim: int, before: int, after: int, is_constant: bool
) -> Labels:
    if min(before, after) < 0 or not is_constant:
        labels = flow.lock_dim(labels, dim, _PADDED)
        size = labels.shape[dim] + before + after
        return labels.with_block(dim, flow.fixed_block(dim, size, _PADDED))
    labels = flow.alone(labels, dim)
    sides = [flow.fixed_block(dim, size, _PADDED).atoms for size in (before, after)]
    block = labels.block(dim)
    atoms = np.concatenate([sides[0], block.atoms, sides[1]])
    return labels.with_block(dim, Block((dim,), atoms, block.vanishes))
