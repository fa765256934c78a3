"""What the tests of the matrix, convolution, pooling and attention rules share."""

from typing import Any

import torch
from hypothesis import settings
from hypothesis import strategies as st

from .harness import Weight

FEW = settings(max_examples=8, deadline=None, derandomize=True)
SIZES = st.sampled_from([1, 3, 7, 8, 9, 16, 17, 31, 33])  # around 8 lanes, primes


def random(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Numbers of about unit size: normal floats, or integers from -9 to 9."""
    generator = torch.Generator().manual_seed(sum(shape) + len(shape))
    if not dtype.is_floating_point:
        return torch.randint(-9, 10, shape, generator=generator, dtype=dtype)
    return torch.randn(shape, generator=generator).to(dtype)


def weight(tensor: torch.Tensor, constant: bool) -> Any:
    """The tensor as an argument of `check`: known at compile time or not."""
    return Weight(tensor) if constant else tensor
