"""Conversions between float32 and bfloat16, bit by bit."""

import torch

from .harness import check

aten = torch.ops.aten


def _patterns() -> torch.Tensor:
    """Float32 numbers of all kinds: ties, denormals, infinities, every sort of NaN."""
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(-(2**31), 2**31, (500,), generator=generator).to(torch.int32)
    upper = words & ~0xFFFF
    special = torch.tensor([0x7FFFFFFF, -1, 0x7F800001, 0x7F800000, -0x800000, 0, -(2**31), 1])
    return torch.cat([words, upper, upper + 0x8000, special.to(torch.int32)]).view(torch.float32)


def test_rounding_to_nearest_even() -> None:
    check(aten._to_copy.default, _patterns(), dtype=torch.bfloat16, rtol=0, atol=0)


def test_widening_is_exact() -> None:
    every = torch.arange(-(2**15), 2**15).to(torch.int16).view(torch.bfloat16)
    check(aten._to_copy.default, every, dtype=torch.float32, rtol=0, atol=0)
