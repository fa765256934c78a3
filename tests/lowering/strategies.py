"""Shapes, axes and tensors that hypothesis draws for the rules that move data."""

import torch
from hypothesis import settings
from hypothesis import strategies as st

SIZES = (1, 2, 3, 5, 7, 8, 9, 13)  # 1, primes, one below and above 8 lanes
DTYPES = (
    torch.float32,
    torch.int64,
    torch.int32,
    torch.bool,
    torch.float16,
    torch.bfloat16,
)

few = settings(max_examples=10, deadline=None, derandomize=True)


def shapes(min_rank: int = 1, max_rank: int = 4) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of odd sizes."""
    sizes = st.lists(st.sampled_from(SIZES), min_size=min_rank, max_size=max_rank)
    return sizes.map(tuple)


def axes(rank: int) -> st.SearchStrategy[int]:
    """An axis, counted from the front or from the back; scalars have one."""
    return st.integers(-max(rank, 1), max(rank, 1) - 1)


def numbered(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Elements that tell their position, as far as the dtype can."""
    count = torch.arange(torch.Size(shape).numel()).reshape(shape)
    return (count * 7 % 251 - 100 if dtype is not torch.bool else count % 3 == 0).to(dtype)


@st.composite
def tensors(draw: st.DrawFn, min_rank: int = 1, max_rank: int = 4) -> torch.Tensor:
    """Tensors of odd shapes in every dtype."""
    return numbered(draw(shapes(min_rank, max_rank)), draw(st.sampled_from(DTYPES)))


def positions(shape: tuple[int, ...], low: int, high: int, seed: int = 0) -> torch.Tensor:
    """Random indices in [low, high)."""
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed))
