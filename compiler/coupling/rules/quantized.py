"""Borders between real numbers and integers with one step for all elements: units go through."""

import torch
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
from torch.fx import Node

from ..flow import Flow
from ..labels import Labels
from ..registry import couples

_DECOMPOSED = torch.ops.quantized_decomposed


@couples(
    _DECOMPOSED.quantize_per_tensor.default,
    _DECOMPOSED.dequantize_per_tensor.default,
)
def border(flow: Flow, node: Node, x: Node, *_: object) -> Labels:
    """Zero becomes the zero point and is zero again after it."""
    return flow.of(x)
