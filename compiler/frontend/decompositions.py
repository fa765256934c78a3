"""The level at which operators are kept whole when a model is traced."""

from typing import Any

import torch
from torch._ops import OpOverload

_ATEN = torch.ops.aten

# Operators with a lowering rule or a rewrite of their own (normalize.py), where PyTorch's own
# decomposition would hide what the model said, or cost speed or accuracy.
KEPT: tuple[OpOverload, ...] = (
    _ATEN.linear.default,
    _ATEN.matmul.default,
    _ATEN.bilinear.default,
    _ATEN.conv1d.default,
    _ATEN.conv1d.padding,
    _ATEN.conv2d.default,
    _ATEN.conv2d.padding,
    _ATEN.conv3d.default,
    _ATEN.conv3d.padding,
    _ATEN.conv_transpose1d.default,
    _ATEN.conv_transpose2d.input,
    _ATEN.conv_transpose3d.input,
    _ATEN.scaled_dot_product_attention.default,
    _ATEN.layer_norm.default,
    _ATEN.group_norm.default,
    _ATEN.instance_norm.default,
    _ATEN.batch_norm.default,
    _ATEN.rms_norm.default,
    _ATEN.softmax.int,
    _ATEN.log_softmax.int,
    _ATEN.gelu.default,
    _ATEN.silu.default,
    _ATEN.mish.default,
    _ATEN.elu.default,
    _ATEN.leaky_relu.default,
    _ATEN.hardswish.default,
    _ATEN.hardsigmoid.default,
    _ATEN.hardtanh.default,
    _ATEN.softplus.default,
    _ATEN.log_sigmoid.default,
    _ATEN.prelu.default,
    _ATEN.lstm.input,
    _ATEN.gru.input,
    _ATEN.rnn_tanh.input,
    _ATEN.rnn_relu.input,
    _ATEN.max_pool1d.default,
    _ATEN.max_pool2d.default,
    _ATEN.max_pool3d.default,
    _ATEN.avg_pool1d.default,
    _ATEN.avg_pool2d.default,
    _ATEN.avg_pool3d.default,
    _ATEN.adaptive_avg_pool1d.default,
    _ATEN.adaptive_avg_pool2d.default,
    _ATEN.adaptive_avg_pool3d.default,
    _ATEN.adaptive_max_pool2d.default,
    _ATEN.upsample_nearest1d.vec,
    _ATEN.upsample_nearest2d.vec,
    _ATEN.upsample_nearest3d.vec,
    _ATEN.upsample_linear1d.vec,
    _ATEN.upsample_bilinear2d.vec,
    _ATEN.upsample_trilinear3d.vec,
    _ATEN.upsample_bicubic2d.vec,
    _ATEN.pad.default,
    _ATEN.pixel_shuffle.default,
    _ATEN.pixel_unshuffle.default,
    _ATEN.channel_shuffle.default,
    _ATEN.stack.default,
    _ATEN.roll.default,
    _ATEN.repeat.default,
)


def decomposition_table() -> Any:
    """PyTorch's core decompositions without the operators that stay whole."""
    table = torch.export.default_decompositions()
    for op in KEPT:
        if op in table:
            del table[op]
    return table
