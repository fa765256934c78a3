"""Weights that are stored as integers with a step for each group of inputs."""

from collections.abc import Sequence
from typing import Any

import torch
from tvm import te

from ...ir.tensor_spec import TensorSpec
from ...quantization import packed_weights as packed_weights
from ..registry import lowers
from .indices import Index, compute
from .pointwise import cast


@lowers(torch.ops.penjing.dequantize_groups.default)
def dequantize_groups(weight: te.Tensor, scales: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """weight[o, i] * scales[o, i / group]; bytes of uint8 hold two integers, 8 more each."""
    group = out.shape[1] // int(scales.shape[1])
    is_packed = weight.dtype == "uint8"

    def element(at: Sequence[Index]) -> Any:
        row, column = at
        if is_packed:
            byte = weight(row, column // 2).astype("int32")
            integer = ((byte >> (column % 2 * 4).astype("int32")) & 15) - 8
        else:
            integer = weight(row, column).astype("int32")
        return integer.astype("float32") * cast(scales(row, column // group), "float32")

    return compute(out.shape, element, "dequantize_groups")
