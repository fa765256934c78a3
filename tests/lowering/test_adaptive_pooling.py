"""Adaptive pooling against torch: sizes that divide, sizes that do not, global pools."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from .harness import check
from .samples import FEW, random

aten = torch.ops.aten
MEAN = {
    1: aten.adaptive_avg_pool1d.default,
    2: aten.adaptive_avg_pool2d.default,
    3: aten.adaptive_avg_pool3d.default,
}
MAXIMUM = {
    1: aten.adaptive_max_pool1d.default,
    2: aten.adaptive_max_pool2d.default,
    3: aten.adaptive_max_pool3d.default,
}
RANK = st.sampled_from([1, 2, 2, 3])
SIZE = st.sampled_from([1, 2, 3, 5, 7, 9])


@FEW
@given(RANK, SIZE, SIZE, st.booleans(), st.sampled_from([3, 5, 21, 32]))
def test_mean(rank: int, inputs: int, outputs: int, batched: bool, channels: int) -> None:
    x = random(*([2] if batched else []), channels, *[inputs, 6, 4][:rank])
    check(MEAN[rank], x, [outputs, 3, 1][:rank])


@FEW
@given(RANK, SIZE, SIZE)
def test_maximum(rank: int, inputs: int, outputs: int) -> None:
    check(MAXIMUM[rank], random(2, 3, *[inputs, 6, 4][:rank]), [outputs, 3, 1][:rank])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_global_mean(dtype: torch.dtype) -> None:
    check(aten._adaptive_avg_pool2d.default, random(2, 17, 7, 7, dtype=dtype), [1, 1])
