"""Weights with a step for each group of neighbors in a row, of 8 bits or of 4, two in a byte."""

import torch
from torch import Tensor

from .define import operator

INT4_MIN, INT4_MAX = -8, 7
_OFFSET = 8


def pack_int4(integers: Tensor) -> Tensor:
    """Integers in [-8, 7] of [O, I], I even, as uint8 [O, I / 2]; the first is in the low bits."""
    assert integers.shape[-1] % 2 == 0, integers.shape
    shifted = (integers + _OFFSET).to(torch.uint8)
    return shifted[..., ::2] | shifted[..., 1::2] << 4


def unpack_int4(packed: Tensor) -> Tensor:
    """The integers of `pack_int4`, int8 [O, I]."""
    parts = torch.stack([packed & 15, packed >> 4], -1).flatten(-2)
    return parts.to(torch.int8) - _OFFSET


def _shape(weight: Tensor, scales: Tensor) -> Tensor:
    columns = weight.shape[1] * (2 if weight.dtype == torch.uint8 else 1)
    return weight.new_empty(weight.shape[0], columns, dtype=torch.float32)


@operator("dequantize_groups(Tensor weight, Tensor scales)", _shape)
def dequantize_groups(weight: Tensor, scales: Tensor) -> Tensor:
    """Integers times the step of their group, float32 [O, I].

    Args:
        weight: int8 [O, I], or uint8 [O, I / 2] as `pack_int4` makes it.
        scales: float16 or float32 [O, groups], groups of I / groups neighbors.
    """
    integers = unpack_int4(weight) if weight.dtype == torch.uint8 else weight
    parts = integers.float().unflatten(1, (scales.shape[1], -1))
    reals: Tensor = (parts * scales.float().unsqueeze(2)).flatten(1)
    return reals
