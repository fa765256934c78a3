"""Integers and scales that the tests of quantization draw, extremes among them."""

import torch
from hypothesis import strategies as st

ZERO_POINTS = st.sampled_from([-128, -7, 0, 127])
SCALES = st.sampled_from([2.0**-24, 2.0**-16, 1e-4, 0.01, 0.999999999999, 3.7, 2.0**20])
FILLS = st.sampled_from([None, None, -128, 127])  # random, or the same everywhere


def integers(*shape: int, low: int = -128, fill: int | None = None) -> torch.Tensor:
    """Numbers of int8, all extremes among them where there is room."""
    if fill is not None:
        return torch.full(shape, fill, dtype=torch.int8)
    generator = torch.Generator().manual_seed(sum(shape) + len(shape))
    return torch.randint(low, 128, shape, generator=generator, dtype=torch.int8)


def int32s(*shape: int, most: int) -> torch.Tensor:
    """Numbers of int32 from -most to most."""
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randint(-most, most + 1, shape, generator=generator, dtype=torch.int32)
